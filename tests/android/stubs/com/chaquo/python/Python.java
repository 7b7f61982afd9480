package com.chaquo.python;

/** The part of Chaquopy's class that the example uses. */
public class Python {
    private static final Python INSTANCE = new Python();

    /** The test's: the interpreter that the JVM runs in. */
    public static Interpreter interpreter;

    public static Python getInstance() {
        return INSTANCE;
    }

    public PyObject getModule(String name) {
        return new PyObject(name, null);
    }
}
