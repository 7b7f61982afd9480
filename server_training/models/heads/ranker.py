"""Retrieve, then rank: candidates by dot product, re-ordered by one cross-attention over the history (GRank)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server_training.models.backbones.history import HIDDEN, attention
from server_training.models.config import ModelConfig
from server_training.models.heads.head import Items, Targets
from server_training.models.heads.retrieval import RetrievalHead
from server_training.models.objectives import Objective, pairwise_pointwise

CANDIDATES = 200


class Ranker(nn.Module):
    """Adds to each candidate's retrieval score what its attention over the history says."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.query, self.keys, self.values = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.norm = nn.LayerNorm(d)
        self.up = nn.Linear(3 * d, 2 * d)
        self.down = nn.Linear(2 * d, 1)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.down.weight)  # starts as pure retrieval

    def forward(self, states: Tensor, real: Tensor, last: Tensor, candidates: Tensor) -> Tensor:
        """Return corrections [N, C].

        Args:
            states: [N, T, d], the history.
            real: bool [N, T], what of it may be looked at.
            last: [N, d], the state that retrieved.
            candidates: [N, C, d], item vectors.
        """
        n, c, d = candidates.shape
        query = self._split(self.query(self.norm(candidates)))
        mask = ((1.0 - real.to(states.dtype)) * HIDDEN)[:, None, None]
        seen = attention(query, self._split(self.keys(states)), self._split(self.values(states)), mask, 0.0)
        seen = seen.transpose(1, 2).reshape(n, c, d)
        both = torch.cat([seen, self.norm(candidates), last[:, None].expand(-1, c, -1)], dim=-1)
        correction: Tensor = self.down(self.dropout(F.gelu(self.up(both))))[..., 0]
        return correction

    def _split(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        return x.reshape(n, t, self.heads, d // self.heads).transpose(1, 2)


class RetrieveRankHead(RetrievalHead):
    """Retrieval plus a ranker over the best 200.

    The ranker learns on one position per history and step, on the candidates that retrieval puts first there, by
    softmax, pointwise and pairwise losses together.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.ranker = Ranker(config)

    def loss(self, targets: Targets, items: Items, objective: Objective) -> Tensor:
        """Weighted sum of the retrieval objective, and the ranker's losses scaled to as many targets."""
        return super().loss(targets, items, objective) + self._ranking_loss(targets, items)

    def _ranking_loss(self, targets: Targets, items: Items) -> Tensor:
        wanted = targets.wanted[..., 0]
        known = wanted >= 0
        rows = known.any(dim=1)
        # The newest position of each history that has a target; windows end at different events, so all are met.
        length = wanted.shape[1]
        places = torch.arange(length, device=wanted.device)
        newest = torch.where(known, places, -1).amax(dim=1)[rows]
        states, real, wanted = targets.states[rows], targets.real[rows], wanted[rows]
        mine = torch.arange(len(states), device=states.device)
        last, positives = states[mine, newest], wanted[mine, newest]
        with torch.no_grad():
            scores = self.scores(last, items)
            scores[mine, positives] = torch.inf  # the positive is always a candidate, and the first
            candidates = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1).indices
        upto = real & (places[None] <= newest[:, None])
        logits = self.rerank(states, upto, last, candidates, items)
        return pairwise_pointwise(logits) * known.sum() / max(len(states), 1)

    def rerank(self, states: Tensor, real: Tensor, last: Tensor, candidates: Tensor, items: Items) -> Tensor:
        """Scores [N, C] of `candidates` int64 [N, C] (catalog rows), on the scale of the retrieval logits."""
        vectors = items.vectors[candidates]
        retrieved = torch.einsum("nd,ncd->nc", self.query(last), self.keys(vectors))
        correction: Tensor = self.ranker(states, real, last, vectors)
        return retrieved + correction
