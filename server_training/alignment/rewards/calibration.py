"""Whether a list shows somebody's tastes in their own proportions.

Miscalibration is the KL of the list's shares of categories from those of the history, the former mixed with a little of
the latter so that it stays finite (Steck, "Calibrated recommendations", RecSys 2018). An item's reward is what the list
would lose without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from server_training.alignment.rewards.reward import Shown

_MIXED = 0.01


class Categories:
    """Shares of categories per item.

    Args:
        table: float [n, C]; each row sums to 1, or to 0 for an item without category.
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table.float()

    @classmethod
    def of(cls, attributes: Sequence[Sequence[str]], codes: Tensor) -> Categories:
        """From the attributes of catalog rows, each item's sharing it alike; from first codes where no item has any.

        Attributes with a number, such as `release_year:1995`, are measures, not tastes, and are left out.

        Args:
            attributes: per catalog row.
            codes: int64 [n, L].
        """
        names = sorted({name for item in attributes for name in item if ":" not in name})
        if not names:
            return cls(torch.nn.functional.one_hot(codes[:, 0]).float())
        place = {name: column for column, name in enumerate(names)}
        table = torch.zeros(len(attributes), len(names))
        for row, item in enumerate(attributes):
            columns = [place[name] for name in item if name in place]
            for column in columns:
                table[row, column] += 1.0 / len(columns)
        return cls(table)

    def shares(self, rows: Tensor) -> Tensor:
        """Shares [..., C] among the items `rows` int64 [..., T], -1 counting nothing; zeros where none has any."""
        total = self.sums(rows)
        return total / total.sum(dim=-1, keepdim=True).clamp(min=1e-9)

    def sums(self, rows: Tensor) -> Tensor:
        """Summed shares [..., C] of the items `rows` int64 [..., T]."""
        return (self.table[rows.clamp(min=0)] * (rows >= 0)[..., None]).sum(dim=-2)


def miscalibration(history: Tensor, shown: Tensor) -> Tensor:
    """KL [...] of the shares `shown` [..., C] from the shares `history` [..., C]; 0 where the history has none."""
    mixed = (1 - _MIXED) * shown + _MIXED * history
    terms = torch.where(history > 0, history * (history / mixed.clamp(min=1e-12)).clamp(min=1e-12).log(), 0.0)
    return terms.sum(dim=-1)


class Calibration:
    """How much more miscalibrated the list would be without the item.

    Args:
        categories: of catalog rows.
    """

    def __init__(self, categories: Categories) -> None:
        self._categories = categories

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`; 0 in a list of one."""
        history = self._categories.shares(shown.history)[:, None]
        total = self._categories.sums(shown.rows)
        own = self._categories.table[shown.rows.clamp(min=0)] * shown.real[..., None]
        whole = miscalibration(history, _scaled(total))
        without = miscalibration(history[:, :, None], _scaled(total[..., None, :] - own))
        several = shown.real.sum(dim=-1, keepdim=True) > 1
        return torch.where(several, without - whole[..., None], 0.0)


def _scaled(sums: Tensor) -> Tensor:
    return sums / sums.sum(dim=-1, keepdim=True).clamp(min=1e-9)
