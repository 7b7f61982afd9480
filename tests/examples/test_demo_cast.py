"""The cast follows from the data alone, and data that is too small says so."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from examples.demo.cast import N_REGULARS, choose_cast
from server_training.data import columns as c
from server_training.data.dataset import SequenceData


def _data(users: int, likes: int) -> SequenceData:
    rng = np.random.default_rng(1)
    rows = [
        {c.USER: f"u{user:03d}", c.ITEM: f"i{item:03d}", c.TIMESTAMP: 1000 + n, c.ACTION: "like", c.WEIGHT: 1.0}
        for user in range(users)
        for n, item in enumerate(rng.permutation(80)[:likes].tolist())
    ]
    events = pl.DataFrame(rows, schema=c.INTERACTIONS_SCHEMA)
    names = [f"i{item:03d}" for item in range(90)]
    empty: list[list[str]] = [[] for _ in names]
    items = pl.DataFrame({c.ITEM: names, c.TITLE: names, c.TEXT: names, c.ATTRIBUTES: empty}, schema=c.ITEMS_SCHEMA)
    return SequenceData.from_frames(events, items)


def test_the_cast_is_whole_and_the_spam_is_known_to_nobody() -> None:
    data = _data(30, 25)
    cast = choose_cast(data)
    assert [part.role for part in cast.parts] == ["regular"] * N_REGULARS + ["newcomer"]
    assert len(set(cast.users)) == len(cast.parts)
    assert len(cast.parts[-1].events) == 4
    assert cast.parts[-1].vouches == ((cast.fooled, 3),)
    names = {part.name for part in cast.parts}
    for part in cast.parts:
        assert {friend for friend, _ in part.vouches} <= names - {part.name}
        assert not {item for item, _, _ in part.events} & set(cast.spam)
    assert len(cast.spam) == 3
    assert choose_cast(data) == cast


def test_too_little_data_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="choose a larger data set"):
        choose_cast(_data(5, 25))
