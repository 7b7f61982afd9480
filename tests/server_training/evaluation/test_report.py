"""Runs side by side: seeds of one system together, others apart, and only what can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid, EvaluationInvalid
from server_training.evaluation import report
from server_training.evaluation.baselines import Popularity
from server_training.evaluation.metrics import ndcg_at
from server_training.evaluation.profile import profile
from server_training.evaluation.report import baselines, compare


@dataclass(frozen=True)
class Stub:
    """A run as `compare` sees it; its "model" is a seed for random scores."""

    folder: Path
    split: Split
    model: int
    settings: str
    catalog: None = None
    data_folder: Path = Path("nowhere")

    def settings_without_seed(self) -> dict[str, str]:
        return {"settings": self.settings}


class Noise:
    def __init__(self, model: int, catalog: None, split: Split, stage: Stage) -> None:
        self._model, self._items = model, split.data.n_items

    def score(self, user_indices: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([self._model, *user_indices.tolist()])
        return rng.random((len(user_indices), self._items), np.float32)


@pytest.fixture
def runs(made_split: Split, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(report, "ModelScorer", Noise)
    return [Stub(Path(f"run-{seed}"), made_split, seed, settings) for seed, settings in enumerate("aab")]


def test_runs_that_differ_in_the_seed_are_one_system(runs: list[Any]) -> None:
    assert list(compare(runs[:2], names=["popularity"]).systems) == ["popularity", "meritrec"]
    found = compare(runs, names=["popularity"])
    assert list(found.systems) == ["popularity", "meritrec run-0", "meritrec run-2"]
    assert [len(system.profiles) for system in found.systems.values()] == [1, 2, 1]
    two = found.systems["meritrec run-0"]
    each = [p.metrics["ndcg@10"] for p in two.profiles]
    assert two.metrics()["ndcg@10"] == pytest.approx(np.mean(each))
    assert two.ndcg_at_10.deviation == pytest.approx(np.std(each, ddof=1))


def test_the_difference_is_paired_by_user(runs: list[Any], made_split: Split) -> None:
    found = compare(runs[:2], names=["popularity"])
    gains = [ndcg_at(p.ranking.removed, 10) for p in found.systems["meritrec"].profiles]
    other = ndcg_at(profile(Popularity.fit(made_split), made_split).ranking.removed, 10)
    gap = found.difference("meritrec", "popularity")
    assert gap.mean == pytest.approx(float((np.mean(gains, axis=0) - other).mean()))
    assert gap.low <= gap.mean <= gap.high
    assert found.difference("meritrec", "meritrec").mean == 0
    assert "meritrec over popularity" in found.table()


def test_every_number_comes_with_its_rules(runs: list[Any], made_split: Split) -> None:
    found = compare(runs[:1]).to_dict()
    rules = found["rules"]
    assert isinstance(rules, dict)
    assert rules["data_sha256"] == made_split.data.sha256
    assert rules["split_rule"] == made_split.rule
    assert rules["n_users"] == len(made_split.users(Stage.TEST))
    systems = found["systems"]
    assert isinstance(systems, dict)
    for system in systems.values():
        assert {"seen removed", "seen kept", "lists", "by_item", "by_user"} <= set(system)
        assert {f"{m}@{k}" for m in ("recall", "ndcg") for k in (1, 5, 10, 20, 50)} < set(system["seen removed"])
    assert "over EASE" in systems["meritrec"] or "over item-kNN" in systems["meritrec"]


def test_what_cannot_be_compared_is_refused(runs: list[Any], made_split: Split) -> None:
    with pytest.raises(EvaluationInvalid, match="same data and split"):
        compare([])
    other = replace(runs[1], split=replace(made_split, rule="another"))
    with pytest.raises(EvaluationInvalid, match="same data and split"):
        compare([runs[0], other])
    with pytest.raises(ConfigInvalid, match="expected baselines of"):
        list(baselines(made_split, Stage.TEST, ["luck"]))  # type: ignore[list-item]
