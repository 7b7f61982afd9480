from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server_training.errors import EvaluationInvalid
from server_training.evaluation.metrics import (
    MISS,
    ndcg_at,
    ranks_from_lists,
    ranks_from_scores,
    recall_at,
    reciprocal_rank,
)

SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 12)),
    elements=st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]),
)


@given(SCORES, st.data())
def test_ranks_match_the_definition(scores: np.ndarray, data: st.DataObject) -> None:
    targets = np.array([data.draw(st.integers(0, scores.shape[1] - 1)) for _ in scores])
    ranks = ranks_from_scores(scores, targets)
    for row, target, rank in zip(scores, targets, ranks, strict=True):
        before = [item for item in range(len(row)) if item != target and row[item] >= row[target]]
        assert rank == (MISS if row[target] == -math.inf else 1 + len(before))


@given(st.lists(st.one_of(st.integers(1, 30), st.just(MISS)), min_size=1, max_size=20), st.integers(1, 12))
def test_metrics_match_the_definition(values: list[int], k: int) -> None:
    ranks = np.array(values, np.int64)
    lists = [[1.0 if place + 1 == rank else 0.0 for place in range(k)] for rank in values]
    gains = [sum(hit / math.log2(place + 2) for place, hit in enumerate(hits)) for hits in lists]
    np.testing.assert_array_equal(recall_at(ranks, k), [sum(hits) for hits in lists])
    np.testing.assert_allclose(ndcg_at(ranks, k), gains)
    np.testing.assert_allclose(reciprocal_rank(ranks), [0 if rank == MISS else 1 / rank for rank in values])


@given(st.data())
def test_lists_and_scores_agree_without_ties(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    order = np.array([data.draw(st.permutations(range(n))) for _ in range(3)])
    k = data.draw(st.integers(1, n))
    targets = np.array([data.draw(st.integers(0, n - 1)) for _ in range(3)])
    scores = -np.argsort(order, axis=1).astype(np.float32)
    padded = np.concatenate([order[:, :k], np.full((3, 2), -1)], axis=1)
    ranks = ranks_from_scores(scores, targets)
    np.testing.assert_array_equal(ranks_from_lists(padded, targets), np.where(ranks <= k, ranks, MISS))


def test_a_scorer_without_an_opinion_finds_nothing() -> None:
    assert ranks_from_scores(np.zeros((1, 100), np.float32), np.array([3])).tolist() == [100]


def test_what_cannot_be_ranked_is_refused() -> None:
    zeros = np.zeros((2, 3), np.float32)
    for scores, targets in (
        (zeros, np.array([0])),
        (zeros[0], np.array([0])),
        (zeros, np.array([0, 3])),
        (zeros, np.array([-1, 0])),
        (zeros * np.nan, np.array([0, 0])),
    ):
        with pytest.raises(EvaluationInvalid, match="expected"):
            ranks_from_scores(scores, targets)
    with pytest.raises(EvaluationInvalid, match="one twice"):
        ranks_from_lists(np.array([[1, -1, -1], [2, 0, 2]]), np.array([0, 0]))
    with pytest.raises(EvaluationInvalid, match="expected lists"):
        ranks_from_lists(np.array([1, 2]), np.array([0, 0]))
