"""What is exported: the methods of each head, with example inputs and the axes whose length may vary.

==============  ===========================================================================================
every head      encode(codes [1,t,L], features [1,t,R], actions [1,t], gaps [1,t], ages [1,t]) -> ...
autoregressive  ... (state [1,d], logits [1,K]);  decode_l(state [b,d], prefix [b,l]) -> logits [b,K]
parallel        ... (log-probabilities [1,L,K],)
retrieval       ... (query [1,d],);  items(codes [I,L], features [I,R]) -> keys [I,d]
retrieve-rank   ... (query [1,d], states [1,t,d]);  items(...) -> (keys [I,d], vectors [I,d]);
                rank(states [1,t,d], actions [1,t], vectors [1,b,d]) -> corrections [1,b]
==============  ===========================================================================================

A model with asks takes one input more, the last one: asks [1,A]. A model with adapters gives more outputs behind those
above: queries [1,H,d] of its H adapters that give one, logits [1,C] of its taxonomy.

Backbones that remember give one output more, the last one, the memory [1,S,t,d], and one method more:
extend(codes [1,2,L], features [1,2,R], actions [1,2], gaps [1,2], past ages [1,p], ages [1,2], memory [1,S,p,d]) ->
what encode gives, for the newest two of p + 2 events.

Every index is clamped to its table inside the program: ExecuTorch's int8 embedding kernels abort the process otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from device_runtime import ITEMS_AT_ONCE, N_ACTIONS, N_GAPS, RESUMED, TAXONOMY, ModelShape
from server_training.models.adapters import Adapters, Encoded
from server_training.models.config import ModelConfig
from server_training.models.heads import AutoregressiveHead, ParallelHead, RetrievalHead, RetrieveRankHead
from server_training.models.recommender import GenerativeRecommender

SHORTEST = 2  # of an axis that varies: exporters take lengths 0 and 1 for constants


@dataclass(frozen=True, slots=True)
class Method:
    """One method to be exported.

    Attributes:
        module: in evaluation mode.
        inputs: examples, every varying axis at its longest.
        varying: per input, the axes whose length may vary and the name of that length.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    varying: tuple[Mapping[int, str], ...] = field(default=())


def shape_of(model: GenerativeRecommender, beam_width: int, *, varying: bool = True) -> ModelShape:
    """Return the sizes that the manifest states, for a program whose lengths vary as far as they can, or not at all."""
    c = model.config
    return ModelShape(
        head=c.head,
        history_length=c.history_length,
        shortest_history=min(SHORTEST, c.history_length) if varying else c.history_length,
        beam_width=beam_width,
        least_beam=min(SHORTEST, beam_width) if varying else beam_width,
        levels=c.levels,
        codebook_size=c.codebook_size,
        features=c.features,
        state_width=c.width,
        memory_rows=2 * c.layers + c.pools if varying and remembers(model) else 0,
        asks=c.asks,
        ask_levels=c.ask_levels if c.asks else 1,
        adapters=c.adapters,
        categories=c.categories if TAXONOMY in c.adapters else 0,
    )


def default_weights(model: GenerativeRecommender) -> dict[str, float]:
    """The weights of a model's adapters where a request says nothing, for the manifest."""
    if model.adapters is None:
        return {}
    return dict(zip(model.adapters.names, (round(float(w), 6) for w in model.adapters.weights), strict=True))


def window_step(shape: ModelShape) -> int:
    """In what steps the window moves over a history longer than it, see `device_runtime.Reading`."""
    return max(1, shape.history_length // 8) if shape.memory_rows else 1


def lengths_of(shape: ModelShape) -> dict[str, tuple[int, int]]:
    """Return the least and most of every varying length, by name: t events, p events remembered, b hypotheses."""
    most = shape.history_length
    lengths = {"t": (shape.shortest_history, most), "b": (shape.least_beam, shape.beam_width)}
    if shape.memory_rows:
        lengths["p"] = (SHORTEST, most - RESUMED)
    return {name: (least, longest) for name, (least, longest) in lengths.items() if least < longest}


def remembers(model: GenerativeRecommender) -> bool:
    """Whether the model can go on from what it remembers of earlier events."""
    return model.config.backbone != "sasrec" and model.config.history_length > SHORTEST + RESUMED


def methods_of(model: GenerativeRecommender, beam_width: int, *, varying: bool = True) -> dict[str, Method]:
    """Return every exported method by name.

    Args:
        model: in evaluation mode.
        beam_width: B, most hypotheses per decode step or candidates per ranking step.
        varying: whether lengths may vary; a program of fixed lengths remembers nothing.
    """
    methods = _varying_methods(model, beam_width, memory=varying and remembers(model))
    return methods if varying else {name: Method(m.module, m.inputs) for name, m in methods.items()}


def _varying_methods(model: GenerativeRecommender, beam_width: int, *, memory: bool) -> dict[str, Method]:
    c = model.config
    codes = torch.zeros(1, c.history_length, c.levels, dtype=torch.int64)
    features = torch.zeros(1, c.history_length, c.features)
    # Distinct tensors: torch.export takes one tensor given twice for one input.
    actions, gaps, ages = (torch.ones(1, c.history_length, dtype=torch.int64) for _ in range(3))
    over_time: Mapping[int, str] = {1: "t"}
    asks = asks_example(c)
    inputs = (codes, features, actions, gaps, ages, *asks)
    methods = {"encode": Method(_Encode(model, memory=memory), inputs, ((over_time,) * 5 + ({},) * len(asks)))}
    if memory:
        methods["extend"] = _extend(model)
    if isinstance(model.head, AutoregressiveHead):
        for level in range(1, c.levels):
            state = torch.zeros(beam_width, c.width)
            prefix = torch.zeros(beam_width, level, dtype=torch.int64)
            methods[f"decode_{level}"] = Method(_Decode(model, level), (state, prefix), ({0: "b"}, {0: "b"}))
    if isinstance(model.head, RetrievalHead):
        some = torch.zeros(ITEMS_AT_ONCE, c.levels, dtype=torch.int64)
        methods["items"] = Method(_Items(model), (some, torch.zeros(ITEMS_AT_ONCE, c.features)))
    if isinstance(model.head, RetrieveRankHead):
        states, seen = torch.zeros(1, c.history_length, c.width), torch.ones(1, c.history_length, dtype=torch.int64)
        ranked = (states, seen, torch.zeros(1, beam_width, c.width))
        methods["rank"] = Method(_Rank(model.head), ranked, (over_time, over_time, {1: "b"}))
    return methods


def _extend(model: GenerativeRecommender) -> Method:
    c = model.config
    past = c.history_length - RESUMED
    actions, gaps, ages = (torch.ones(1, RESUMED, dtype=torch.int64) for _ in range(3))
    inputs = (
        torch.zeros(1, RESUMED, c.levels, dtype=torch.int64),
        torch.zeros(1, RESUMED, c.features),
        *(actions, gaps),
        torch.ones(1, past, dtype=torch.int64),
        ages,
        torch.zeros(1, 2 * c.layers + c.pools, past, c.width),
    )
    asks = asks_example(c)
    return Method(_Extend(model), (*inputs, *asks), ({}, {}, {}, {}, {1: "p"}, {}, {2: "p"}, *({},) * len(asks)))


def asks_example(config: ModelConfig) -> tuple[Tensor, ...]:
    """An input of asks, int64 [1, A], all at their highest level; nothing for a model without."""
    return (torch.full((1, len(config.asks)), config.ask_levels),) if config.asks else ()


class _Encode(nn.Module):
    """One history -> what the head needs."""

    def __init__(self, model: GenerativeRecommender, *, memory: bool) -> None:
        super().__init__()
        self.model = model
        self.memory = memory

    def forward(
        self,
        codes: Tensor,
        features: Tensor,
        actions: Tensor,
        gaps: Tensor,
        ages: Tensor,
        asks: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        codes, actions, gaps = _inside(self.model, codes, actions, gaps)
        alone = not isinstance(self.model.head, RetrieveRankHead)
        encoded, remembered = self.model.remembering(codes, features, actions, gaps, ages, only_last=alone)
        found = _read(self.model, encoded, asks)
        return (*found, torch.stack(remembered, dim=1)) if self.memory else found


class _Extend(nn.Module):
    """The newest events of a history of which the rest is remembered -> what the head needs."""

    def __init__(self, model: GenerativeRecommender) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        codes: Tensor,
        features: Tensor,
        actions: Tensor,
        gaps: Tensor,
        past_ages: Tensor,
        ages: Tensor,
        past: Tensor,
        asks: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        codes, actions, gaps = _inside(self.model, codes, actions, gaps)
        every = torch.cat([past_ages, ages], dim=1)
        alone = not isinstance(self.model.head, RetrieveRankHead)
        encoded, remembered = self.model.resumed(codes, features, actions, gaps, every, past, only_last=alone)
        return (*_read(self.model, encoded, asks), torch.stack(remembered, dim=1))


class _Decode(nn.Module):
    """One decode step for every hypothesis of the beam."""

    def __init__(self, model: GenerativeRecommender, level: int) -> None:
        super().__init__()
        assert isinstance(model.head, AutoregressiveHead)
        self.head = model.head.levels[level]
        self.codebook_size = model.config.codebook_size

    def forward(self, state: Tensor, prefix: Tensor) -> Tensor:
        logits: Tensor = self.head(state, prefix.clamp(0, self.codebook_size - 1))
        return logits


class _Items(nn.Module):
    """Vectors of a block of items, computed once when a bundle is opened."""

    def __init__(self, model: GenerativeRecommender) -> None:
        super().__init__()
        assert isinstance(model.head, RetrievalHead)
        self.items = model.items
        self.head = model.head
        self.codebook_size = model.config.codebook_size

    def forward(self, codes: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        vectors = self.items(codes.clamp(0, self.codebook_size), features)
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


def _inside(
    model: GenerativeRecommender, codes: Tensor, actions: Tensor, gaps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices as they are where they are valid, and valid ones elsewhere."""
    c = model.config
    return codes.clamp(0, c.codebook_size), actions.clamp(0, N_ACTIONS - 1), gaps.clamp(0, N_GAPS - 1)


def _read(model: GenerativeRecommender, encoded: Encoded, asks: Tensor | None) -> tuple[Tensor, ...]:
    """What the heads make of the states [1, T, d]."""
    states, head = encoded.states, model.head
    last = model.asked(states[:, -1], asks)
    if isinstance(head, AutoregressiveHead):
        return last, head.logits(0, last, None)
    if isinstance(head, ParallelHead):
        return (head(last),)
    assert isinstance(head, RetrievalHead)
    query = head.query(last)
    if isinstance(head, RetrieveRankHead):
        return query, states
    return (query, *(() if model.adapters is None else _adapted(model.adapters, head, encoded.newest())))


def _adapted(adapters: Adapters, head: RetrievalHead, newest: Encoded) -> tuple[Tensor, ...]:
    """Queries [1, H, d] and logits [1, C], as far as there are any."""
    queries, logits = adapters.queries(head, newest), adapters.logits(newest.states[:, 0])
    return tuple(part for part in (None if queries is None else queries[:, 0], logits) if part is not None)
