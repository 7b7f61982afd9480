package org.pytorch.executorch;

/** The part of the AAR's enumeration that programs of meritrec use; codes as in ScalarType. */
public enum DType {
    INT64(4),
    FLOAT(6);

    public final int jniCode;

    DType(int jniCode) {
        this.jniCode = jniCode;
    }
}
