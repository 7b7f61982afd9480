"""Tensors that answer, for a whole batch at once, which codes the catalog allows after a prefix.

Used by the training loss (soft-max over allowed codes only, exactly what the device's decoder normalises over) and
by exact scoring of the full catalog, the oracle that beam search is measured against.
"""

from __future__ import annotations

import torch
from torch import Tensor

from device_runtime import Catalog
from server_training.models.generative import GenerativeRecommender

FORBIDDEN = -1e9


class CodeIndex:
    """Allowed next codes per distinct prefix, for every level of one catalog.

    Attributes:
        codes: int64 [n, L], the catalog's rows.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.codes = torch.from_numpy(catalog.codes.astype("int64"))
        self.levels = self.codes.shape[1]
        self._allowed: list[Tensor] = []  # [P_l, K] for the P_l distinct prefixes of length l
        self._prefixes: list[Tensor] = []  # [P_l, l]
        self._prefix_of_item: list[Tensor] = []  # [n]
        for level in range(self.levels):
            prefixes, owner = self._distinct_prefixes(level)
            allowed = torch.zeros(len(prefixes), catalog.codebook_size, dtype=torch.bool)
            allowed[owner, self.codes[:, level]] = True
            self._prefixes.append(prefixes)
            self._allowed.append(allowed)
            self._prefix_of_item.append(owner)

    def _distinct_prefixes(self, level: int) -> tuple[Tensor, Tensor]:
        if level == 0:  # torch.unique refuses rows of width 0
            return self.codes[:1, :0], torch.zeros(len(self.codes), dtype=torch.int64)
        prefixes, owner = torch.unique(self.codes[:, :level], dim=0, return_inverse=True)
        return prefixes, owner

    def loss(self, model: GenerativeRecommender, states: Tensor, items: Tensor) -> Tensor:
        """Mean negative log-likelihood of `items` int64 [M] (catalog rows) given `states` [M, d]."""
        codes = self.codes[items]
        total = states.new_zeros(())
        for level in range(self.levels):
            logits = model.code_logits(level, states, codes[:, :level] if level else None)
            allowed = self._allowed[level][self._prefix_of_item[level][items]]
            masked = logits.masked_fill(~allowed, FORBIDDEN)
            total = total + torch.nn.functional.cross_entropy(masked, codes[:, level])
        return total

    def score_catalog(self, model: GenerativeRecommender, states: Tensor) -> Tensor:
        """Exact log-probability of every item, float32 [N, n], given `states` [N, d]."""
        scores = states.new_zeros(len(states), len(self.codes))
        for level in range(self.levels):
            prefixes = self._prefixes[level]
            wide = states[:, None].expand(-1, len(prefixes), -1)
            prefix = prefixes[None].expand(len(states), -1, -1) if level else None
            logits = model.code_logits(level, wide, prefix).masked_fill(~self._allowed[level], FORBIDDEN)
            scores += torch.log_softmax(logits, dim=-1)[:, self._prefix_of_item[level], self.codes[:, level]]
        return scores
