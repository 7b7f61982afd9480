from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.prepare import prepare
from server_training.errors import DataInvalid, DataUnavailable
from server_training.files import sha256_of, write_atomically

CSV = """user,item,timestamp,action,weight
z,i2,5,like,1
a,i1,9,view,1
z,i3,5,buy,2
z,i1,4,view,1
z,i3,5,buy,2
"""


def prepared(tmp_path: Path, text: str = CSV) -> Path:
    (tmp_path / "e.csv").write_text(text)
    (tmp_path / "items.csv").write_text("item,title\ni2,Two\ni9,Nine\n")
    prepare(tmp_path / "e.csv", tmp_path / "out")
    return tmp_path / "out"


def test_events_are_sorted_and_stable(tmp_path: Path) -> None:
    frame = pl.read_parquet(prepared(tmp_path) / c.INTERACTIONS_FILE)
    assert frame.schema == c.INTERACTIONS_SCHEMA
    assert frame.select(c.USER, c.ITEM, c.TIMESTAMP).rows() == [
        ("a", "i1", 9),
        ("z", "i1", 4),
        ("z", "i2", 5),
        ("z", "i3", 5),
    ]


def test_the_report_counts(tmp_path: Path) -> None:
    out = prepared(tmp_path)
    report = json.loads((out / c.REPORT_FILE).read_text())
    assert report["inputs"] == {name: sha256_of(tmp_path / name) for name in ("e.csv", "items.csv")}
    assert report["outputs"] == {name: sha256_of(out / name) for name in (c.INTERACTIONS_FILE, c.ITEMS_FILE)}
    counts = {name: value for name, value in report.items() if isinstance(value, int)}
    assert counts == {
        "rows": 5,
        "interactions": 4,
        "duplicates_dropped": 1,
        "rows_dropped": 0,
        "rows_back_in_time": 1,
        "lines_repaired": 0,
        "users": 2,
        "users_with_one_event": 1,
        "items": 4,
        "items_interacted": 3,
        "items_unused": 1,
        "items_without_text": 2,
        "first_timestamp": 4,
        "last_timestamp": 9,
    }
    assert report["actions"] == {"buy": 1, "like": 1, "view": 2}


def test_preparing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in prepared(tmp_path).iterdir()}
    assert {file.name: file.read_bytes() for file in prepared(tmp_path).iterdir()} == before
    assert set(before) == {c.INTERACTIONS_FILE, c.ITEMS_FILE, c.REPORT_FILE}


def test_bad_data_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in prepared(tmp_path).iterdir()}
    with pytest.raises(DataInvalid):
        prepared(tmp_path, "user,item,timestamp\nu,i,never\n")
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("name", [c.INTERACTIONS_FILE, c.ITEMS_FILE, c.REPORT_FILE])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    out = prepared(tmp_path)
    if damage == "missing":
        (out / name).unlink()
    else:
        (out / name).write_bytes((out / name).read_bytes()[:-1] + b"?")
    with pytest.raises(DataUnavailable, match="run the preparation again"):
        SequenceData.load(out)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_arrays_hold_what_the_tables_hold(tmp_path: Path) -> None:
    data = SequenceData.load(prepared(tmp_path))
    assert data.users == ("a", "z")
    assert data.item_ids == ("i1", "i2", "i3", "i9")
    assert data.titles == ("", "Two", "", "Nine")
    assert data.offsets.tolist() == [0, 1, 4]
    assert data.items.tolist() == [0, 0, 1, 2]
    assert data.actions.tolist() == [1, 1, 2, 5]
    assert data.timestamps.tolist() == [9, 4, 5, 5]
    assert data.weights.tolist() == [1, 1, 1, 2]
    assert data.events_of(1) == slice(1, 4)
    assert data.items.dtype == np.int32
    assert data.actions.dtype == np.int8
    with pytest.raises(ValueError, match="read-only"):
        data.items[0] = 1


def test_the_hash_follows_the_data_not_the_file(tmp_path: Path) -> None:
    first = SequenceData.load(prepared(tmp_path))
    frame = pl.read_parquet(tmp_path / "out" / c.INTERACTIONS_FILE)
    items = pl.read_parquet(tmp_path / "out" / c.ITEMS_FILE)
    assert SequenceData.from_frames(frame, items).sha256 == first.sha256
    later = frame.with_columns(pl.col(c.TIMESTAMP) + 1)
    assert SequenceData.from_frames(later, items).sha256 != first.sha256
