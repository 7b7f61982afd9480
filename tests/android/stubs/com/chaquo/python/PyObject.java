package com.chaquo.python;

/** The part of Chaquopy's class that the example uses: a module, or what a call returned. */
public class PyObject {
    private final String module;
    private final Object value;

    PyObject(String module, Object value) {
        this.module = module;
        this.value = value;
    }

    public PyObject callAttr(String key, Object... args) {
        return new PyObject(null, Python.interpreter.call(module, key, args));
    }

    public long toLong() {
        return ((Number) value).longValue();
    }

    @Override
    public String toString() {
        return String.valueOf(value);
    }
}
