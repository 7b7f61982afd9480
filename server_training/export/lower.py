"""Lowering: a recommender becomes one ExecuTorch program with all its methods, weights stored once.

Importing this module imports ExecuTorch's exporter, which takes seconds; the commands import it when they need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import executorch.kernels.quantized  # noqa: F401  (registers the int8 embedding operators)
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from torch import nn
from torch.export import Dim, ExportedProgram, export
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from device_runtime import ModelShape
from server_training.errors import ConfigInvalid, ExportRefused
from server_training.export.backends import BACKENDS, Backend, Quantization
from server_training.export.quantize import quantized
from server_training.export.samples import RealInputs
from server_training.models.methods import Method, lengths_of, methods_of, shape_of
from server_training.models.recommender import GenerativeRecommender

_CALIBRATED_ON = 64
_Lengths = dict[str, Dim]


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program, and what it was made from.

    Attributes:
        program: the `.pte` file.
        methods: what the program computes, as PyTorch modules: quantised, before the backend took over.
        shape: of the program.
        delegated: the methods after the backend took over: its parts, and the operators that it left.
    """

    program: bytes
    methods: Mapping[str, Method]
    shape: ModelShape
    delegated: Mapping[str, ExportedProgram]


def lower(
    model: GenerativeRecommender,
    beam_width: int,
    backend: Backend,
    quantization: Quantization,
    real: RealInputs | None = None,
) -> Lowered:
    """Quantise and export `model` for a backend.

    Args:
        model: in float; untouched.
        beam_width: B.
        backend: one of `BACKENDS`.
        quantization: one that the backend takes.
        real: inputs that `int8` is calibrated on; the others need none.

    Raises:
        ConfigInvalid: the backend's packages are missing, or it does not take the quantisation.
        ExportRefused: the exporter fixed an axis whose length may vary.
    """
    if quantization not in backend.quantizations:
        known = ", ".join(backend.quantizations)
        raise ConfigInvalid(f"backend {backend.name} does not take {quantization}; choose one of: {known}")
    missing = backend.missing()
    if missing is not None:
        raise ConfigInvalid(missing)
    shape = shape_of(model, beam_width, varying=backend.varying)
    lengths = {name: Dim(name, min=least, max=most) for name, (least, most) in lengths_of(shape).items()}
    small = quantized(model, "fp32" if quantization == "int8" else quantization)
    methods = methods_of(small, beam_width, varying=backend.varying)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream deprecations that say nothing about this model
        if quantization == "int8":
            if real is None:
                raise ConfigInvalid("int8 is calibrated on histories; give some")
            methods = {name: _calibrated(name, method, lengths, backend, real) for name, method in methods.items()}
        program, delegated = _program(methods, lengths, backend)
        return Lowered(program, methods, shape, delegated)


def lower_xnnpack(model: GenerativeRecommender, beam_width: int) -> bytes:
    """Export a model, quantised already or not, through the XNNPACK delegate and return the program."""
    lengths = lengths_of(shape_of(model, beam_width))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dims = {name: Dim(name, min=least, max=most) for name, (least, most) in lengths.items()}
        return _program(methods_of(model, beam_width), dims, BACKENDS["xnnpack"])[0]


def _program(
    methods: Mapping[str, Method], lengths: _Lengths, backend: Backend
) -> tuple[bytes, dict[str, ExportedProgram]]:
    programs = {name: _exported(method, lengths) for name, method in methods.items()}
    edge = to_edge_transform_and_lower(
        programs,
        partitioner={name: backend.partitioner(name) for name in programs},
        compile_config=backend.compile_config(),
    )
    delegated = {name: edge.exported_program(name) for name in methods}
    for name, method in methods.items():
        _check_varying(name, method, delegated[name], lengths)
    # Without this flag the int8 embedding tables stay float.
    program = edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True))
    return bytes(program.buffer), delegated


def _exported(method: Method, lengths: _Lengths) -> ExportedProgram:
    shapes = tuple({a: lengths[name] for a, name in axes.items() if name in lengths} for axes in method.varying)
    module: nn.Module = method.module
    return export(module, method.inputs, dynamic_shapes=shapes or None, strict=True)


def _calibrated(name: str, method: Method, lengths: _Lengths, backend: Backend, real: RealInputs) -> Method:
    """The method with all numbers int8, their scales from real inputs (PT2E)."""
    graph = _exported(replace(method, module=method.module.eval()), lengths).module(check_guards=backend.check_guards)
    prepared = prepare_pt2e(graph, backend.quantizer())
    seen = 0
    for inputs in real.of(name, _CALIBRATED_ON):
        prepared(*inputs)
        seen += 1
    if not seen:
        raise ConfigInvalid(f"no history is long enough to calibrate {name} on")
    return replace(method, module=convert_pt2e(prepared, fold_quantize=backend.fold_weights))


def _check_varying(name: str, method: Method, program: ExportedProgram, lengths: _Lengths) -> None:
    """Some operators fix a length silently on the way, and the program then fails on a device at any other."""
    given = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for position, axes in enumerate(method.varying):
        shape = nodes[str(given[position])].meta["val"].shape
        for axis, length in axes.items():
            if length in lengths and isinstance(shape[axis], int):
                raise ExportRefused(
                    f"the exporter fixed axis {axis} of input {position} of {name} at {shape[axis]}; the model uses an "
                    "operator that cannot vary in length (such as split or chunk): replace it by slices"
                )
