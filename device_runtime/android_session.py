"""The session of Android apps: ExecuTorch's own AAR, reached through Chaquopy's `java` module.

`org.pytorch:executorch-android` 1.5, package `org.pytorch.executorch`. Its `Module` loads a program from a path, and
says which methods it has but not what they take, so two things come from outside: the methods' shapes, which the
bundle's signed manifest states, and a private copy of the verified bytes. The copy is new, readable by this app only,
written from the bytes that were hashed, and nameless as soon as `Module` holds it open: nobody can put another file in
its place between the check and the load, and nothing is left behind. The methods that ExecuTorch reads later come from
the same open file.

Chaquopy is found by its `java` module, so nothing of this is imported elsewhere. Tests drive it in a JVM.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from device_runtime.errors import ModelFailed, RuntimeUnavailable
from device_runtime.runtime_report import RuntimeReport
from device_runtime.session import Array, MethodInfo, RuntimeSettings, TensorSpec, check_inputs

_PACKAGE = "org.pytorch.executorch"
_MAPPED = 1  # Module.LOAD_MODE_MMAP: weights are pages of the file, which the system may drop and read again
_SUPPORTED = ("int64", "float32")  # all that manifests call for

_log = logging.getLogger(__name__)


class _Java:
    """The classes of the AAR, and arrays to pass to them."""

    def __init__(self) -> None:
        """Find them.

        Raises:
            RuntimeUnavailable: this is no app built with Chaquopy, or the AAR is not in it.
        """
        try:
            from java import jarray, jclass, jfloat, jlong
        except ImportError as error:
            raise RuntimeUnavailable(f"this is no Android app with Chaquopy ({error})") from error
        self.throwable: Any = jclass("java.lang.Throwable")
        self.module = self._found(jclass, "Module")
        self.tensor = self._found(jclass, "Tensor")
        self.value = self._found(jclass, "EValue")
        self.arrays = {"int64": jarray(jlong), "float32": jarray(jfloat)}

    def _found(self, jclass: Any, name: str) -> Any:
        """A class of the AAR; what a missing one raises is Chaquopy's or the JVM's affair."""
        try:
            return jclass(f"{_PACKAGE}.{name}")
        except (self.throwable, TypeError, LookupError, ImportError) as error:
            raise RuntimeUnavailable(
                f"the class {_PACKAGE}.{name} cannot be loaded ({_said(error)}); add "
                'implementation("org.pytorch:executorch-android:1.5.1") to the app\'s build.gradle.kts'
            ) from error


class AndroidSession:
    """A program in ExecuTorch's Android runtime; calls from several threads wait for each other.

    Of `RuntimeSettings`, `threads` and `warm_up` are kept. `arena_bytes` cannot be: the AAR plans its own memory.
    """

    def __init__(
        self, model: bytes | memoryview, settings: RuntimeSettings, methods: Mapping[str, MethodInfo] | None
    ) -> None:
        """Load a program, and all its methods if `settings.warm_up`.

        Args:
            model: the program, verified.
            settings: see the class.
            methods: what its methods take and give; those that the program lacks are left out.

        Raises:
            RuntimeUnavailable: the AAR is not there, or has no library for this processor.
            ModelFailed: the program is damaged, needs what this runtime lacks, or nobody says what its methods take.
        """
        self._java = _Java()
        self._threads = settings.threads
        self._lock = threading.Lock()
        if methods is None:
            raise ModelFailed("the Android runtime does not know what methods take; pass them from the manifest")
        if settings.arena_bytes != RuntimeSettings().arena_bytes:
            _log.warning("arena_bytes has no effect here: ExecuTorch's Android runtime plans its own memory")
        self._module: Any = None
        try:
            names = self._load(model, settings.threads)
            self._methods = MappingProxyType({n: _checked(n, methods[n]) for n in sorted(names & methods.keys())})
            if settings.warm_up:
                self._load_methods()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """`android`."""
        return "android"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The program's methods, as the manifest describes them."""
        return self._methods

    @property
    def report(self) -> RuntimeReport:
        """What runs the program. The AAR says neither its version nor its backends."""
        return RuntimeReport(self.name, "this is an Android app with ExecuTorch's AAR", threads=self._threads)

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `Session.run`."""
        info = check_inputs(self._methods, method, inputs)
        with self._lock:
            if self._module is None:
                raise ModelFailed("the session is closed; open it again")
            with self._translated(f"{method} failed"):
                found = self._module.execute(method, *map(self._value, inputs))
                # Their data lie in the method's own memory, which its next call writes over: copied before that.
                outputs = [_copied(value.toTensor(), spec) for value, spec in zip(found, info.outputs, strict=False)]
        given = tuple(array for array in outputs if array is not None)
        if not len(found) == len(given) == len(info.outputs):
            raise ModelFailed(f"{method} did not give {', '.join(map(str, info.outputs))}; get the bundle again")
        return given

    def close(self) -> None:
        """Free the program; closing twice does nothing."""
        with self._lock:
            if self._module is not None:
                self._module.destroy()
            self._module = None

    def _load(self, model: bytes | memoryview, threads: int) -> set[str]:
        """Open a private copy of the program, which loses its name at once; return the methods' names."""
        with _private_copy(model) as path, self._translated("the program cannot be loaded"):
            self._module = self._java.module.load(path, _MAPPED, threads)
            return {str(name) for name in self._module.getMethods()}

    def _load_methods(self) -> None:
        for name in self._methods:
            with self._translated(f"{name} cannot be loaded"):
                self._module.loadMethod(name)

    def _value(self, array: Array) -> Any:
        flat = self._java.arrays[str(array.dtype)](np.ascontiguousarray(array).reshape(-1))
        shape = self._java.arrays["int64"](list(array.shape))
        # `from` is a word of Python's; both bridges append an underscore then.
        return self._java.value.from_(self._java.tensor.fromBlob(flat, shape))

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Say of what Java throws that the model failed, or that its library cannot be loaded."""
        try:
            yield
        except self._java.throwable as error:
            said = _said(error)
            if "UnsatisfiedLinkError" in said or "NoClassDefFoundError" in said or "ExceptionInInitializer" in said:
                raise RuntimeUnavailable(
                    f"ExecuTorch's library cannot be loaded ({said}); build the app for this processor's ABI"
                ) from error
            raise ModelFailed(f"{what}: {said}") from error


@contextmanager
def _private_copy(model: bytes | memoryview) -> Iterator[str]:
    """Yield the path of a new file of mode 0600 with these bytes, and remove it; under Chaquopy in the app's cache."""
    path = ""
    try:
        try:
            descriptor, path = tempfile.mkstemp(prefix="meritrec-", suffix=".pte")
            with os.fdopen(descriptor, "wb") as file:
                file.write(model)
        except OSError as error:
            raise ModelFailed(
                f"the model cannot be copied ({error.strerror}); free some space and try again"
            ) from error
        yield path
    finally:
        if path:
            Path(path).unlink(missing_ok=True)


def _checked(name: str, info: MethodInfo) -> MethodInfo:
    for spec in (*info.inputs, *info.outputs):
        if spec.dtype not in _SUPPORTED:
            raise ModelFailed(f"the program's method {name} uses {spec}; expected {' or '.join(_SUPPORTED)}")
    return info


def _copied(tensor: Any, most: TensorSpec) -> Array | None:
    """A Java tensor as an array of its own, None if it is not of the type and shape expected."""
    shape = tuple(int(extent) for extent in tensor.shape())
    if str(tensor.dtype().toString()) != {"int64": "INT64", "float32": "FLOAT"}[most.dtype]:
        return None
    if not TensorSpec(most.dtype, shape).fits(most):
        return None
    data = tensor.getDataAsLongArray() if most.dtype == "int64" else tensor.getDataAsFloatArray()
    found = np.array(data, most.dtype)
    return found.reshape(shape) if found.size == math.prod(shape) else None


def _said(error: BaseException) -> str:
    """What a Java exception says, on one line and without its stack."""
    lines = f"{type(error).__name__}: {error}".strip().splitlines()
    return lines[0][:500]
