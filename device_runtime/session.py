"""A running model: named methods, arrays in, arrays out.

Three runtimes can stand behind a `Session`: ExecuTorch's C++ libraries through a small binding (`native`: no torch,
tens of milliseconds to load), ExecuTorch's own Python runtime (`executorch-python`: imports torch, seconds and hundreds
of megabytes), and in an Android app ExecuTorch's AAR (`android`). This module chooses and checks calls; it knows no
items, no bundles and no histories.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import ModelFailed, RuntimeUnavailable
from device_runtime.runtime_report import RuntimeReport

Array = NDArray[Any]
Runtime = Literal["android", "native", "python"]

_log = logging.getLogger(__name__)

#: ExecuTorch's scalar type numbers and the numpy types of the same layout.
SCALAR_TYPES: Mapping[int, str] = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}

#: The largest tensor a program may announce; a damaged file would otherwise ask for any amount of memory.
MAX_TENSOR_BYTES = 1 << 30

MAX_THREADS = 256

_FILE_IDENTIFIER = b"ET12"  # at offset 4 of every program, see ExecuTorch's schema/program.fbs


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Element type (numpy name) and shape of one input or output; where an axis varies, its greatest length."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of_program(cls, scalar_type: int, sizes: Sequence[int]) -> TensorSpec:
        """Translate what a program announces.

        Raises:
            ModelFailed: the element type is not one numpy has, or the size is negative or absurd.
        """
        if scalar_type not in SCALAR_TYPES:
            raise ModelFailed(
                f"the program uses ExecuTorch element type {scalar_type}; expected one of "
                f"{', '.join(SCALAR_TYPES.values())}. Export the model again"
            )
        dtype, shape = SCALAR_TYPES[scalar_type], tuple(int(size) for size in sizes)
        size = np.dtype(dtype).itemsize
        for extent in shape:
            size *= extent
            if extent < 0 or size > MAX_TENSOR_BYTES:
                raise ModelFailed(
                    f"the program announces a tensor of shape {shape}; expected at most {MAX_TENSOR_BYTES} bytes. "
                    "The file is damaged: fetch the bundle again"
                )
        return cls(dtype, shape)

    def fits(self, most: TensorSpec) -> bool:
        """Whether it is of the same type and rank, and no axis is longer."""
        same = self.dtype == most.dtype and len(self.shape) == len(most.shape)
        return same and all(mine <= other for mine, other in zip(self.shape, most.shape, strict=True))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """What one method takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How a program is run. Native and Python runtime keep all of it; for Android's see there.

    Attributes:
        threads: 1 runs on the caller's thread alone. More share the process's one pool, which is made as wide; sessions
            that use it at the same time must agree on its width. The Python runtime uses the pool for one thread too.
        arena_bytes: the most memory that the program may plan for its activations; all methods share it.
        warm_up: load every method and rank once when opened; else each method is loaded at its first call, and what is
            wrong with it is found then.
    """

    threads: int = 1
    arena_bytes: int = 64 << 20
    warm_up: bool = True

    def __post_init__(self) -> None:
        """Refuse what no device has.

        Raises:
            ValueError: a number is outside its range.
        """
        if not 1 <= self.threads <= MAX_THREADS:
            raise ValueError(f"threads must be 1 to {MAX_THREADS}, got {self.threads}")
        if not 0 < self.arena_bytes < 1 << 63:
            raise ValueError(f"arena_bytes must be positive and below 2^63, got {self.arena_bytes}")


class Session(Protocol):
    """A loaded program. Calls from several threads are safe; they run one after the other."""

    @property
    def name(self) -> str:
        """`native`, `executorch-python` or `android`."""
        ...

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The program's methods."""
        ...

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run `method`; the outputs are fresh arrays that belong to the caller.

        An axis may be shorter than the method states where the program was exported so.

        Raises:
            ModelFailed: unknown method, wrong inputs, a closed session, or the runtime reported an error.
        """
        ...

    def close(self) -> None:
        """Free the program; closing twice does nothing."""
        ...


class RuntimeSession(Session, Protocol):
    """A session of a runtime of this package, which also says what it is."""

    @property
    def report(self) -> RuntimeReport:
        """What runs the program, and why."""
        ...


def open_session(
    model: bytes | memoryview,
    settings: RuntimeSettings | None = None,
    *,
    methods: Mapping[str, MethodInfo] | None = None,
    prefer: Runtime | None = None,
) -> RuntimeSession:
    """Load a `.pte` program.

    The bytes must already be trusted (signature checked): ExecuTorch verifies the structure of a file, not its
    weights, and does not promise to withstand a crafted one.

    Args:
        model: the program.
        settings: threads, memory, warm-up.
        methods: what its methods take and give, see `Manifest.method_infos`; the Android runtime cannot find out.
        prefer: take this runtime or fail; by default Android's in an Android app, else native, and the Python runtime
            where native cannot work.

    Raises:
        ModelFailed: the bytes are not a program this runtime can load, or it does not fit the settings.
        RuntimeUnavailable: no runtime works here; the message says how to install one.
    """
    settings = settings or RuntimeSettings()
    check_program(model)
    reasons: list[str] = []
    openers: dict[Runtime, Callable[[], RuntimeSession]] = {
        "android": lambda: _open_android(model, settings, methods),
        "native": lambda: _open_native(model, settings),
        "python": lambda: _open_python(model, settings, reasons),
    }
    if prefer is not None:
        return openers[prefer]()
    if find_spec("java") is None:  # Chaquopy's, which every Android app has and nothing else
        del openers["android"]
    for name, opener in openers.items():
        try:
            session = opener()
        except RuntimeUnavailable as reason:
            reasons.append(f"{name}: {reason}")
            continue
        if name == "python":
            _log.warning(
                "no small runtime is available (%s); using ExecuTorch's Python runtime, which imports torch: slower to "
                "start and several hundred megabytes",
                "; ".join(reasons),
            )
        return session
    raise RuntimeUnavailable(f"no ExecuTorch runtime works here. {'. '.join(reasons)}")


def check_program(model: bytes | memoryview) -> None:
    """Refuse bytes that are no ExecuTorch program at all, before any native code sees them.

    The Python runtime aborts the process when it reports a file identifier that is not UTF-8.

    Raises:
        ModelFailed: the file identifier is not there.
    """
    if bytes(model[4:8]) != _FILE_IDENTIFIER:
        raise ModelFailed(
            f"not an ExecuTorch program: expected {_FILE_IDENTIFIER!r} at offset 4, got {bytes(model[4:8])!r} "
            f"in {len(model)} bytes. Export the model again, or fetch the bundle again"
        )


@functools.cache  # numpy takes longer to spell a name than to call a small model's method
def _name_of(dtype: np.dtype[Any]) -> str:
    return str(dtype)


def check_inputs(methods: Mapping[str, MethodInfo], method: str, inputs: Sequence[Array]) -> MethodInfo:
    """Check one call against what the program announces, and return the method's description.

    Raises:
        ModelFailed: no such method, or an input of another count, type or shape; the message names both sides.
    """
    info = methods.get(method)
    if info is None:
        raise ModelFailed(f"the program has no method {method!r}; it has {', '.join(sorted(methods)) or 'none'}")
    if len(inputs) != len(info.inputs):
        expected = ", ".join(map(str, info.inputs))
        raise ModelFailed(f"{method} takes {len(info.inputs)} inputs ({expected}), got {len(inputs)}")
    for position, (array, spec) in enumerate(zip(inputs, info.inputs, strict=True)):
        if not isinstance(array, np.ndarray):
            raise ModelFailed(f"{method}, input {position}: expected {spec}, got a {type(array).__name__}")
        came = TensorSpec(_name_of(array.dtype), array.shape)
        if not came.fits(spec):
            raise ModelFailed(f"{method}, input {position}: expected {spec}, got {came}")
    return info


def _open_android(
    model: bytes | memoryview, settings: RuntimeSettings, methods: Mapping[str, MethodInfo] | None
) -> RuntimeSession:
    from device_runtime.android_session import AndroidSession

    return AndroidSession(model, settings, methods)


def _open_native(model: bytes | memoryview, settings: RuntimeSettings) -> RuntimeSession:
    from device_runtime.native import NativeSession

    return NativeSession(model, settings)


def _open_python(model: bytes | memoryview, settings: RuntimeSettings, reasons: list[str]) -> RuntimeSession:
    from device_runtime.pybind_session import PythonSession

    missing = f"no smaller runtime is available: {'; '.join(reasons)}"
    return PythonSession(model, settings, missing if reasons else "the caller asked for it")
