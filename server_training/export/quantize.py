"""Weight quantisation of the recommender by torchao; see `backends.Quantization` for the schemes."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerAxis, PerGroup
from torchao.quantization.quant_primitives import MappingType

from server_training.errors import ConfigInvalid
from server_training.export.backends import Quantization
from server_training.models.recommender import GenerativeRecommender

_GROUP = 32


def quantized(model: GenerativeRecommender, scheme: Quantization) -> GenerativeRecommender:
    """Return a copy of `model` in evaluation mode, weights quantised by `8da8w` or `8da4w`, or as they are (`fp32`).

    Raises:
        ConfigInvalid: `scheme` is not one of these.
    """
    if scheme not in ("8da8w", "8da4w", "fp32"):
        raise ConfigInvalid(f"quantisation {scheme!r} is not known; choose one of: 8da8w, 8da4w, fp32")
    copied = copy.deepcopy(model).eval()
    if scheme == "fp32":
        return copied
    rows = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    quantize_(copied, rows, lambda module, _: isinstance(module, nn.Embedding))
    wide = Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int8, weight_granularity=PerAxis(0), weight_mapping_type=MappingType.SYMMETRIC
    )
    if scheme == "8da4w":
        narrow = Int8DynamicActivationIntxWeightConfig(
            weight_dtype=torch.int4,  # type: ignore[attr-defined]
            weight_granularity=PerGroup(_GROUP),
            weight_mapping_type=MappingType.SYMMETRIC,
        )
        quantize_(copied, narrow, lambda module, _: isinstance(module, nn.Linear) and not module.in_features % _GROUP)
        # Maps of a few numbers do not divide into groups; they stay at 8 bits.
        quantize_(copied, wide, lambda module, _: isinstance(module, nn.Linear) and bool(module.in_features % _GROUP))
        return copied
    quantize_(copied, wide, lambda module, _: isinstance(module, nn.Linear))
    return copied
