package com.chaquo.python;

/** What stands behind the stubs: calls a function of a Python module. */
public interface Interpreter {
    Object call(String module, String function, Object[] arguments);
}
