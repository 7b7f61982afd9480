"""What is exported: the methods of each head, with example inputs of the static shapes they will have.

==============  ===========================================================================================
every head      encode(codes [1,T,L], features [1,T,R], actions [1,T], gaps [1,T], ages [1,T]) -> ...
autoregressive  ... (state [1,d], logits [1,K]);  decode_l(state [B,d], prefix [B,l]) -> logits [B,K]
parallel        ... (log-probabilities [1,L,K],)
retrieval       ... (query [1,d],);  items(codes [I,L], features [I,R]) -> keys [I,d]
retrieve-rank   ... (query [1,d], states [1,T,d]);  items(...) -> (keys [I,d], vectors [I,d]);
                rank(states [1,T,d], actions [1,T], vectors [1,B,d]) -> corrections [1,B]
==============  ===========================================================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from device_runtime import ITEMS_AT_ONCE
from server_training.models.heads import AutoregressiveHead, ParallelHead, RetrievalHead, RetrieveRankHead
from server_training.models.recommender import GenerativeRecommender

MethodInputs = dict[str, tuple[nn.Module, tuple[Tensor, ...]]]


def methods_of(model: GenerativeRecommender, beam_width: int) -> MethodInputs:
    """Return every exported method with its example inputs.

    Args:
        model: in evaluation mode.
        beam_width: B, hypotheses per decode step or candidates per ranking step.
    """
    c = model.config
    codes = torch.zeros(1, c.history_length, c.levels, dtype=torch.int64)
    features = torch.zeros(1, c.history_length, c.features)
    # Distinct tensors: torch.export takes one tensor given twice for one input.
    actions, gaps, ages = (torch.ones(1, c.history_length, dtype=torch.int64) for _ in range(3))
    methods: MethodInputs = {"encode": (_Encode(model), (codes, features, actions, gaps, ages))}
    if isinstance(model.head, AutoregressiveHead):
        for level in range(1, c.levels):
            state = torch.zeros(beam_width, c.width)
            prefix = torch.zeros(beam_width, level, dtype=torch.int64)
            methods[f"decode_{level}"] = (_Decode(model.head, level), (state, prefix))
    if isinstance(model.head, RetrievalHead):
        some = torch.zeros(ITEMS_AT_ONCE, c.levels, dtype=torch.int64)
        methods["items"] = (_Items(model), (some, torch.zeros(ITEMS_AT_ONCE, c.features)))
    if isinstance(model.head, RetrieveRankHead):
        states, seen = torch.zeros(1, c.history_length, c.width), torch.ones(1, c.history_length, dtype=torch.int64)
        methods["rank"] = (_Rank(model.head), (states, seen, torch.zeros(1, beam_width, c.width)))
    return methods


class _Encode(nn.Module):
    """One history -> what the head needs."""

    def __init__(self, model: GenerativeRecommender) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, codes: Tensor, features: Tensor, actions: Tensor, gaps: Tensor, ages: Tensor
    ) -> tuple[Tensor, ...]:
        states = self.model.states(codes, features, actions, gaps, ages)
        last, head = states[:, -1], self.model.head
        if isinstance(head, AutoregressiveHead):
            return last, head.logits(0, last, None)
        if isinstance(head, ParallelHead):
            return (head(last),)
        assert isinstance(head, RetrievalHead)
        query = head.query(last)
        return (query, states) if isinstance(head, RetrieveRankHead) else (query,)


class _Decode(nn.Module):
    """One decode step for every hypothesis of the beam."""

    def __init__(self, head: AutoregressiveHead, level: int) -> None:
        super().__init__()
        self.head = head.levels[level]

    def forward(self, state: Tensor, prefix: Tensor) -> Tensor:
        logits: Tensor = self.head(state, prefix)
        return logits


class _Items(nn.Module):
    """Vectors of a block of items, computed once when a bundle is opened."""

    def __init__(self, model: GenerativeRecommender) -> None:
        super().__init__()
        assert isinstance(model.head, RetrievalHead)
        self.items = model.items
        self.head = model.head

    def forward(self, codes: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        vectors = self.items(codes, features)
        keys = self.head.keys(vectors)
        return (keys, vectors) if isinstance(self.head, RetrieveRankHead) else (keys,)


class _Rank(nn.Module):
    """Corrections of the candidates' retrieval scores."""

    def __init__(self, head: RetrieveRankHead) -> None:
        super().__init__()
        self.ranker = head.ranker

    def forward(self, states: Tensor, actions: Tensor, vectors: Tensor) -> Tensor:
        corrections: Tensor = self.ranker(states, actions > 0, states[:, -1], vectors)
        return corrections
