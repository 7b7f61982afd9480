"""Codes one after the other: the probability of an item is the product of its codes' conditional probabilities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from server_training.models.config import ModelConfig
from server_training.models.heads.head import Head, Items, Targets
from server_training.models.items import CODE_SCALE
from server_training.models.objectives import Objective


class CodeHead(nn.Module):
    """Logits of the code at one level, given the state and the codes of the levels before it."""

    def __init__(self, level: int, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        tables = [nn.Embedding(config.codebook_size, d) for _ in range(level)]
        self.up = nn.Linear(d, 2 * d)
        self.down = nn.Linear(2 * d, d)
        self.norm = nn.LayerNorm(d)
        self.logits = nn.Linear(d, config.codebook_size)
        self.dropout = nn.Dropout(config.dropout)
        for table in tables:
            nn.init.normal_(table.weight, std=CODE_SCALE)
        self.prefix = nn.ModuleList(tables)

    def forward(self, state: Tensor, prefix: Tensor | None) -> Tensor:
        """Map `state` [..., d] and `prefix` [..., l] (None at level 0) to logits [..., K]."""
        x = state
        for level, table in enumerate(self.prefix):
            assert prefix is not None
            x = x + table(prefix[..., level])
        x = self.down(self.dropout(F.gelu(self.up(x))))
        logits: Tensor = self.logits(self.norm(state + x))
        return logits


class AutoregressiveHead(Head):
    """One `CodeHead` per level; a decode step costs one small MLP, whatever the length of the history.

    The loss is the cross-entropy of each code among those the catalog allows after its prefix, which is a full softmax
    over the catalog already: the objective chosen for retrieval heads does not apply.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.levels = nn.ModuleList(CodeHead(level, config) for level in range(config.levels))

    def logits(self, level: int, state: Tensor, prefix: Tensor | None) -> Tensor:
        """Logits [..., K] of the code at `level`, from `state` [..., d] and `prefix` [..., level]."""
        logits: Tensor = self.levels[level](state, prefix)
        return logits

    def loss(self, targets: Targets, items: Items, objective: Objective) -> Tensor:  # noqa: ARG002
        """Weighted sum of negative log-likelihoods."""
        states, wanted, weights = targets.flat()
        return (items.index.losses(self.logits, states, wanted) * weights).sum()

    def scores(self, states: Tensor, items: Items) -> Tensor:
        """Exact log-probabilities [N, n]."""
        return items.index.score_catalog(self.logits, states)
