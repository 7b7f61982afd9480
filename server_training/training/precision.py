"""Which numbers matrix products are made of, given what the processor can do."""

from __future__ import annotations

import torch

from server_training.training.config import TrainConfig


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether a device has units for bfloat16; others emulate it, at many times the cost of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def is_low(config: TrainConfig, device: torch.device) -> bool:
    """Return whether matrix products take bfloat16: where it is asked for and pays."""
    return config.precision == "bfloat16" and multiplies_bfloat16(device)
