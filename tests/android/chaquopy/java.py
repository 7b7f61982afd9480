"""Chaquopy's `java` module over JPype, as far as it is used, and no more generous than Chaquopy 17 is.

Put on the path of tests that run in a JVM: there it is what makes a process look like an Android app.
"""

from __future__ import annotations

import sys
from typing import Any

import jpype
import numpy as np

jbyte, jlong, jfloat = jpype.JByte, jpype.JLong, jpype.JFloat
# So is Python on Android recognised, which can start no second process (a model is tried in this one then).
sys.getandroidapilevel = lambda: 24  # type: ignore[attr-defined]
_NUMPY = {jlong: np.int64, jfloat: np.float32}


def jclass(name: str) -> Any:
    """A Java class; Chaquopy throws Java's error where JPype has one of Python's."""
    try:
        return jpype.JClass(name)
    except TypeError as error:
        raise jpype.JClass("java.lang.NoClassDefFoundError")(name) from error


def jarray(element: Any) -> Any:
    """A class of Java arrays: made of a sequence, or at memory speed of a buffer of one axis and just that type."""

    def make(content: Any) -> Any:
        if isinstance(content, np.ndarray):
            assert content.ndim == 1, "Chaquopy copies elements one by one unless there is one axis"
            assert content.dtype == _NUMPY[element], "Chaquopy copies elements one by one unless types agree"
        if element is jbyte:
            assert isinstance(content, bytes | bytearray), "only bytes are turned from unsigned to signed"
            return jpype.JArray(jbyte)(bytes(content))
        return jpype.JArray(element)(content)

    return make
