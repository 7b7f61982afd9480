"""List metrics against plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.evaluation.lists import (
    coverage,
    diversity,
    gini,
    novelty,
    popularity_lift,
    popularity_percentiles,
)

ITEMS = 7


@st.composite
def drawn_lists(draw: st.DrawFn) -> np.ndarray:
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=width, unique=True), min_size=1, max_size=6))
    return np.array([row + [-1] * (width - len(row)) for row in rows])


counts = st.lists(st.integers(0, 9), min_size=ITEMS, max_size=ITEMS).map(np.array)


@given(drawn_lists())
def test_coverage_counts_distinct_items(lists: np.ndarray) -> None:
    assert coverage(lists, ITEMS) == len(set(lists.ravel().tolist()) - {-1}) / ITEMS


@given(drawn_lists())
def test_gini_is_the_mean_difference_of_exposure(lists: np.ndarray) -> None:
    shown = [int((lists == item).sum()) for item in range(ITEMS)]
    if not sum(shown):
        assert gini(lists, ITEMS) == 0.0
        return
    gaps = sum(abs(a - b) for a, b in itertools.product(shown, shown))
    assert gini(lists, ITEMS) == pytest.approx(gaps / (2 * ITEMS * sum(shown)))


@given(drawn_lists(), counts)
def test_novelty_is_the_surprise_of_what_is_shown(lists: np.ndarray, events: np.ndarray) -> None:
    total = max(int(events.sum()), 1)
    bits = [-math.log2(max(int(events[item]), 1) / total) for item in lists.ravel().tolist() if item >= 0]
    assert novelty(lists, events) == pytest.approx(sum(bits) / len(bits) if bits else 0.0)


@given(drawn_lists(), st.integers(0, 100))
def test_diversity_is_one_minus_the_mean_cosine(lists: np.ndarray, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(ITEMS, 3)).astype(np.float32)
    vectors[0] = 0.0
    values = []
    for row in lists:
        pairs = list(itertools.combinations([item for item in row.tolist() if item >= 0], 2))
        cosines = [
            float(vectors[a] @ vectors[b]) / max(float(np.linalg.norm(vectors[a]) * np.linalg.norm(vectors[b])), 1e-12)
            for a, b in pairs
        ]
        if pairs:
            values.append(1 - sum(cosines) / len(cosines))
    assert diversity(lists, vectors) == pytest.approx(np.mean(values) if values else 0.0, abs=1e-5)


@given(counts)
def test_percentiles_are_the_share_below_and_half_the_equals(events: np.ndarray) -> None:
    found = popularity_percentiles(events)
    for item, count in enumerate(events.tolist()):
        below, same = int((events < count).sum()), int((events == count).sum())
        assert found[item] == pytest.approx((below + same / 2) / ITEMS)


def test_showing_what_is_more_popular_than_the_history_is_a_lift() -> None:
    events = np.arange(4)  # percentiles 1/8, 3/8, 5/8, 7/8
    lists = np.array([[3, 2], [0, -1], [-1, -1], [1, 1]])
    histories = np.array([1 / 8, 5 / 8, 0.5, np.nan])
    assert popularity_lift(lists, histories, events) == pytest.approx(((6 / 8 - 1 / 8) + (1 / 8 - 5 / 8)) / 2)
    assert popularity_lift(lists[2:3], histories[2:3], events) == 0.0
