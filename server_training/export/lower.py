"""Lowering: a (quantised) recommender becomes one ExecuTorch program with all its methods, weights stored once.

Importing this module imports ExecuTorch's exporter, which takes seconds; the commands import it when they need it.
"""

from __future__ import annotations

import warnings

import executorch.kernels.quantized  # noqa: F401  (registers the int8 embedding operators)
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from torch.export import Dim, ExportedProgram, export

from server_training.errors import ExportRefused
from server_training.models.methods import Method, lengths_of, methods_of, shape_of
from server_training.models.recommender import GenerativeRecommender


def lower_xnnpack(model: GenerativeRecommender, beam_width: int) -> bytes:
    """Export `model` through the XNNPACK delegate and return the `.pte` program.

    Raises:
        ExportRefused: the exporter fixed an axis whose length may vary.
    """
    varying = lengths_of(shape_of(model, beam_width))
    lengths = {name: Dim(name, min=least, max=most) for name, (least, most) in varying.items()}
    methods = methods_of(model, beam_width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream deprecations that say nothing about this model
        programs = {name: _exported(method, lengths) for name, method in methods.items()}
        edge = to_edge_transform_and_lower(programs, partitioner={name: [XnnpackPartitioner()] for name in programs})
        for name, method in methods.items():
            _check_varying(name, method, edge.exported_program(name), lengths)
        # Without this flag the int8 embedding tables stay float.
        program = edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True))
    return bytes(program.buffer)


def _exported(method: Method, lengths: dict[str, Dim]) -> ExportedProgram:
    shapes = tuple({a: lengths[name] for a, name in axes.items() if name in lengths} for axes in method.varying)
    return export(method.module.eval(), method.inputs, dynamic_shapes=shapes or None, strict=True)


def _check_varying(name: str, method: Method, program: ExportedProgram, lengths: dict[str, Dim]) -> None:
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
