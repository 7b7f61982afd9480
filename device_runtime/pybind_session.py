"""The fallback session: ExecuTorch's own Python runtime. Imports torch; seconds to start, hundreds of MB.

Known limit: this runtime aborts the process on some files that are not programs (its log line is not UTF-8), so it must
only see bytes whose hash a trusted publisher signed, which is what `Bundle` guarantees.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from device_runtime.errors import ModelFailed, RuntimeUnavailable
from device_runtime.session import SCALAR_TYPES, Array, MethodSpec, TensorSpec, checked_inputs
from device_runtime.thread_pool import PROCESS_POOL


class PythonSession:
    """A program in ExecuTorch's Python runtime; calls from several threads wait for each other."""

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        """Load a program and all its methods.

        Raises:
            RuntimeUnavailable: ExecuTorch or torch is not installed.
            ModelFailed: the program is damaged or needs what this runtime lacks.
        """
        try:
            import executorch.kernels.quantized  # noqa: F401  (registers the operators of quantised programs)
            import torch
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime, Verification
        except (ImportError, OSError) as error:
            raise RuntimeUnavailable(
                f"ExecuTorch's Python runtime does not import ({error}); "
                "run `pip install 'meritrec[runtime]' torch==2.13.0`"
            ) from error
        self._torch: Any = torch
        self._lock = threading.Lock()
        self.threads = PROCESS_POOL.join(threads, portable_lib._unsafe_reset_threadpool)
        # All that keeps the program alive; emptied before the pool is given up.
        self._loaded: dict[str, Any] = {}
        self._free = weakref.finalize(self, _free, self._loaded)
        try:
            program = Runtime.get().load_program(model, verification=Verification.InternalConsistency)
            for name in sorted(program.method_names):
                self._loaded[name] = program.load_method(name)
            self._methods = MappingProxyType({name: _spec(method) for name, method in self._loaded.items()})
        except (RuntimeError, ValueError, ModelFailed) as error:
            self.close()
            raise ModelFailed(f"the program cannot be loaded: {error}; get the bundle again") from error

    @property
    def name(self) -> str:
        """Which runtime executes the program."""
        return "executorch python"

    @property
    def methods(self) -> Mapping[str, MethodSpec]:
        """The program's methods by name."""
        return self._methods

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `Session.run`."""
        arrays = checked_inputs(method, self._methods, inputs)
        with self._lock:
            if not self._free.alive:
                raise ModelFailed("the session is closed; open it again")
            tensors = [self._torch.from_numpy(np.array(array)) for array in arrays]
            try:
                outputs = self._loaded[method].execute(tensors)
                return tuple(np.array(output.numpy()) for output in outputs)
            except RuntimeError as error:
                raise ModelFailed(f"{method} failed: {error}") from error

    def close(self) -> None:
        """Free the program; closing twice is harmless."""
        with self._lock:
            self._free()


def _free(loaded: dict[str, Any]) -> None:
    loaded.clear()
    PROCESS_POOL.leave()


def _spec(method: Any) -> MethodSpec:
    meta = method.metadata
    inputs = tuple(_tensor(meta.input_tensor_meta(i)) for i in range(meta.num_inputs()))
    return MethodSpec(inputs, tuple(_tensor(meta.output_tensor_meta(i)) for i in range(meta.num_outputs())))


def _tensor(info: Any) -> TensorSpec:
    dtype = SCALAR_TYPES.get(info.dtype())
    if dtype is None:
        raise ModelFailed(f"the program has a tensor of ExecuTorch type {info.dtype()}, which is not supported")
    return TensorSpec(dtype, tuple(info.sizes()))
