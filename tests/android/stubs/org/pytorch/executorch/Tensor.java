package org.pytorch.executorch;

import java.util.Arrays;

/**
 * Tensor.kt of executorch 1.5 as Java sees it, as far as it is used: factories overloaded by the type of the array,
 * subclasses by type, and getters that only the right subclass has. `overwrite` is the test's: the AAR hands out memory
 * of the method, which its next call writes over.
 */
public abstract class Tensor {
    protected final long[] shape;

    Tensor(long[] shape) {
        for (long extent : shape) {
            if (extent < 0) {
                throw new IllegalArgumentException("Shape elements must be non negative");
            }
        }
        this.shape = shape.clone();
    }

    public long[] shape() {
        return shape.clone();
    }

    public abstract DType dtype();

    abstract void overwrite();

    public int[] getDataAsIntArray() {
        throw cannot("int");
    }

    public float[] getDataAsFloatArray() {
        throw cannot("float");
    }

    public long[] getDataAsLongArray() {
        throw cannot("long");
    }

    public static Tensor fromBlob(int[] data, long[] shape) {
        throw new UnsupportedOperationException("the stub has no int32 tensors");
    }

    public static Tensor fromBlob(float[] data, long[] shape) {
        check(data.length, shape);
        return new Tensor_float32(data.clone(), shape);
    }

    public static Tensor fromBlob(long[] data, long[] shape) {
        check(data.length, shape);
        return new Tensor_int64(data.clone(), shape);
    }

    private static void check(int length, long[] shape) {
        long numel = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
        if (numel != length) {
            throw new IllegalArgumentException(
                    "Inconsistent data capacity:" + length + " and shape number elements:" + numel);
        }
    }

    private IllegalStateException cannot(String type) {
        return new IllegalStateException(
                "Tensor of type " + getClass().getSimpleName() + " cannot return data as " + type + " array.");
    }

    static final class Tensor_float32 extends Tensor {
        private final float[] data;

        Tensor_float32(float[] data, long[] shape) {
            super(shape);
            this.data = data;
        }

        @Override
        public DType dtype() {
            return DType.FLOAT;
        }

        @Override
        public float[] getDataAsFloatArray() {
            return data.clone();
        }

        @Override
        void overwrite() {
            Arrays.fill(data, Float.NaN);
        }
    }

    static final class Tensor_int64 extends Tensor {
        private final long[] data;

        Tensor_int64(long[] data, long[] shape) {
            super(shape);
            this.data = data;
        }

        @Override
        public DType dtype() {
            return DType.INT64;
        }

        @Override
        public long[] getDataAsLongArray() {
            return data.clone();
        }

        @Override
        void overwrite() {
            Arrays.fill(data, Long.MIN_VALUE);
        }
    }
}
