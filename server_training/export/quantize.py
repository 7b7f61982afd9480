"""Post-training quantisation of the recommender, for the ExecuTorch XNNPACK backend.

`8da8w` (the default): int8 weights per output channel, int8 activations scaled per token at run time, int8 embedding
tables per row. `fp32` leaves the model as it is. Both go through the same export, so the two are comparable.
"""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import nn
from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerAxis
from torchao.quantization.quant_primitives import MappingType

from server_training.errors import ConfigInvalid
from server_training.models.recommender import GenerativeRecommender

Quantization = Literal["8da8w", "fp32"]


def quantized(model: GenerativeRecommender, scheme: Quantization) -> GenerativeRecommender:
    """Return a quantised copy of `model` in evaluation mode; the original is untouched.

    Raises:
        ConfigInvalid: `scheme` is not one of the known ones.
    """
    if scheme not in get_args(Quantization):
        known = ", ".join(get_args(Quantization))
        raise ConfigInvalid(f"quantisation {scheme!r} is not known; choose one of: {known}")
    copied = copy.deepcopy(model).eval()
    if scheme == "fp32":
        return copied
    rows = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    channels = Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int8,
        weight_granularity=PerAxis(0),
        weight_mapping_type=MappingType.SYMMETRIC,
    )
    quantize_(copied, rows, lambda module, _: isinstance(module, nn.Embedding))
    quantize_(copied, channels, lambda module, _: isinstance(module, nn.Linear))
    return copied
