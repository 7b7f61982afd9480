"""Asks and priors: what a request may say, in the model's terms, and what the dense search makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    Ask,
    Catalog,
    ItemSearch,
    ModelFailed,
    ModelShape,
    NotSteerable,
    Reading,
    Steering,
    encode_history,
)
from device_runtime.steering import ask_level

WIDTH, ITEMS = 4, 30
STEERING = Steering(
    ("novelty", "diversity"), 5, ("short", "taxonomy", "like"), {"short": 0.5, "taxonomy": 2.0}, ("Horror", "Drama")
)


def catalog() -> Catalog:
    codes = np.stack(np.unravel_index(np.arange(ITEMS), (8, 8)), axis=1)
    plain = Catalog.build([f"i{n:02}" for n in range(ITEMS)], codes, 8)
    kinds: list[list[int]] = [[0], [1], [0, 1], []]
    return plain.with_categories(["Horror", "Drama"], [kinds[row % 4] for row in range(ITEMS)])


class Runner:
    """A model whose queries and item keys are fixed numbers, and that remembers what it was asked."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.query, self.queries = (rng.normal(size=size).astype(np.float32) for size in ((1, WIDTH), (1, 2, WIDTH)))
        self.logits = rng.normal(size=(1, 2)).astype(np.float32)
        self.table = rng.normal(size=(256, WIDTH)).astype(np.float32)
        self.asked: list[Any] = []

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        if method == "items":
            return (self.table,)
        self.asked.append(inputs[-1].tolist())
        return self.query, self.queries, self.logits


def searched(runner: Runner, weights: dict[str, float] | None = None) -> ItemSearch:
    shape = ModelShape("retrieval", 6, 2, 8, 2, 2, 8, 1, WIDTH, 0, STEERING.asks, 5, STEERING.adapters, 2)
    return ItemSearch(runner, catalog(), shape, weights or STEERING.weights)


def scores_of(search: ItemSearch, **wishes: Any) -> np.ndarray:
    steered = search.steering.steered(**wishes) if wishes else None
    found = search(encode_history([], catalog(), Reading(6), 0), ITEMS, steered=steered)
    scores = np.empty(ITEMS)
    scores[found.rows] = found.log_probs
    return scores


def test_a_score_is_the_weighted_sum_of_all_heads() -> None:
    runner = Runner()
    keys = runner.table[:ITEMS]
    horror, drama = runner.logits[0]
    by_category = np.array([horror, drama, horror + drama, 0.0])[np.arange(ITEMS) % 4]
    short, like = runner.queries[0]

    def expected(w_short: float, w_like: float, w_taxonomy: float, lift: float = 0.0) -> np.ndarray:
        total = keys @ (runner.query[0] + w_short * short + w_like * like) + w_taxonomy * by_category
        total = total + lift * np.isin(np.arange(ITEMS) % 4, (0, 2))
        return total - np.log(np.exp(total).sum())

    search = searched(runner)
    np.testing.assert_allclose(scores_of(search), expected(0.5, 0.0, 2.0), atol=1e-5)
    priors = {"like": -1.5, "taxonomy": 0.0, "taxonomy:Horror": 3.0}
    np.testing.assert_allclose(scores_of(search, priors=priors), expected(0.5, -1.5, 0.0, 3.0), atol=1e-5)
    alone = scores_of(search, priors={"short": 0, "like": 0, "taxonomy": 0})
    np.testing.assert_allclose(alone, expected(0, 0, 0), atol=1e-5)


def test_what_is_asked_reaches_the_program_as_levels_and_nothing_as_zeros() -> None:
    runner = Runner()
    search = searched(runner)
    scores_of(search)
    scores_of(search, ask=Ask(diversity=1.0))
    scores_of(search, ask=Ask(novelty=0.0, diversity=0.5), priors={"like": 1})
    assert runner.asked == [[[0, 0]], [[0, 5]], [[1, 3]]]


@given(st.floats(0, 1), st.integers(2, 32))
def test_a_level_is_a_place_among_the_levels(value: float, levels: int) -> None:
    level = ask_level(value, levels)
    assert 1 <= level <= levels
    assert (level - 1) / levels <= value <= level / levels + 1e-9


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, True, "much", None.__class__])
def test_an_ask_is_a_number_from_0_to_1(value: Any) -> None:
    with pytest.raises(NotSteerable, match="0 to 1"):
        Ask(novelty=value)


@pytest.mark.parametrize(
    ("ask", "priors", "said"),
    [
        (Ask(engagement=0.5), None, "it can for novelty, diversity"),
        (None, {"long": 1.0}, "no prior 'long'; it has short, taxonomy, like, taxonomy:NAME"),
        (None, {"taxonomy:Comedy": 1.0}, "no category 'Comedy'; it has Horror, Drama"),
        (None, {"short": math.nan}, "weight of 'short'"),
        (None, {"short": 1e9}, "weight of 'short'"),
        (None, {"short": "much"}, "weight of 'short'"),
        (None, {3: 1.0}, "no prior 3"),
    ],
)
def test_what_a_model_does_not_have_is_named(ask: Ask | None, priors: Any, said: str) -> None:
    with pytest.raises(NotSteerable, match=said):
        STEERING.steered(ask, priors)


def test_a_model_without_either_says_so() -> None:
    with pytest.raises(NotSteerable, match="not trained for any asks"):
        Steering().steered(Ask(novelty=1.0))
    with pytest.raises(NotSteerable, match="it has none"):
        Steering().steered(None, {"taxonomy:Horror": 1.0})


def test_a_catalog_without_the_categories_is_refused() -> None:
    shape = ModelShape("retrieval", 6, 2, 8, 2, 2, 8, 1, WIDTH, 0, (), 1, ("taxonomy",), 3)
    with pytest.raises(ModelFailed, match="tells 3 categories apart"):
        ItemSearch(Runner(), catalog(), shape)
