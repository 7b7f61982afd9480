"""`benchmarks.asks`: what it measures of a list, against sums written out by hand, and which wishes it tries."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from benchmarks.asks import Ruler, Wish, wishes
from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, Stage, leave_last_out
from server_training.run_config import load_config

GENRES = {"a": ["Horror"], "b": ["Horror", "Drama"], "c": ["Drama"], "d": ["War", "year:1990"], "e": [], "f": ["War"]}
PEOPLE = [["a", "b", "c", "d"], ["a", "c", "e", "f"]]  # the last two of each are held out
LISTS = np.array([[0, 1, 2, 3, 4], [5, 4, 3, 2, 1]])


@pytest.fixture
def split() -> Split:
    rows = [
        (f"u{user}", item, 1000 + at, "like", 1.0 if item == "a" else 0.2)
        for user, events in enumerate(PEOPLE)
        for at, item in enumerate(events)
    ]
    described = pl.DataFrame([(item, "", "", GENRES[item]) for item in GENRES], schema=c.ITEMS_SCHEMA, orient="row")
    return leave_last_out(
        SequenceData.from_frames(pl.DataFrame(rows, schema=c.INTERACTIONS_SCHEMA, orient="row"), described)
    )


def test_a_list_is_measured_as_the_module_says(split: Split) -> None:
    ruler = Ruler(split, np.eye(6))
    base = ruler.gains(LISTS)
    assert split.targets(Stage.TEST).tolist() == [3, 5]
    assert base.tolist() == [pytest.approx(1 / np.log2(5)), 1.0]
    short = LISTS[:, :2]
    effect = ruler.effect(Wish("a wish"), short, np.array([1.0, 1.0]))
    # Four training events: a twice, b and c once each; what has none counts as having one.
    assert effect.novelty == pytest.approx((-np.log2(2 / 4) - 3 * np.log2(1 / 4)) / 4)
    # Orthogonal vectors: an item of the three before the target is one third of the way, any other a whole.
    assert effect.distance == pytest.approx((2 / 3 + 2 / 3 + 1 + 2 / 3) / 4)
    # Horror against Horror and Drama is half; War against nothing a whole.
    assert effect.within == pytest.approx((1 / 2 + 1) / 2)
    mean = (1.0 + 0.2 + 1.0 + 0.2) / 4
    rated = {"a": (2 + mean) / 3, "b": (0.2 + mean) / 2, "e": mean, "f": mean}
    assert effect.rating == pytest.approx(5 * np.mean(list(rated.values())))
    assert (effect.hits, effect.hit_rating) == (1, pytest.approx(5 * 0.2))
    assert effect.ndcg_at_10 == pytest.approx(0.5)
    change, low, high = effect.change
    assert change == pytest.approx(-0.5)
    assert low <= change <= high
    assert ruler.share_of("Horror", short) == pytest.approx(0.5)


def test_lists_without_a_hit_have_no_rating_of_hits(split: Split) -> None:
    effect = Ruler(split, np.eye(6)).effect(Wish("nothing"), np.array([[0, 1], [1, 2]]), np.zeros(2))
    assert effect.hits == 0
    assert np.isnan(effect.hit_rating)
    assert effect.change == (0.0, 0.0, 0.0)


def test_each_ask_is_tried_at_both_ends_and_each_adapter_alone() -> None:
    config = replace(load_config("movielens-100k-steered").model, asks=("novelty",), adapters=("short", "taxonomy"))
    run = SimpleNamespace(model=SimpleNamespace(config=config))
    tried = {wish.name: wish for wish in wishes(run)}  # type: ignore[arg-type]  # its configuration is all that is read
    assert tried["nothing"] == Wish("nothing")
    assert [w.ask.novelty for name, w in tried.items() if name.startswith("novelty 0") and w.ask][:2] == [0.1, 0.9]
    assert tried["short 2, no other"].priors == {"short": 2.0, "taxonomy": 0.0}
    assert tried["no adapters"].priors == {"short": 0.0, "taxonomy": 0.0}
