"""A model that goes on from what it remembers answers as one that reads everything again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_runtime import Action, Catalog, Encoder, HistoryEvent, ModelFailed, Reading, encode_history

CATALOG = Catalog.build(
    [f"i{n}" for n in range(9)], [[n // 3, n % 3] for n in range(9)], 4, None, [[n] for n in range(9)]
)
WIDTH = 3


class Sums:
    """A causal model of two layers: each state is a weighted sum over the events before it.

    It counts the positions that it computes. Gaps and differences of ages enter; ages alone do not.
    """

    def __init__(self, *, states: bool) -> None:
        self.states = states
        self.computed = 0

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        if method == "encode":
            codes, features, actions, gaps, ages = inputs
            past = np.zeros((1, 2, 0, WIDTH), np.float32)
            every = ages
        else:
            codes, features, actions, gaps, past_ages, ages, past = inputs
            assert past_ages.shape == (1, past.shape[2])
            assert past.shape[2] >= 2
            every = np.concatenate([past_ages, ages], axis=1)
        self.computed += codes.shape[1]
        x = (codes.sum(-1) + 5 * features[..., 0] + 0.1 * actions + 0.01 * gaps)[..., None] * np.ones(WIDTH)
        memory = []
        for layer in range(2):
            keys = np.concatenate([past[:, layer], x], axis=1)
            memory.append(x)
            count, done = keys.shape[1], keys.shape[1] - x.shape[1]
            rows = []
            for place in range(done, count):
                elapsed = every[0, : place + 1] - every[0, place]
                weights = 1 / (1 + np.log1p(np.maximum(elapsed, 0))) * 0.9 ** np.arange(place, -1, -1)
                rows.append(np.sin(weights @ keys[0, : place + 1]))
            x = np.array(rows)[None]
        states = x.astype(np.float32)
        found = (states[:, -1], states) if self.states else (states[:, -1],)
        return (*found, np.stack(memory, axis=1).astype(np.float32))


events = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([Action.VIEW, Action.LIKE]), st.integers(0, 50)), max_size=30
)


@settings(deadline=None)
@given(events, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 99)), min_size=1, max_size=12), st.booleans())
def test_every_answer_is_that_of_reading_everything(
    said: list[tuple[int, Action, int]], calls: list[tuple[int, int]], states: bool
) -> None:
    at, history = 100, []
    for item, action, later in said:
        at += later
        history.append(HistoryEvent(f"i{item}", action, at))
    encoder = Encoder(Sums(states=states), remembers=True, states_at=1 if states else None)
    known = 0
    for more, wait in calls:
        known = min(known + more, len(history))
        now = (history[known - 1].at if known else 100) + wait
        inputs = encode_history(history[:known], CATALOG, Reading(16, 2, 4), now)
        *expected, _ = Sums(states=states).run("encode", *inputs.arrays())
        for ours, theirs in zip(encoder(inputs), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def _history(length: int) -> list[HistoryEvent]:
    return [HistoryEvent(f"i{n % 9}", Action.VIEW, 100 + 10 * n) for n in range(length)]


def test_one_more_event_costs_one_step() -> None:
    model = Sums(states=False)
    encoder = Encoder(model, remembers=True, states_at=None)
    costs = []
    for length, now in ((10, 300), (10, 301), (11, 310), (12, 350), (15, 400), (25, 900), (25, 999)):
        before = model.computed
        encoder(encode_history(_history(length), CATALOG, Reading(50), now))
        costs.append(model.computed - before)
    assert costs == [10, 2, 2, 2, 2 * 3, 25, 2]


def test_another_history_is_read_as_a_whole() -> None:
    model = Sums(states=False)
    encoder = Encoder(model, remembers=True, states_at=None)
    encoder(encode_history(_history(10), CATALOG, Reading(50), 300))
    model.computed = 0
    encoder(encode_history(_history(10)[::-1][:9], CATALOG, Reading(50), 300))
    assert model.computed == 9


def test_a_memory_of_the_wrong_shape_is_refused() -> None:
    class Broken(Sums):
        def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
            *found, memory = super().run(method, *inputs)
            return (*found, memory if method == "encode" else memory[:, :1])

    encoder = Encoder(Broken(states=False), remembers=True, states_at=None)
    encoder(encode_history(_history(10), CATALOG, Reading(50), 300))
    with pytest.raises(ModelFailed, match="memory of shape"):
        encoder(encode_history(_history(11), CATALOG, Reading(50), 300))
