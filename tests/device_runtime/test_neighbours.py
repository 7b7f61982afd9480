"""Neighbours lift scores as the formula says, wherever they are used, and survive the catalog's file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    Action,
    Catalog,
    CatalogInvalid,
    HistoryEvent,
    ItemSearch,
    ModelInputs,
    ModelShape,
    Neighbours,
    Reading,
    encode_history,
)

SIZE, LENGTH = 4, 5


def build(n: int, count: int, seed: int, half_life: float = 2.0, weight: float = 0.5) -> Neighbours:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.choice(n, count, replace=False) for _ in range(n)])
    return Neighbours.build(rows, rng.random((n, count)) * 300 + 1, half_life, weight)


def catalog(n: int, neighbours: Neighbours | None = None) -> Catalog:
    codes = np.stack(np.unravel_index(np.arange(n) * 3 % SIZE**3, (SIZE,) * 3), axis=1)
    return Catalog.build([f"i{i}" for i in range(n)], codes, SIZE).with_neighbours(neighbours)


@given(
    st.integers(2, 40),
    st.integers(1, 6),
    st.lists(st.lists(st.integers(-1, 39), min_size=LENGTH, max_size=LENGTH), min_size=1, max_size=4),
    st.sampled_from([0.5, 2.0, 100.0]),
    st.integers(0, 99),
)
def test_the_prior_is_the_formula(n: int, count: int, histories: list[list[int]], half_life: float, seed: int) -> None:
    near = build(n, min(count, n), seed, half_life)
    history = np.minimum(np.array(histories), n - 1)
    expected = np.zeros((len(history), n))
    for number, rows in enumerate(history.tolist()):
        for age, row in enumerate(reversed(rows)):
            if row >= 0:
                for other, weight in zip(near.rows[row], near.weights[row], strict=True):
                    expected[number, other] += 2 ** (-age / half_life) * weight * near.scale
    np.testing.assert_allclose(near.prior(history), 0.5 * np.log1p(expected), rtol=1e-4, atol=1e-5)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 99))
def test_the_file_keeps_them(n: int, count: int, seed: int) -> None:
    before = catalog(n, build(n, min(count, n), seed))
    after = Catalog.from_bytes(before.to_bytes())
    assert after.to_bytes() == before.to_bytes()
    assert after.neighbours is not None
    assert before.neighbours is not None
    np.testing.assert_array_equal(after.neighbours.rows, before.neighbours.rows)
    np.testing.assert_array_equal(after.neighbours.weights, before.neighbours.weights)
    assert after.with_features(np.ones((n, 3))).neighbours is after.neighbours
    assert after.with_neighbours(None).neighbours is None


def test_large_catalogs_name_rows_in_four_bytes() -> None:
    n = 65_537
    near = Neighbours.build(np.full((n, 1), n - 1), np.ones((n, 1)), 2.0, 1.0)
    assert near.rows.dtype == np.uint32
    with pytest.raises(CatalogInvalid, match="rows"):
        replace(near, rows=near.rows.astype(np.uint16))


def test_rows_of_codes() -> None:
    some = catalog(20)
    np.testing.assert_array_equal(some.rows_of(some.codes), np.arange(20))
    free = np.setdiff1d(np.arange(SIZE**3), some.packed)[0]
    strange = np.stack(np.unravel_index([free], (SIZE,) * 3), axis=1)
    assert some.rows_of(strange).tolist() == [-1]
    assert some.rows_of(np.full((2, 3), SIZE)).tolist() == [-1, -1]


class Flat:
    """A model to which all items are alike."""

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        if method == "items":
            return (np.zeros((len(inputs[0]), 2), np.float32),)
        return (np.zeros((1, 3, SIZE), np.float32),) if self.codes else (np.zeros((1, 2), np.float32),)

    def __init__(self, *, codes: bool) -> None:
        self.codes = codes


@pytest.mark.parametrize("head", ["retrieval", "parallel"])
def test_a_model_without_opinion_follows_the_neighbours(head: str) -> None:
    near = build(30, 4, 1)
    some = catalog(30, near)
    events = [HistoryEvent(some.ids[row], Action.LIKE, 10 + row) for row in (3, 8)]
    inputs: ModelInputs = encode_history(events, some, Reading(LENGTH), 99)
    shape = ModelShape(head, LENGTH, 2, 8, 2, 3, SIZE, 1, state_width=2, memory_rows=0)
    found = ItemSearch(Flat(codes=head == "parallel"), some, shape)(inputs, 5)
    prior = near.prior(np.array([[3, 8]]))[0]
    assert found.rows.tolist() == np.lexsort((np.arange(30), -prior))[:5].tolist()
    everything = prior - np.log(np.exp(prior.astype(np.float64)).sum())
    np.testing.assert_allclose(found.log_probs, everything[found.rows], atol=1e-5)


@pytest.mark.parametrize(
    "strengths", [np.zeros((3, 1)), np.full((3, 1), -1.0), np.full((3, 1), np.nan), np.full((3, 1), np.inf)]
)
def test_strengths_that_say_nothing_are_refused(strengths: np.ndarray) -> None:
    with pytest.raises(CatalogInvalid, match="strengths"):
        Neighbours.build(np.zeros((3, 1), np.int64), strengths, 2.0, 1.0)


def test_neighbours_of_another_catalog_are_refused() -> None:
    with pytest.raises(CatalogInvalid, match=r"5 items, but columns of \[4, 5\] rows"):
        catalog(5, build(4, 2, 0))
