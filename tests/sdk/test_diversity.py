"""Diversity: greedy choice beside an oracle that computes determinants, and what must never happen to a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdk.blending import Blended
from sdk.diversity import diversify
from sdk.errors import InvalidInput


def listed(n: int) -> list[Blended]:
    return [Blended(10 + place, 1.0 - place / n, place + 1, None, 1.0) for place in range(n)]


def drawn(n: int, d: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def oracle(vectors: NDArray[np.float32], k: int, strength: float) -> list[int]:
    """The definition: from the best item on, each time the one whose addition makes det(K) largest."""
    unit = vectors.astype(float) / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = np.exp(-((unit[:, None] - unit[None]) ** 2).sum(axis=2))
    quality = np.exp((1 - strength) / strength * np.linspace(1, 0, len(vectors)))
    kernel = quality[:, None] * similar * quality
    chosen = [0]
    while len(chosen) < k:
        left = [place for place in range(len(vectors)) if place not in chosen]
        chosen.append(
            max(left, key=lambda place: np.linalg.slogdet(kernel[np.ix_([*chosen, place], [*chosen, place])])[1])
        )
    return chosen


@given(st.integers(2, 9), st.integers(3, 6), st.integers(0, 1000), st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0]))
def test_every_choice_is_that_of_the_largest_determinant(n, d, seed, strength) -> None:
    vectors, k = drawn(n, d, seed), min(n, 5)
    found = [b.item - 10 for b in diversify(listed(n), vectors, k, strength)]
    assert found == oracle(vectors, k, strength)


@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 1000), st.floats(0, 1))
def test_it_only_orders_what_it_is_given_and_keeps_the_best_first(n, k, seed, strength) -> None:
    ranked = listed(n)
    found = diversify(ranked, drawn(n, 4, seed), k, strength)
    assert len(found) == min(n, k)
    assert len({b.item for b in found}) == len(found)
    assert set(found) <= set(ranked)
    assert found[:1] == ranked[:1]


@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 1000))
def test_without_strength_the_order_is_untouched(n, k, seed) -> None:
    ranked = listed(n)
    assert diversify(ranked, drawn(n, 4, seed), k, 0.0) == ranked[:k]


def test_lengths_of_vectors_do_not_matter() -> None:
    vectors = drawn(12, 4, 3)
    scaled = vectors * np.linspace(0.5, 8, 12, dtype=np.float32)[:, None]
    assert diversify(listed(12), vectors, 8, 0.5) == diversify(listed(12), scaled, 8, 0.5)


def test_copies_of_what_was_chosen_come_last_in_order_of_rank() -> None:
    one, other = [1.0, 0.0], [0.0, 1.0]
    vectors = np.array([one, one, one, other, one], np.float32)
    assert [b.item - 10 for b in diversify(listed(5), vectors, 5, 0.5)] == [0, 3, 1, 2, 4]


def test_items_without_a_vector_are_like_nothing() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0, 0]], np.float32)
    assert [b.item - 10 for b in diversify(listed(3), vectors, 3, 0.9)] == [0, 2, 1]


def test_more_strength_means_less_alike() -> None:
    vectors = drawn(60, 3, 1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def alike(strength: float) -> float:
        rows = [b.item - 10 for b in diversify(listed(60), vectors, 10, strength)]
        return float((unit[rows] @ unit[rows].T).mean())

    assert alike(1.0) < alike(0.4) < alike(0.0)


@pytest.mark.parametrize(
    ("vectors", "k", "strength"),
    [
        (np.ones((2, 3), np.float32), 2, -0.1),
        (np.ones((2, 3), np.float32), 2, float("nan")),
        (np.ones((2, 3), np.float32), 0, 0.5),
        (np.ones((3, 3), np.float32), 2, 0.5),
        (np.ones(2, np.float32), 2, 0.5),
        (np.array([[np.nan], [1.0]], np.float32), 2, 0.5),
    ],
)
def test_what_does_not_fit_is_refused(vectors, k, strength) -> None:
    with pytest.raises(InvalidInput):
        diversify(listed(2), vectors, k, strength)
