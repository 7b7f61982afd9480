"""bfloat16 is used where it pays, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from server_training.training.config import TrainConfig
from server_training.training.precision import is_low, multiplies_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_units", [True, False])
def test_a_processor_without_units_for_bfloat16_stays_with_float32(
    has_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_units)
    assert multiplies_bfloat16(CPU) is has_units
    assert is_low(TrainConfig(precision="bfloat16"), CPU) is has_units
    assert not is_low(TrainConfig(precision="float32"), CPU)
