"""What a reward sees, and rewards added up by their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Shown:
    """Lists at P moments, and what is known of each moment.

    Attributes:
        rows: int64 [P, M, K], catalog rows, -1 where a list is shorter.
        ranks: int64 [P, M, K], place of each item in its list by the policy's probability, 0 for the most probable.
        history: int64 [P, T], catalog rows, the newest last, -1 where padded.
        wanted: int64 [P, S], catalog rows of what came next, -1 after the end.
        states: float [P, d], of the model that alignment started from, for learned rewards.
    """

    rows: Tensor
    ranks: Tensor
    history: Tensor
    wanted: Tensor
    states: Tensor

    @property
    def real(self) -> Tensor:
        """Bool [P, M, K]."""
        return self.rows >= 0

    @property
    def next(self) -> Tensor:
        """Bool [P, M, K]: whether the item is the very next one."""
        return (self.rows == self.wanted[:, None, None, 0]) & self.real


class Reward(Protocol):
    """Says what every item of every list is worth."""

    def __call__(self, shown: Shown) -> Tensor:
        """Return float32 [P, M, K]; what stands where a list is shorter does not matter."""
        ...


class WeightedRewards:
    """The sum of rewards times their weights.

    Args:
        parts: reward and weight by name; at least one.
    """

    def __init__(self, parts: Mapping[str, tuple[Reward, float]]) -> None:
        self._parts = dict(parts)

    def __call__(self, shown: Shown) -> Tensor:
        """Return the sum, float32 [P, M, K], 0 where a list is shorter."""
        total = torch.zeros(shown.rows.shape)
        for reward, weight in self._parts.values():
            total += weight * reward(shown)
        return torch.where(shown.real, total, 0.0)
