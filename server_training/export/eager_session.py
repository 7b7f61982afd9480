"""A session that runs methods in PyTorch: for what was lowered for a backend that this machine cannot run."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from device_runtime import MethodInfo, ModelShape
from device_runtime.session import Array, check_inputs
from server_training.models.methods import Method


class EagerSession:
    """The quantised methods as PyTorch computes them, before the backend took over."""

    def __init__(self, methods: Mapping[str, Method], shape: ModelShape) -> None:
        self._modules = {name: method.module for name, method in methods.items()}
        self._methods = {name: shape.longest(method) for name, method in shape.methods().items()}

    @property
    def name(self) -> str:
        """`pytorch`."""
        return "pytorch"

    @property
    def methods(self) -> Mapping[str, MethodInfo]:
        """The methods."""
        return self._methods

    def run(self, method: str, *inputs: Array) -> tuple[Array, ...]:
        """Run a method, see `device_runtime.Session.run`."""
        check_inputs(self._methods, method, inputs)
        with torch.no_grad():
            found = self._modules[method](*(torch.from_numpy(array) for array in inputs))
        return tuple(output.numpy() for output in (found if isinstance(found, tuple | list) else (found,)))

    def close(self) -> None:
        """Nothing to free."""
