from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid, EvaluationInvalid
from server_training.evaluation.baselines import ItemKnn, ItemKnnConfig, Popularity
from server_training.evaluation.full_ranking import evaluate_scores, evaluate_topk


@dataclass(frozen=True)
class Fixed:
    """Says for each user what the table says."""

    table: np.ndarray

    def score(self, user_indices: np.ndarray) -> np.ndarray:
        return self.table[user_indices]


def noise(split: Split, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(split.data.n_users, split.data.n_items)).astype(np.float32)


def oracle(split: Split, stage: Stage) -> np.ndarray:
    table = noise(split)
    table[split.users(Stage.TEST), split.targets(stage)] = 99
    return table


def top(split: Split, table: np.ndarray, stage: Stage, k: int, *, seen_removed: bool) -> np.ndarray:
    """Lists by a plain loop, the oracle of ``evaluate_scores``."""
    lists = []
    for user in split.users(Stage.TEST):
        seen = set(split.data.items[split.history(int(user), stage)].tolist()) if seen_removed else set()
        ranked = [item for item in np.argsort(-table[user]).tolist() if item not in seen][:k]
        lists.append(ranked + [-1] * (k - len(ranked)))
    return np.array(lists)


@pytest.mark.parametrize("stage", list(Stage))
def test_knowing_the_target_is_perfect_and_the_wrong_one_is_not(made_split: Split, stage: Stage) -> None:
    scorer = Fixed(oracle(made_split, stage))
    assert evaluate_scores(scorer, made_split, stage=stage).metrics == {
        "recall@10": 1,
        "ndcg@10": 1,
        "mrr": 1,
    }
    other = Stage.TEST if stage is Stage.VALID else Stage.VALID
    assert evaluate_scores(scorer, made_split, ks=(1,), stage=other).metrics["recall@1"] < 0.5


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("seen_removed", [True, False])
def test_scores_and_lists_agree(made_split: Split, stage: Stage, seen_removed: bool) -> None:
    table = noise(made_split)
    scored = evaluate_scores(Fixed(table), made_split, (1, 5), seen_removed, stage, batch_size=7)
    lists = top(made_split, table, stage, 5, seen_removed=seen_removed)
    listed = evaluate_topk(lists, made_split, (1, 5), seen_removed, stage)
    assert {name: scored.metrics[name] for name in listed.metrics} == listed.metrics
    assert set(scored.metrics) - set(listed.metrics) == {"mrr"}


def test_the_scorer_s_own_array_is_left_alone(made_split: Split) -> None:
    table = noise(made_split)
    before = table.copy()
    evaluate_scores(Fixed(table), made_split)
    np.testing.assert_array_equal(table, before)


def test_a_result_says_how_it_came_about(made_split: Split) -> None:
    result = json.loads(evaluate_scores(Fixed(noise(made_split)), made_split).to_json())
    assert result["data_sha256"] == made_split.data.sha256
    assert (result["n_users"], result["n_items"]) == (24, made_split.data.n_items)
    assert result["stage"] == "test"
    assert "removed" in result["seen_rule"]
    assert "pessimistic" in result["tie_rule"]
    assert result["repeated_targets"] == 0
    assert result["intervals"] == {}


def test_intervals_hold_the_mean_and_repeat_with_the_generator(made_split: Split) -> None:
    results = [evaluate_scores(Fixed(noise(made_split)), made_split, rng=np.random.default_rng(5)) for _ in range(2)]
    assert results[0] == results[1]
    for name, (low, high) in results[0].intervals.items():
        assert low < results[0].metrics[name] < high


def test_bad_scores_and_lists_are_refused(made_split: Split) -> None:
    table = noise(made_split)
    lists = top(made_split, table, Stage.TEST, 10, seen_removed=True)
    with pytest.raises(EvaluationInvalid, match="expected scores of shape"):
        evaluate_scores(Fixed(table[:, 1:]), made_split)
    with pytest.raises(EvaluationInvalid, match="without NaN"):
        evaluate_scores(Fixed(table * np.nan), made_split)
    for ks in ((), (0,)):
        with pytest.raises(EvaluationInvalid, match="cut-offs"):
            evaluate_scores(Fixed(table), made_split, ks)
    for wrong in (lists[1:], lists[:, :9], lists[0]):
        with pytest.raises(EvaluationInvalid, match="expected lists"):
            evaluate_topk(wrong, made_split)
    with pytest.raises(EvaluationInvalid, match="expected items in"):
        evaluate_topk(lists + made_split.data.n_items, made_split)
    with pytest.raises(EvaluationInvalid, match="holds seen items"):
        evaluate_topk(top(made_split, table, Stage.TEST, 10, seen_removed=False), made_split)


def test_popularity_counts_training_events(made_split: Split) -> None:
    data = made_split.data
    naive = np.zeros(data.n_items)
    for user in range(data.n_users):
        for item in data.items[data.offsets[user] : made_split.train_stop[user]]:
            naive[item] += 1
    scores = Popularity.fit(made_split).score(made_split.users(Stage.TEST)[:3])
    np.testing.assert_array_equal(scores, np.tile(naive, (3, 1)))
    assert scores.dtype == np.float32


@pytest.mark.parametrize("stage", list(Stage))
def test_item_neighbours_match_a_plain_loop(made_split: Split, stage: Stage) -> None:
    data, config = made_split.data, ItemKnnConfig(neighbours=1000, shrinkage=2.0, half_life=3.0)
    users_of = [set() for _ in range(data.n_items)]
    for user in range(data.n_users):
        for item in data.items[data.offsets[user] : made_split.train_stop[user]]:
            users_of[item].add(user)
    scores = ItemKnn.fit(made_split, stage, config).score(made_split.users(Stage.TEST))
    for row, user in enumerate(made_split.users(Stage.TEST)[:6]):
        known = data.items[made_split.history(int(user), stage)]
        for item in range(data.n_items):
            naive = sum(
                0.5 ** (age / 3.0)
                * len(users_of[item] & users_of[old])
                / (np.sqrt(len(users_of[item]) * len(users_of[old])) + 2.0)
                for age, old in enumerate(known[::-1])
                if old != item
            )
            assert scores[row, item] == pytest.approx(naive, rel=1e-4, abs=1e-6)


def test_item_neighbours_beat_popularity_where_tastes_differ(made_split: Split) -> None:
    neighbours = evaluate_scores(ItemKnn.fit(made_split), made_split).metrics["mrr"]
    assert neighbours > evaluate_scores(Popularity.fit(made_split), made_split).metrics["mrr"]


def test_only_the_nearest_neighbours_are_kept(made_split: Split) -> None:
    kept = ItemKnn.fit(made_split, config=ItemKnnConfig(neighbours=2)).similarity.toarray()
    full = ItemKnn.fit(made_split, config=ItemKnnConfig(neighbours=1000)).similarity.toarray()
    np.testing.assert_array_equal(kept.max(axis=1), full.max(axis=1))
    assert (np.sort(kept, axis=1)[:, -2] == np.sort(full, axis=1)[:, -2]).all()
    for wrong in ({"neighbours": 0}, {"shrinkage": -1.0}, {"half_life": 0.0}):
        with pytest.raises(ConfigInvalid):
            ItemKnnConfig(**wrong)
