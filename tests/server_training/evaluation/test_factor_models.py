"""EASE and iALS against the problems that they solve."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid
from server_training.evaluation import factor_models
from server_training.evaluation.baselines import Popularity, history_matrix, training_matrix
from server_training.evaluation.factor_models import Ease, Ials, solve
from server_training.evaluation.full_ranking import evaluate_scores


def test_no_weights_with_an_empty_diagonal_fit_better(made_split: Split) -> None:
    strength = 3.0
    found = Ease.fit(made_split, regularisation=strength)
    uses = training_matrix(made_split).toarray().astype(np.float64)

    def cost(weights: np.ndarray) -> float:
        return float(np.square(uses - uses @ weights).sum() + strength * np.square(weights).sum())

    assert not np.diag(found.weights).any()
    best = cost(found.weights.astype(np.float64))
    rng = np.random.default_rng(0)
    for _ in range(30):
        step = 0.02 * rng.normal(size=found.weights.shape)
        np.fill_diagonal(step, 0.0)
        assert cost(found.weights + step) > best
    # Where the gradient of every free weight is zero, nothing better is near.
    gradient = -2 * uses.T @ (uses - uses @ found.weights) + 2 * strength * found.weights
    np.fill_diagonal(gradient, 0.0)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-2)


def test_a_large_catalog_is_sent_to_the_other_one(made_split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_models, "LARGEST_EASE", 3)
    with pytest.raises(ConfigInvalid, match="iALS"):
        Ease.fit(made_split)


def test_each_row_is_the_best_answer_to_the_others() -> None:
    rng = np.random.default_rng(0)
    observed = sparse.csr_array(rng.random((5, 8)) * (rng.random((5, 8)) < 0.4))
    fixed = rng.normal(size=(8, 3)).astype(np.float32)
    found = solve(observed, fixed, 0.2, 0.1)
    for row in range(5):
        weight = observed.toarray()[row]
        strength = 0.1 * ((weight > 0).sum() + 0.2 * 8)

        def cost(x: np.ndarray, weight: np.ndarray = weight, strength: float = strength) -> float:
            fit = fixed @ x
            return float(weight @ np.square(fit - 1) + 0.2 * np.square(fit).sum() + strength * x @ x)

        if (weight > 0).any():
            best = cost(found[row])
            assert all(cost(found[row] + 0.05 * rng.normal(size=3)) > best for _ in range(20))
        else:
            assert not found[row].any()


@pytest.mark.parametrize("make", [lambda s: Ease.fit(s, half_life=2.0), lambda s: Ials.fit(s, size=8, sweeps=4)])
def test_both_beat_popularity_where_tastes_differ(made_split: Split, make) -> None:
    mine, theirs = (
        evaluate_scores(s, made_split).metrics["ndcg@10"] for s in (make(made_split), Popularity.fit(made_split))
    )
    assert mine > theirs


def test_histories_are_those_known_at_the_stage(made_split: Split) -> None:
    weights = history_matrix(made_split, Stage.VALID, 1.0)
    user = int(made_split.users(Stage.VALID)[0])
    items = made_split.data.items[made_split.history(user, Stage.VALID)]
    assert weights[[user]].toarray()[0, items[-1]] >= 1.0
    assert weights[[user]].nnz == len(set(items.tolist()))
    np.testing.assert_array_equal(
        Ials.fit(made_split, size=4, sweeps=1, seed=3).items, Ials.fit(made_split, size=4, sweeps=1, seed=3).items
    )
