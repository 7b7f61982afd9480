"""Asks by hindsight: returns, advantages, novelty and distance against sums written out by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, leave_last_out
from server_training.errors import ConfigInvalid
from server_training.training.returns import advantages, ask_levels_of, event_values, returns_to_go


def split_of(people: list[list[tuple[str, str, float]]]) -> Split:
    """People's (item, action, weight) in time order."""
    rows = [
        (f"u{user}", item, 1000 + 60 * at, action, weight)
        for user, events in enumerate(people)
        for at, (item, action, weight) in enumerate(events)
    ]
    items = sorted({row[1] for row in rows})
    table = pl.DataFrame(rows, schema=c.INTERACTIONS_SCHEMA, orient="row")
    described = pl.DataFrame([(item, "", "", []) for item in items], schema=c.ITEMS_SCHEMA, orient="row")
    return leave_last_out(SequenceData.from_frames(table, described))


def test_a_return_is_the_discounted_mean_of_what_comes() -> None:
    values = np.array([1.0, 0.0, 4.0, 9.0, 2.0])
    known = np.array([True, True, True, False, True])
    first = np.array([True, False, False, False, True])
    found = returns_to_go(values, known, first, 0.5)
    assert found[0] == pytest.approx((1 + 0.5 * 0 + 0.25 * 4) / 1.75)
    assert found[1] == pytest.approx((0 + 0.5 * 4) / 1.5)
    assert found[2] == 4.0  # what is held out after it does not count
    assert found[4] == 2.0  # nor does anyone else's
    assert returns_to_go(values, known, first, 0.0)[known].tolist() == values[known].tolist()


def test_an_advantage_is_the_discounted_sum_of_rises() -> None:
    returns = np.array([1.0, 3.0, 2.0, 7.0, 7.5])
    first = np.array([True, False, False, True, False])
    found = advantages(returns, first, 0.5)
    assert found.tolist() == [0.0, 2.0, -1.0 + 0.5 * 2.0, 0.0, 0.5]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.floats(0.0, 0.9), st.integers(0, 99))
def test_sums_agree_with_the_recursions(lengths: list[int], discount: float, seed: int) -> None:
    values = np.random.default_rng(seed).random(sum(lengths))
    first = np.zeros(len(values), bool)
    first[np.cumsum([0, *lengths[:-1]])] = True
    known = np.ones(len(values), bool)
    returns, rises = returns_to_go(values, known, first, discount), np.zeros(len(values))
    exact, advantage = np.zeros(len(values)), np.zeros(len(values))
    total = mass = 0.0
    for at in range(len(values) - 1, -1, -1):
        total, mass = values[at] + discount * total, 1 + discount * mass
        exact[at] = total / mass
        if first[at]:
            total = mass = 0.0
    for at in range(len(values)):
        rises[at] = 0.0 if first[at] else returns[at] - returns[at - 1]
        advantage[at] = rises[at] + (0.0 if first[at] else discount * advantage[at - 1])
    # Sums stop where the discount falls below a hundredth.
    np.testing.assert_allclose(returns, exact, atol=0.02)
    np.testing.assert_allclose(advantages(returns, first, discount), advantage, atol=0.02 / (1 - discount))


def test_the_value_of_an_event_is_its_weight_unless_it_was_disliked() -> None:
    split = split_of([[("a", "like", 1.0), ("b", "dislike", 0.4), ("c", "skip", 1.0), ("d", "view", 0.6)]])
    assert event_values(split).tolist() == pytest.approx([math.log(2), 0.0, 0.0, math.log(1.6)])


def test_levels_are_places_among_training_events_and_nothing_held_out_has_one() -> None:
    people = [[(f"i{n * n % 7}", "view", 0.1 * (n + 1)) for n in range(start, start + 9)] for start in (0, 3, 5)]
    split = split_of(people)
    vectors = np.random.default_rng(0).normal(size=(split.data.n_items, 4))
    names = ("engagement", "advantage", "novelty", "diversity")
    levels = ask_levels_of(split, names, 3, 0.5, vectors)
    train = split.train_events()
    held_out = np.setdiff1d(np.arange(len(split.data.items)), train)
    assert (levels[held_out] == 0).all()
    assert (levels[train][:, :3] > 0).all()
    first = split.data.offsets[:-1]
    assert (levels[first, 3] == 0).all()  # a first event is far from nothing
    assert (levels[np.setdiff1d(train, first), 3] > 0).all()
    assert set(np.unique(levels[train])) == {0, 1, 2, 3}
    # What counts more for engagement has no lower level.
    returns = returns_to_go(event_values(split), np.isin(np.arange(len(levels)), train), _firsts(split), 0.5)
    order = train[np.argsort(returns[train], kind="stable")]
    assert (np.diff(levels[order, 0]) >= 0).all()


def _firsts(split: Split) -> np.ndarray:
    first = np.zeros(len(split.data.items), bool)
    first[split.data.offsets[:-1]] = True
    return first


def test_the_rarest_items_have_the_highest_novelty_and_repeats_the_least_distance() -> None:
    common = [("pop", "view", 1.0), ("pop", "view", 1.0), ("pop", "view", 1.0), ("rare", "view", 1.0)]
    split = split_of([[*common, ("x", "view", 1.0), ("y", "view", 1.0)]] * 2)
    names = split.data.item_ids
    vectors = np.eye(len(names))
    levels = ask_levels_of(split, ("novelty", "diversity"), 2, 0.5, vectors)
    assert levels[:4, 0].tolist() == [1, 1, 1, 2]
    assert levels[:4, 1].tolist() == [0, 1, 1, 2]


def test_an_ask_that_nothing_tells_apart_is_refused() -> None:
    split = split_of([[(f"i{n}", "view", 1.0) for n in range(5)]] * 2)
    with pytest.raises(ConfigInvalid, match="same engagement"):
        ask_levels_of(split, ("engagement",), 3, 0.5, np.eye(5))
