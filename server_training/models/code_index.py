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
_BLOCK = 4096  # prefixes of histories that are scored at once

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
            # After most prefixes one code short of an item the catalog allows one code, whose probability is 1.
            forks = (allowed.sum(dim=1) > 1).nonzero()[:, 0]
            for name, tensor in (("allowed", allowed), ("prefixes", prefixes), ("owner", owner), ("forks", forks)):
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

    def owners(self, level: int) -> Tensor:
        """Int64 [n]: which of the distinct prefixes of `level` codes each item has; with all codes, the item itself."""
        if level == self.levels:
            return torch.arange(len(self.codes), device=self.codes.device)
        return self._level(level)[2]

    def branches(self, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """What follows the prefixes of `level` codes.

        Returns:
            The distinct prefixes [P, level]; int64 [P, K], the prefix of one more code that each code leads to, -1
            where the catalog allows none; and int64 [C], how many items have each of those.
        """
        prefixes, allowed, owner = self._level(level)
        longer = self.owners(level + 1)
        children = torch.full(allowed.shape, -1, dtype=torch.int64, device=owner.device)
        children[owner, self.codes[:, level]] = longer
        return prefixes, children, torch.bincount(longer)

    def losses(self, logits_of: LevelLogits, states: Tensor, items: Tensor) -> Tensor:
        """Negative log-likelihood [M] of `items` int64 [M] (catalog rows) given `states` [M, d], code after code.

        Args:
            logits_of: (level, states [..., d], prefixes [..., level] or None) -> logits [..., K].
            states: [M, d].
            items: int64 [M].
        """
        return self.code_losses(logits_of, states, items).sum(dim=1)

    def code_losses(self, logits_of: LevelLogits, states: Tensor, items: Tensor) -> Tensor:
        """As `losses`, of every code alone: [M, L]."""
        codes = self.codes[items]
        losses = states.new_zeros(codes.shape)
        for level in range(self.levels):
            _, allowed, owner = self._level(level)
            prefix = owner[items]
            uncertain = torch.isin(prefix, self.get_buffer(f"forks_{level}")).nonzero()[:, 0]
            wanted = codes[uncertain]
            logits = logits_of(level, states[uncertain], wanted[:, :level] if level else None)
            masked = logits.masked_fill(~allowed[prefix[uncertain]], FORBIDDEN)
            losses[uncertain, level] = F.cross_entropy(masked, wanted[:, level], reduction="none")
        return losses

    def score_catalog(self, logits_of: LevelLogits, states: Tensor) -> Tensor:
        """Exact log-probability of every item, float32 [N, n], given `states` [N, d]."""
        scores = states.new_zeros(len(states), len(self.codes))
        for level in range(self.levels):
            prefixes, allowed, owner = self._level(level)
            forks = self.get_buffer(f"forks_{level}")
            rows = torch.isin(owner, forks).nonzero()[:, 0]
            fork, code = torch.searchsorted(forks, owner[rows]), self.codes[rows, level]
            # In blocks that stay in the processor's cache: the whole would be written to memory several times.
            for start in range(0, len(states), block := max(1, _BLOCK // max(1, len(forks)))):
                wide = states[start : start + block, None].expand(-1, len(forks), -1)
                prefix = prefixes[forks].expand(len(wide), -1, -1) if level else None
                logits = logits_of(level, wide, prefix).masked_fill(~allowed[forks], FORBIDDEN)
                scores[start : start + block, rows] += torch.log_softmax(logits, dim=-1)[:, fork, code]
        return scores
