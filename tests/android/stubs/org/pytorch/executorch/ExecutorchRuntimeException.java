package org.pytorch.executorch;

/** The AAR's exception; `errorCode` is that of runtime/core/error.h. */
public class ExecutorchRuntimeException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int errorCode;

    public ExecutorchRuntimeException(int errorCode, String details) {
        super("[ExecuTorch Error 0x" + Integer.toHexString(errorCode) + "] " + details);
        this.errorCode = errorCode;
    }

    public int getErrorCode() {
        return errorCode;
    }
}
