"""The fallback session: ExecuTorch's own Python runtime. Imports torch; seconds to start, hundreds of MB.

Known limit: this runtime aborts the process on some files that are not programs (its log line is not UTF-8), so it must
only see bytes whose hash a trusted publisher signed, which is what `Bundle` guarantees.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from device_runtime.errors import BackendMissing, ModelFailed, RuntimeUnavailable
from device_runtime.session import Array, MethodInfo, TensorSpec, check_inputs

_NOT_FOUND = "0x:20"  # of a method's backend; the runtime writes the name to stderr and does not hand it over


class PythonSession:
    """A program in ExecuTorch's Python runtime; calls from several threads wait for each other.

    It runs on the process's thread pool as that is, plans the memory of every method apart, and loads all of them: no
    `RuntimeSettings` reach it.
    """

    def __init__(self, model: bytes | memoryview) -> None:
        """Load a program and all its methods.

        Raises:
            RuntimeUnavailable: ExecuTorch or torch is not installed.
            ModelFailed: the program is damaged or needs what this runtime lacks.
        """
        try:
            import executorch.kernels.quantized  # noqa: F401  (registers the operators of quantised programs)
            import torch
            from executorch.runtime import Runtime, Verification
        except (ImportError, OSError) as error:
            raise RuntimeUnavailable(
                f"ExecuTorch's Python runtime does not import ({error}); "
                "run `pip install 'meritrec[runtime]' torch==2.13.0`"
            ) from error
        self._torch: Any = torch
        self._lock = threading.Lock()
        self._closed = False
        try:
            program = Runtime.get().load_program(bytes(model), verification=Verification.InternalConsistency)
            # Methods read the model's bytes and do not keep them alive; the program does.
            self._program: Any = program
            self._loaded: dict[str, Any] = {n: program.load_method(n) for n in sorted(program.method_names)}
            self._methods = MappingProxyType({name: _spec(method) for name, method in self._loaded.items()})
        except (RuntimeError, ValueError) as error:
            if _NOT_FOUND in str(error):
                raise BackendMissing(
                    f"the program cannot run here: {error}. ExecuTorch's Python runtime has: "
                    f"{', '.join(Runtime.get().backend_registry.registered_backend_names)}. Install a bundle that was "
                    "exported for a backend that is there"
                ) from error
            raise ModelFailed(f"the program cannot be loaded: {error}; get the bundle again") from error

    @property
    def name(self) -> str:
        """`executorch-python`."""
        return "executorch-python"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The program's methods."""
        return self._methods

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `Session.run`."""
        check_inputs(self._methods, method, inputs)
        with self._lock:
            if self._closed:
                raise ModelFailed("the session is closed; open it again")
            tensors = [self._torch.from_numpy(np.array(array)) for array in inputs]
            try:
                outputs = self._loaded[method].execute(tensors)
                return tuple(np.array(output.numpy()) for output in outputs)
            except RuntimeError as error:
                raise ModelFailed(f"{method} failed: {error}") from error

    def close(self) -> None:
        """Free the program; closing twice does nothing."""
        with self._lock:
            self._loaded = {}
            self._program = None
            self._closed = True


def _spec(method: Any) -> MethodInfo:
    meta = method.metadata
    inputs = tuple(_tensor(meta.input_tensor_meta(i)) for i in range(meta.num_inputs()))
    return MethodInfo(inputs, tuple(_tensor(meta.output_tensor_meta(i)) for i in range(meta.num_outputs())))


def _tensor(info: Any) -> TensorSpec:
    return TensorSpec.of_program(info.dtype(), info.sizes())
