"""One pass says what the separate ones say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from server_training.data.split import Split, Stage
from server_training.errors import EvaluationInvalid
from server_training.evaluation.full_ranking import evaluate_scores
from server_training.evaluation.profile import CUTOFFS, profile
from server_training.evaluation.ranking import rank


@dataclass(frozen=True)
class Fixed:
    table: np.ndarray

    def score(self, user_indices: np.ndarray) -> np.ndarray:
        return self.table[user_indices]


def noise(split: Split, *, coarse: bool = False) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (split.data.n_users, split.data.n_items)
    return (rng.integers(3, size=shape) if coarse else rng.normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("coarse", [False, True])
def test_accuracy_is_that_of_the_plain_evaluation(made_split: Split, stage: Stage, coarse: bool) -> None:
    scorer = Fixed(noise(made_split, coarse=coarse))
    found = profile(scorer, made_split, stage)
    assert found.metrics == pytest.approx(evaluate_scores(scorer, made_split, CUTOFFS, stage=stage).metrics)
    kept = evaluate_scores(scorer, made_split, CUTOFFS, seen_removed=False, stage=stage).metrics
    assert found.metrics_kept == pytest.approx(kept)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("top", [1, 4, 1000])
def test_lists_are_the_best_unseen_items(made_split: Split, coarse: bool, top: int) -> None:
    table = noise(made_split, coarse=coarse)
    seen: list[tuple[int, int]] = []
    found = rank(Fixed(table), made_split, top=top, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(made_split.users(Stage.TEST)), len(made_split.users(Stage.TEST)))
    for row, user in enumerate(made_split.users(Stage.TEST).tolist()):
        history = set(made_split.data.items[made_split.history(user, Stage.TEST)].tolist())
        free = [item for item in range(made_split.data.n_items) if item not in history]
        k = min(top, made_split.data.n_items)
        listed = found.lists[row][found.lists[row] >= 0]
        best = sorted(free, key=lambda item: -table[user, item])[:k]
        assert len(listed) == len(best)
        assert set(listed.tolist()) <= set(free)
        np.testing.assert_array_equal(table[user, listed], table[user, best])


def test_groups_divide_the_users(made_split: Split) -> None:
    found = profile(Fixed(noise(made_split)), made_split, vectors=np.eye(made_split.data.n_items, dtype=np.float32))
    for groups in (found.cold_items, found.cold_users):
        assert sum(group.users for group in groups.values()) == len(made_split.users(Stage.TEST))
        total = sum(group.users * group.recall_at_10 for group in groups.values())
        assert total / len(made_split.users(Stage.TEST)) == pytest.approx(found.metrics["recall@10"])
    assert found.lists["diversity@10"] == pytest.approx(1.0)
    assert "diversity@10" not in profile(Fixed(noise(made_split)), made_split).lists


@pytest.mark.parametrize("spoil", [lambda table: table[:, :-1], lambda table: np.full_like(table, np.nan)])
def test_bad_scores_are_refused(made_split: Split, spoil) -> None:
    with pytest.raises(EvaluationInvalid):
        profile(Fixed(spoil(noise(made_split))), made_split)
