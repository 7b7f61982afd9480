"""Lowering: a (quantised) recommender becomes one ExecuTorch program with all its methods, weights stored once.

Importing this module imports ExecuTorch's exporter, which takes seconds; the commands import it when they need it.
"""

from __future__ import annotations

import warnings

import executorch.kernels.quantized  # noqa: F401  (registers the int8 embedding operators)
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from torch.export import ExportedProgram, export

from server_training.models.methods import methods_of
from server_training.models.recommender import GenerativeRecommender


def lower_xnnpack(model: GenerativeRecommender, beam_width: int) -> bytes:
    """Export `model` through the XNNPACK delegate and return the `.pte` program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream deprecations that say nothing about this model
        programs: dict[str, ExportedProgram] = {
            name: export(module.eval(), inputs, strict=True)
            for name, (module, inputs) in methods_of(model, beam_width).items()
        }
        edge = to_edge_transform_and_lower(programs, partitioner={name: [XnnpackPartitioner()] for name in programs})
        # Without this flag the int8 embedding tables stay float.
        program = edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True))
    return bytes(program.buffer)
