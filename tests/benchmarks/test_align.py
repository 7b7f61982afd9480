"""`benchmarks.align`: what is compared with what, and how it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.align import Outcome, _named, _row, start_config, table
from server_training.alignment.report import Measures
from server_training.evaluation.ranking import Ranking
from server_training.run_config import load_config

LISTS = ("coverage@10", "novelty@10", "diversity@10", "miscalibration@10", "invalid@10")


def measures(ranks: list[int], ndcg: float) -> Measures:
    removed = np.array(ranks, np.int64)
    ranking = Ranking(removed, removed, np.zeros((len(ranks), 10), np.int64))
    return Measures({"ndcg@10": ndcg, "recall@10": 0.5, "mrr": 0.1}, dict.fromkeys(LISTS, 0.25), 0.1, ranking)


def test_rows_are_means_over_seeds_and_differences_are_paired_over_users() -> None:
    start = [measures([1, 20, 20], 1 / 3), measures([1, 20, 20], 1 / 3)]
    better = [Outcome(measures([1, 1, 20], 2 / 3), 2.0, 100), Outcome(measures([1, 20, 20], 1 / 3), 4.0, 50)]
    row = _row(better, start, None)
    assert row.ndcg_at_10 == pytest.approx(0.5)
    assert row.cpu_minutes == 3.0
    assert row.over_start is not None
    assert row.over_start.mean == pytest.approx(1 / 6)  # one user of three, in one seed of two
    assert row.over_control is None
    first = _row([Outcome(each, 0.0, 0) for each in start], None, None)
    said = table("made", {"start": first, "grpo": row}, 2)
    assert "made, 2 seeds" in said
    assert "+0.1667 [" in said


def test_runs_are_named_by_their_data_set() -> None:
    assert _named("beauty=a,b") == ("beauty", [Path("a"), Path("b")])
    with pytest.raises(SystemExit, match="DATASET=RUN"):
        _named("beauty")


def test_generative_starts_have_no_neighbours_and_others_are_as_shipped() -> None:
    shipped = load_config("instruments")
    generative = start_config("instruments", "autoregressive")
    assert (generative.model.head, generative.items.neighbours, generative.model.width) == ("autoregressive", 0, 64)
    assert generative.train.epochs > shipped.train.epochs
    assert start_config("instruments", "retrieval") == shipped
    assert start_config("ml-100k", "parallel").items.neighbours == load_config("movielens-100k").items.neighbours
