"""A session that runs what was delegated to TOSA on Arm's reference model, and the operators left over in PyTorch.

The reference model (package tosa-tools) defines what TOSA's operators compute, bit by bit; the compilers for Ethos-U
and for Vulkan's ML extensions start from the same graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from executorch.exir.lowered_backend_module import LoweredBackendModule, executorch_call_delegate
from torch.export import ExportedProgram
from torch.fx import Interpreter

from device_runtime import MethodInfo, ModelFailed, ModelShape
from device_runtime.session import Array, check_inputs

_BACKEND = "TOSABackend"


class ReferenceSession:
    """The delegated methods, node by node; slow."""

    def __init__(self, delegated: Mapping[str, ExportedProgram], shape: ModelShape) -> None:
        self._programs = {name: _OnReference(program.module(check_guards=False)) for name, program in delegated.items()}
        self._methods = {name: shape.longest(method) for name, method in shape.methods().items()}

    @property
    def name(self) -> str:
        """`tosa-reference-model`."""
        return "tosa-reference-model"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The methods."""
        return self._methods

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `device_runtime.Session.run`."""
        check_inputs(self._methods, method, inputs)
        with torch.no_grad():
            found = self._programs[method].run(*(torch.from_numpy(array) for array in inputs))
        return tuple(output.numpy() for output in (found if isinstance(found, tuple | list) else (found,)))

    def close(self) -> None:
        """Nothing to free."""


class _OnReference(Interpreter):
    """Runs a graph; calls of the delegate go to the reference model."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is executorch_call_delegate:
            part, *inputs = args
            return _delegate(part, inputs)
        return super().call_function(target, args, kwargs)


def _delegate(part: LoweredBackendModule, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    import tosa_reference_model

    if part.backend_id != _BACKEND:
        raise ModelFailed(f"the reference model runs {_BACKEND}, not {part.backend_id}; export for tosa")
    arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
    outputs, status = tosa_reference_model.run(part.processed_bytes, arrays, verbosity="LOW")
    if status != tosa_reference_model.GraphStatus.TOSA_VALID:
        raise ModelFailed(f"the reference model calls the graph {status.name}; report it with the versions installed")
    # It has its own idea of integer types and of the shapes of scalars; the graph states what comes next.
    wanted = [node.meta["val"] for node in part.original_module.graph.output_node().args[0]]
    return [
        torch.from_numpy(array).to(want.dtype).reshape(want.shape) for array, want in zip(outputs, wanted, strict=True)
    ]
