"""The fallback session: ExecuTorch's own Python runtime. Imports torch; seconds to start, hundreds of MB.

Known limit: this runtime aborts the process on some files that are not programs (its log line is not UTF-8), so it must
only see bytes whose hash a trusted publisher signed, which is what `Bundle` guarantees.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import numpy as np

from device_runtime.errors import BackendMissing, ModelFailed, RuntimeUnavailable
from device_runtime.runtime_report import RuntimeReport
from device_runtime.session import Array, MethodInfo, RuntimeSettings, TensorSpec, check_inputs
from device_runtime.thread_pool import hold_pool

# Where a table's fields are in its table of offsets: 4 + 2 · field.
_EXECUTION_PLAN, _NON_CONST_BUFFER_SIZES = 6, 20

_NOT_FOUND = "0x:20"  # of a method's backend; the runtime writes the name to stderr and does not hand it over


class PythonSession:
    """A program in ExecuTorch's Python runtime; calls from several threads wait for each other."""

    def __init__(self, model: bytes | memoryview, settings: RuntimeSettings, reason: str) -> None:
        """Load a program.

        Args:
            model: the program.
            settings: threads, memory, warm-up.
            reason: why this runtime, for `report`.

        Raises:
            RuntimeUnavailable: ExecuTorch or torch is not installed.
            ModelFailed: the program is damaged, needs what this runtime lacks, or does not fit the settings.
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
        self._runtime: Any = Runtime.get()
        self._settings, self._reason = settings, reason
        self._lock = threading.Lock()
        self._closed = False
        # Before the program is loaded: its methods keep a pointer into the pool.
        self._release = weakref.finalize(self, hold_pool(settings.threads, portable_lib._unsafe_reset_threadpool))
        try:
            # Methods read the model's bytes and do not keep them alive; the program does.
            data = bytes(model)
            self._program: Any = self._runtime.load_program(data, verification=Verification.InternalConsistency)
            _check_arena(data, settings.arena_bytes)
            names = sorted(self._program.method_names)
            self._methods = MappingProxyType({name: _spec(self._program.metadata(name)) for name in names})
            for name in names if settings.warm_up else ():
                self._program.load_method(name)
        except (RuntimeError, ValueError) as error:
            self.close()
            if _NOT_FOUND in str(error):
                raise BackendMissing(
                    f"the program cannot run here: {error}. ExecuTorch's Python runtime has: "
                    f"{', '.join(self._runtime.backend_registry.registered_backend_names)}. Install a bundle that was "
                    "exported for a backend that is there"
                ) from error
            raise ModelFailed(f"the program cannot be loaded: {error}; get the bundle again") from error
        except ModelFailed:
            self.close()
            raise

    @property
    def name(self) -> str:
        """`executorch-python`."""
        return "executorch-python"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The program's methods."""
        return self._methods

    @property
    def report(self) -> RuntimeReport:
        """What runs the program."""
        from importlib.metadata import version

        backends = tuple(sorted(self._runtime.backend_registry.registered_backend_names))
        settings = self._settings
        return RuntimeReport(
            self.name, self._reason, version("executorch"), settings.threads, settings.arena_bytes, backends
        )

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `Session.run`."""
        check_inputs(self._methods, method, inputs)
        with self._lock:
            if self._closed:
                raise ModelFailed("the session is closed; open it again")
            tensors = [self._torch.from_numpy(np.array(array)) for array in inputs]
            try:
                outputs = self._program.load_method(method).execute(tensors)
                return tuple(np.array(output.numpy()) for output in outputs)
            except RuntimeError as error:
                raise ModelFailed(f"{method} failed: {error}") from error

    def close(self) -> None:
        """Free the program; closing twice does nothing."""
        with self._lock:
            self._program = None
            self._closed = True
            self._release()


def _check_arena(model: bytes, most: int) -> None:
    """Refuse a program that plans more memory for its activations: of every arena, as much as the greediest method.

    The runtime does not tell, so the numbers are read from the program, whose structure it verified before.
    """
    planned = sum(map(max, zip_longest(*_planned_bytes(model), fillvalue=0)))
    if planned > most:
        raise ModelFailed(
            f"the program cannot be loaded: it plans {planned} bytes for activations, {most} are allowed; "
            "get the bundle again, or change the settings"
        )


def _planned_bytes(model: bytes) -> list[list[int]]:
    """For every method, the sizes of the arenas that it plans: `Program.execution_plan[…].non_const_buffer_sizes`.

    Fields 1 and 8 of their tables in ExecuTorch's schema/program.fbs. The accessors generated from it, which the wheel
    ships, refer to each other wrongly and cannot be called.
    """
    from flatbuffers import encode, number_types, packer
    from flatbuffers.table import Table

    program = Table(model, encode.Get(packer.uoffset, model, 0))
    plans, found = program.Offset(_EXECUTION_PLAN), []
    for index in range(program.VectorLen(plans) if plans else 0):
        plan = Table(model, program.Indirect(program.Vector(plans) + 4 * index))
        sizes = plan.Offset(_NON_CONST_BUFFER_SIZES)
        count = plan.VectorLen(sizes) if sizes else 0
        found.append([plan.Get(number_types.Int64Flags, plan.Vector(sizes) + 8 * n) for n in range(count)])
    return found


def _spec(meta: Any) -> MethodInfo:
    inputs = tuple(_tensor(meta.input_tensor_meta(i)) for i in range(meta.num_inputs()))
    return MethodInfo(inputs, tuple(_tensor(meta.output_tensor_meta(i)) for i in range(meta.num_outputs())))


def _tensor(info: Any) -> TensorSpec:
    return TensorSpec.of_program(info.dtype(), info.sizes())
