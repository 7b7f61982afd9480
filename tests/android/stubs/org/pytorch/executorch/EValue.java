package org.pytorch.executorch;

/** EValue.kt of executorch 1.5 as Java sees it, as far as it is used: `from` is overloaded, and a word of Python's. */
public final class EValue {
    private final Object data;

    private EValue(Object data) {
        this.data = data;
    }

    public Tensor toTensor() {
        if (!(data instanceof Tensor)) {
            throw new IllegalStateException("Expected EValue type Tensor, actual type Int");
        }
        return (Tensor) data;
    }

    public static EValue from(Tensor tensor) {
        return new EValue(tensor);
    }

    public static EValue from(boolean value) {
        return new EValue(value);
    }

    public static EValue from(long value) {
        return new EValue(value);
    }

    public static EValue from(double value) {
        return new EValue(value);
    }

    public static EValue from(String value) {
        return new EValue(value);
    }
}
