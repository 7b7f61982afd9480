"""All codes at once: independent given the state, so an item's score is a sum of look-ups."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server_training.models.config import ModelConfig
from server_training.models.heads.head import Head, Items, Targets
from server_training.models.objectives import Objective


class ParallelHead(Head):
    """Log-probabilities of every code of every level in one step (RPG: Hou et al., KDD 2025; REG4Rec).

    The loss is the sum over levels of the cross-entropy of the code; the objective for retrieval heads does not apply.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.shape = (config.levels, config.codebook_size)
        self.up = nn.Linear(config.width, 2 * config.width)
        self.logits = nn.Linear(2 * config.width, config.levels * config.codebook_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, state: Tensor) -> Tensor:
        """Map `state` [..., d] to log-probabilities [..., L, K]."""
        logits: Tensor = self.logits(self.dropout(F.gelu(self.up(state))))
        return torch.log_softmax(logits.reshape([*state.shape[:-1], *self.shape]), dim=-1)

    def loss(self, targets: Targets, items: Items, objective: Objective) -> Tensor:  # noqa: ARG002
        """Weighted sum of negative log-likelihoods of all codes."""
        states, wanted, weights = targets.flat()
        codes = items.index.codes[wanted]
        found: Tensor = self(states).gather(-1, codes[..., None])[..., 0].sum(dim=-1)
        return -(found * weights).sum()

    def scores(self, states: Tensor, items: Items) -> Tensor:
        """Sum of the codes' log-probabilities [N, n]."""
        tables = self(states)
        total = states.new_zeros(len(states), len(items.index))
        for level in range(self.shape[0]):
            total += tables[:, level][:, items.index.codes[:, level]]
        return total
