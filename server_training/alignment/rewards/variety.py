"""Rewards for lists that show something new: far from what everybody sees, and unlike one another."""

from __future__ import annotations

import torch
from torch import Tensor

from server_training.alignment.rewards.reward import Shown


class Novelty:
    """Self-information of an item, -log2 of its share of training events, over that of an item seen once: 0 to 1.

    Args:
        counts: int64 [n], training events per catalog row; an item without counts as if it had one.
    """

    def __init__(self, counts: Tensor) -> None:
        share = counts.clamp(min=1).double() / counts.sum().clamp(min=2)
        bits = -share.log2()
        self._value = (bits / bits.max()).float()

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`."""
        return self._value[shown.rows.clamp(min=0)]


class Diversity:
    """1 minus the mean cosine to the other items of the list.

    Args:
        vectors: float [n, d], of catalog rows; an item of zeros is like no other.
    """

    def __init__(self, vectors: Tensor) -> None:
        self._unit = torch.nn.functional.normalize(vectors.float(), dim=1)

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`; 1 in a list of one."""
        members = self._unit[shown.rows.clamp(min=0)] * shown.real[..., None]
        others = members.sum(dim=-2, keepdim=True) - members
        count = (shown.real.sum(dim=-1, keepdim=True) - 1).clamp(min=1)
        return 1.0 - (members * others).sum(dim=-1) / count
