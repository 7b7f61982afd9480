"""A pytest plugin for the tests named inside_*.py: a JVM in this process, with the stubs and the example's classes.

A process has one JVM, so those tests run in processes of their own; `test_in_a_jvm.py` starts them.
"""

from __future__ import annotations

import os

import jpype

CLASSES = "MERITREC_TEST_CLASSES"


def pytest_configure() -> None:
    """Start the JVM before tests are collected; strings arrive as Python's, as they do from Chaquopy."""
    jpype.startJVM("-Xmx256m", classpath=[os.environ[CLASSES]], convertStrings=True)
