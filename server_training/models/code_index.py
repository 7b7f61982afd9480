"""Tensors that answer, for a whole batch at once, which codes the catalog allows after a prefix.

Used by the training loss of code heads (soft-max over allowed codes only, exactly what the device's decoder normalises
over) and by exact scoring of the full catalog, the oracle that beam search is measured against.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from device_runtime import Catalog

FORBIDDEN = -1e9

LevelLogits = Callable[[int, Tensor, Tensor | None], Tensor]


class CodeIndex(nn.Module):
    """Allowed next codes per distinct prefix, for every level of one catalog.

    Attributes:
        codes: int64 [n, L], the catalog's rows.
    """

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", torch.from_numpy(catalog.codes.astype("int64")), persistent=False)
        self.levels = self.codes.shape[1]
        for level in range(self.levels):
            prefixes, owner = self._distinct_prefixes(level)
            allowed = torch.zeros(len(prefixes), catalog.codebook_size, dtype=torch.bool)
            allowed[owner, self.codes[:, level]] = True
            for name, tensor in (("allowed", allowed), ("prefixes", prefixes), ("owner", owner)):
                self.register_buffer(f"{name}_{level}", tensor, persistent=False)

    def _distinct_prefixes(self, level: int) -> tuple[Tensor, Tensor]:
        if level == 0:  # torch.unique refuses rows of width 0
            return self.codes[:1, :0], torch.zeros(len(self.codes), dtype=torch.int64)
        prefixes, owner = torch.unique(self.codes[:, :level], dim=0, return_inverse=True)
        return prefixes, owner

    def __len__(self) -> int:
        return len(self.codes)

    def _level(self, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """The distinct prefixes [P, l], the codes allowed after each [P, K], and each item's prefix [n]."""
        return (
            self.get_buffer(f"prefixes_{level}"),
            self.get_buffer(f"allowed_{level}"),
            self.get_buffer(f"owner_{level}"),
        )

    def losses(self, logits_of: LevelLogits, states: Tensor, items: Tensor) -> Tensor:
        """Negative log-likelihood [M] of `items` int64 [M] (catalog rows) given `states` [M, d], code after code.

        Args:
            logits_of: (level, states [..., d], prefixes [..., level] or None) -> logits [..., K].
            states: [M, d].
            items: int64 [M].
        """
        codes = self.codes[items]
        total = states.new_zeros(len(states))
        for level in range(self.levels):
            logits = logits_of(level, states, codes[:, :level] if level else None)
            _, allowed, owner = self._level(level)
            masked = logits.masked_fill(~allowed[owner[items]], FORBIDDEN)
            total = total + F.cross_entropy(masked, codes[:, level], reduction="none")
        return total

    def score_catalog(self, logits_of: LevelLogits, states: Tensor) -> Tensor:
        """Exact log-probability of every item, float32 [N, n], given `states` [N, d]."""
        scores = states.new_zeros(len(states), len(self.codes))
        for level in range(self.levels):
            prefixes, allowed, owner = self._level(level)
            wide = states[:, None].expand(-1, len(prefixes), -1)
            prefix = prefixes[None].expand(len(states), -1, -1) if level else None
            logits = logits_of(level, wide, prefix).masked_fill(~allowed, FORBIDDEN)
            scores += torch.log_softmax(logits, dim=-1)[:, owner, self.codes[:, level]]
        return scores
