"""The native session: ExecuTorch's C++ runtime through ctypes. Never imports torch.

`python -m device_runtime.native` builds the binding where there is none, and prints what it found.
"""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from device_runtime.errors import BackendMissing, ModelFailed, RuntimeUnavailable
from device_runtime.native_library import Binding, load_binding
from device_runtime.runtime_report import RuntimeReport
from device_runtime.session import SCALAR_TYPES, Array, MethodInfo, RuntimeSettings, TensorSpec, check_inputs
from device_runtime.thread_pool import hold_pool

_MAX_RANK = 8
_ERROR_BYTES = 4096
_NO_BACKEND = "the runtime has no "  # kNoBackend of binding.cpp
_CODES = {np.dtype(name): code for code, name in SCALAR_TYPES.items()}


class _Array(ctypes.Structure):
    """`MeritrecArray` of binding.cpp."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("scalar_type", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * _MAX_RANK),
    )


@functools.cache
def _binding() -> Binding:
    binding = load_binding()
    library = binding.library
    text = (ctypes.c_char_p, ctypes.c_size_t)
    arrays = (ctypes.POINTER(_Array), ctypes.c_size_t)
    settings = (ctypes.c_int, ctypes.c_uint64, ctypes.c_int)
    library.meritrec_resize_pool.argtypes = (ctypes.c_uint32, *text)
    library.meritrec_resize_pool.restype = ctypes.c_int
    library.meritrec_backends.argtypes = (*text, *text)
    library.meritrec_backends.restype = ctypes.c_size_t
    library.meritrec_open.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *settings, *text)
    library.meritrec_open.restype = ctypes.c_void_p
    library.meritrec_close.argtypes = (ctypes.c_void_p,)
    library.meritrec_close.restype = None
    library.meritrec_describe.argtypes = (ctypes.c_void_p, *text, *text)
    library.meritrec_describe.restype = ctypes.c_size_t
    library.meritrec_run.argtypes = (ctypes.c_void_p, ctypes.c_char_p, *arrays, *arrays, *text)
    library.meritrec_run.restype = ctypes.c_int
    return binding


class NativeSession:
    """A program in ExecuTorch's C++ runtime; calls from several threads wait for each other.

    Types and shapes of inputs are checked here and again in C++. An index outside an embedding table would make
    ExecuTorch's int8 kernels abort the process; programs that meritrec exports clamp every index.
    """

    def __init__(self, model: bytes | memoryview, settings: RuntimeSettings) -> None:
        """Load a program.

        Raises:
            RuntimeUnavailable: the binding can be neither found nor built.
            ModelFailed: the program is damaged, needs what this runtime lacks, or does not fit the settings.
        """
        self._lock = threading.Lock()
        self._binding = _binding()
        self._library = self._binding.library
        self._settings = settings
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        # Kept while the session lives: a program that lies at an aligned address, as a mapped file does, is not copied.
        self._model = np.frombuffer(model, np.uint8)
        uses_pool = settings.threads > 1
        release = hold_pool(settings.threads, self._resize_pool) if uses_pool else _nothing
        chosen = (uses_pool, settings.arena_bytes, settings.warm_up)
        self._handle = self._library.meritrec_open(self._model.ctypes.data, len(model), *chosen, error, len(error))
        if not self._handle:
            release()
            raise _refusal(_text(error))
        self._free = weakref.finalize(self, _close, self._library, self._handle, self._model, release)
        try:
            self._methods = self._described()
        except ModelFailed:
            self.close()
            raise

    @property
    def name(self) -> str:
        """`native`."""
        return "native"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The program's methods."""
        return self._methods

    @property
    def report(self) -> RuntimeReport:
        """What runs the program."""
        text = ctypes.create_string_buffer(_ERROR_BYTES)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        if not 0 < self._library.meritrec_backends(text, len(text), error, len(error)) <= len(text):
            raise ModelFailed(f"the runtime does not say what backends it has: {_text(error) or 'too many'}")
        return RuntimeReport(
            self.name,
            f"the smallest runtime works here: {self._binding.origin}",
            self._binding.executorch,
            self._settings.threads,
            self._settings.arena_bytes,
            tuple(sorted(filter(None, _text(text).split(", ")))),
            str(self._binding.path),
        )

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `Session.run`."""
        info = check_inputs(self._methods, method, inputs)
        arrays = [a if a.flags.c_contiguous and a.flags.aligned else np.require(a, None, ["C", "A"]) for a in inputs]
        outputs = [np.empty(spec.shape, spec.dtype) for spec in info.outputs]
        results = _pointers(outputs)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        name = method.encode()
        with self._lock:
            if not self._free.alive:
                raise ModelFailed("the session is closed; open it again")
            done = self._library.meritrec_run(
                self._handle, name, _pointers(arrays), len(arrays), results, len(outputs), error, len(error)
            )
        if not done:
            raise ModelFailed(f"{method} failed: {_text(error)}")
        return tuple(_as_long(array, result) for array, result in zip(outputs, results, strict=True))

    def close(self) -> None:
        """Free the program; closing twice does nothing."""
        with self._lock:
            self._free()

    def _resize_pool(self, threads: int) -> None:
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        if not self._library.meritrec_resize_pool(threads, error, len(error)):
            raise ModelFailed(f"the program cannot run on {threads} threads: {_text(error)}")

    def _described(self) -> Mapping[str, MethodInfo]:
        text = ctypes.create_string_buffer(1 << 16)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        needed = self._library.meritrec_describe(self._handle, text, len(text), error, len(error))
        if not 0 < needed <= len(text):
            raise ModelFailed(
                f"the program's methods cannot be read: {_text(error) or 'too many'}; get the bundle again"
            )
        return _parsed(_text(text))


def _refusal(said: str) -> ModelFailed:
    if said.startswith(_NO_BACKEND):
        return BackendMissing(
            f"the program cannot run here: {said}. Install a bundle that was exported for a backend that is there"
        )
    return ModelFailed(f"the program cannot be loaded: {said}; get the bundle again, or change the settings")


def _close(library: ctypes.CDLL, handle: int, model: Array, release: Callable[[], None]) -> None:
    """Free a program, and only then what it was read from and ran on."""
    library.meritrec_close(handle)
    release()
    del model


def _nothing() -> None:
    """What a session on the caller's thread holds of the pool."""


def _parsed(text: str) -> Mapping[str, MethodInfo]:
    """Read the lines that `describe` of binding.cpp writes."""
    inputs: dict[str, list[TensorSpec]] = {}
    outputs: dict[str, list[TensorSpec]] = {}
    for line in text.splitlines():
        name, side, code, *axes = line.split(" ")
        shape = tuple(int(size) for size in axes[0].split(",")) if axes and axes[0] else ()
        for known in (inputs, outputs):
            known.setdefault(name, [])
        (inputs if side == "in" else outputs)[name].append(TensorSpec.of_program(int(code), shape))
    return MappingProxyType({name: MethodInfo(tuple(inputs[name]), tuple(outputs[name])) for name in inputs})


def _as_long(array: Array, result: _Array) -> Array:
    """The array the runtime wrote into, cut to the shape it wrote."""
    shape = tuple(result.shape[: array.ndim])
    return array if shape == array.shape else array.reshape(-1)[: math.prod(shape)].reshape(shape)


def _pointers(arrays: list[Array]) -> ctypes.Array[_Array]:
    shape = ctypes.c_int64 * _MAX_RANK
    rows = (_Array(a.ctypes.data, a.nbytes, _CODES[a.dtype], a.ndim, shape(*a.shape)) for a in arrays)
    return (_Array * len(arrays))(*rows)


def _text(buffer: ctypes.Array[ctypes.c_char]) -> str:
    return buffer.value.decode(errors="replace")


def main() -> int:
    """Load the binding, built if need be, and say what was found."""
    try:
        binding = _binding()
    except RuntimeUnavailable as error:
        print(f"native runtime unavailable: {error}", file=sys.stderr)
        return 1
    print(f"native runtime: {binding.path} on executorch {binding.executorch}; {binding.origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
