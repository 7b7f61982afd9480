"""Lowering: a (quantised) recommender becomes one ExecuTorch program with all its methods, weights stored once.

Importing this module imports ExecuTorch's exporter, which takes seconds; the commands import it when they need it.
"""

from __future__ import annotations

import warnings

import executorch.kernels.quantized  # noqa: F401  (registers the int8 embedding operators)
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from torch import Tensor, nn
from torch.export import ExportedProgram, export

from server_training.models.generative import DecodeMethod, EncodeMethod, GenerativeRecommender

MethodInputs = dict[str, tuple[nn.Module, tuple[Tensor, ...]]]


def methods_of(model: GenerativeRecommender, beam_width: int) -> MethodInputs:
    """Return every exported method with example inputs of the static shapes it will have."""
    c = model.config
    codes = torch.zeros(1, c.history_length, c.levels, dtype=torch.int64)
    # Distinct tensors: torch.export takes one tensor given twice for one input.
    actions, gaps = (torch.ones(1, c.history_length, dtype=torch.int64) for _ in range(2))
    methods: MethodInputs = {"encode": (EncodeMethod(model), (codes, actions, gaps))}
    for level in range(1, c.levels):
        state = torch.zeros(beam_width, c.width)
        prefix = torch.zeros(beam_width, level, dtype=torch.int64)
        methods[f"decode_{level}"] = (DecodeMethod(model, level), (state, prefix))
    return methods


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
