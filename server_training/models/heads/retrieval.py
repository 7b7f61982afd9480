"""Dot products of the state with compositional item vectors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from server_training.models.config import ModelConfig
from server_training.models.heads.head import Head, Items, Targets
from server_training.models.objectives import Objective


class RetrievalHead(Head):
    """Scores are cosines over a temperature, or plain dot products when it is 0.

    Bounded cosines keep popular items from winning by length alone and let a few epochs suffice: on Amazon Beauty the
    same network reaches NDCG@10 .051 with cosines where dot products stop at .034 (20 epochs).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.temperature = config.temperature

    def query(self, states: Tensor) -> Tensor:
        """Map states [..., d] to queries [..., d]."""
        return F.normalize(states, dim=-1) / self.temperature if self.temperature else states

    def keys(self, vectors: Tensor) -> Tensor:
        """Map item vectors [..., d] to what queries are multiplied with."""
        return F.normalize(vectors, dim=-1) if self.temperature else vectors

    def loss(self, targets: Targets, items: Items, objective: Objective) -> Tensor:
        """Weighted sum of the objective's losses."""
        states, wanted, weights = targets.flat()
        return objective(self.query(states), self.keys(items.vectors), wanted, weights)

    def scores(self, states: Tensor, items: Items) -> Tensor:
        """Logits [N, n]."""
        return self.query(states) @ self.keys(items.vectors).T
