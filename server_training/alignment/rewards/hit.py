"""Rewards that can be checked against what people did next."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.rewards.reward import Shown


@dataclass(frozen=True, slots=True)
class Hit:
    """1 for the item that came next, less for those after it.

    Attributes:
        decay: of each further event, as far as the prompts look ahead (REG4Rec rewards future items likewise).
    """

    decay: float = 0.5

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`; an item that comes twice counts by its first coming."""
        weights = self.decay ** torch.arange(shown.wanted.shape[1], dtype=torch.float32)
        same = (shown.rows[..., None] == shown.wanted[:, None, None]) & shown.real[..., None]
        return (same * weights).amax(dim=-1)


@dataclass(frozen=True, slots=True)
class RankPenalty:
    """Minus 1 / log2(rank + 1) for a wrong item at that rank, over the list's sum of those, where the list has a hit.

    The higher a wrong item stands above or near the right one, the worse. A list without the right item says nothing
    of which wrong item is worse (ReRe; `rere.py` of its code release).
    """

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`."""
        discounts = torch.where(shown.real, 1.0 / torch.log2(shown.ranks + 2.0), 0.0)
        wrong = shown.real & ~shown.next
        hit = shown.next.any(dim=-1, keepdim=True)
        return torch.where(wrong & hit, -discounts / discounts.sum(dim=-1, keepdim=True).clamp(min=1e-9), 0.0)
