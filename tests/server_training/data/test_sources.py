from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from server_training.data import columns as c
from server_training.data.sources import SourceTables, read_source
from server_training.errors import DataInvalid, DataUnavailable

IDS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() != ""
)
EVENTS = st.lists(
    st.tuples(
        IDS,
        IDS,
        st.integers(0, 4_000_000_000),
        st.sampled_from(c.ACTION_NAMES),
        st.floats(0, 100, width=32),
    ),
    min_size=1,
    max_size=20,
)


def frame_of(events: list[tuple[str, str, int, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=c.INTERACTIONS_SCHEMA, orient="row")


def read_text(tmp_path: Path, name: str, text: str | bytes) -> SourceTables:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / name).write_bytes(data)
    return read_source(tmp_path / name)


def problems(tmp_path: Path, name: str, text: str | bytes) -> list[str]:
    with pytest.raises(DataInvalid) as caught:
        read_text(tmp_path, name, text)
    return [str(problem) for problem in caught.value.problems]


def test_recbole_becomes_the_contract(tmp_path: Path) -> None:
    (tmp_path / "m.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\tscore:float\n"
        "b\tDie Büchse\t1929\tDrama  Silent\t3.5\n"
        "a\t\t\t\t\n"
    )
    rows = ["7\tb\t4\t5", "7\ta\t3.5\t5.0", "9\tz\t2\t6", "7\tb\t4\t5"]
    tables = read_text(
        tmp_path,
        "m.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\r\n".join(rows),
    )
    expected = [("7", "b", 5, "like", 0.8), ("7", "a", 5, "view", 0.7), ("9", "z", 6, "dislike", 0.4)]
    assert_frame_equal(tables.interactions, frame_of(expected))
    assert tables.interactions.schema == c.INTERACTIONS_SCHEMA
    assert tables.rows_read == 4
    assert tables.items.schema == c.ITEMS_SCHEMA
    assert tables.items.rows() == [
        ("a", "", "", []),
        ("b", "Die Büchse", "", ["release_year:1929", "Drama", "Silent"]),
        ("z", "", "", []),
    ]
    assert [file.name for file in tables.files] == ["m.inter", "m.item"]


def test_recbole_without_ratings_gives_views(tmp_path: Path) -> None:
    tables = read_text(tmp_path, "m.inter", "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t9\n")
    assert tables.interactions.rows() == [("u", "i", 9, "view", 1.0)]


def test_csv_with_defaults_and_items(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text('item,title,attributes\ni,"A, B","x| y|"\n')
    tables = read_text(tmp_path, "interactions.csv", "﻿timestamp,user,item\n\n9,u,i\n")
    assert tables.interactions.rows() == [("u", "i", 9, "view", 1.0)]
    assert tables.items.rows() == [("i", "A, B", "", ["x", "y"])]
    assert_frame_equal(read_source(tmp_path).interactions, tables.interactions)


@given(EVENTS)
def test_csv_and_parquet_round_trip(events: list[tuple[str, str, int, str, float]]) -> None:
    frame = frame_of(events)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(c.INTERACTIONS_SCHEMA.names())
    writer.writerows(events)
    kept = frame.unique(maintain_order=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "e.csv").write_bytes(text.getvalue().encode())
        frame.write_parquet(Path(folder) / "e.parquet")
        for name in ("e.csv", "e.parquet"):
            tables = read_source(Path(folder) / name)
            assert_frame_equal(tables.interactions, kept)
            assert tables.items[c.ITEM].to_list() == sorted({event[1] for event in events})
            assert tables.rows_read == len(events)


@given(EVENTS)
def test_recbole_round_trip(events: list[tuple[str, str, int, str, float]]) -> None:
    rows = [f"{user}\t{item}\t{at}" for user, item, at, *_ in events]
    expected = frame_of([(user, item, at, "view", 1.0) for user, item, at, *_ in events])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.inter"
        header = "user_id:token\titem_id:token\ttimestamp:float"
        path.write_bytes("\n".join([header, *rows]).encode())
        assert_frame_equal(read_source(path).interactions, expected.unique(maintain_order=True))


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.inter", "x.parquet"]))
def test_any_bytes_are_refused(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        with pytest.raises(DataInvalid):
            read_source(path)


@pytest.mark.parametrize("keep", [0, 4, 8, 11, 12, 100, -9, -8, -4, -1])
def test_a_parquet_file_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "e.parquet"
    frame_of([("u", "i", 1, "view", 1.0)]).write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataInvalid, match=r"expected a .*Parquet file"):
        read_source(path)
    path.write_bytes(path.read_bytes() + b"\0\0\0\0PAR1")
    with pytest.raises(DataInvalid, match=r"expected a .*Parquet file"):
        read_source(path)


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,title\na,A\na,B\n,C\n")
    found = problems(
        tmp_path,
        "e.csv",
        "user,item,timestamp,action,weight\n"
        "u,a,10,view,1\n"
        ",a,ten,look,-1\n"
        "u,a,11.5,like,nan\n"
        "u,,1700000000000,like,1\n",
    )
    no_id = "expected an id of 1 to 255 bytes without control characters, got nothing"
    assert found == [
        f"e.csv, line 3, column 'user': {no_id}",
        f"e.csv, line 5, column 'item': {no_id}",
        "e.csv, line 3, column 'timestamp': expected a number of at least 0, got 'ten'",
        "e.csv, line 3, column 'action': expected one of view, like, dislike, save, buy, skip, got 'look'",
        "e.csv, line 3, column 'weight': expected a number from 0 to 3e+38, got '-1' (and 1 more rows)",
        f"items.csv, line 4, column 'item': {no_id}",
        "items.csv, line 3, column 'item': expected each id once, got again, got 'a'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("user,item,timestamp\n", "expected rows after the header"),
        ("user,item\nu,i\n", "column 'timestamp': expected this column, but the file has only: user, item"),
        ("user,user,item,timestamp\nu,u,i,1\n", "column 'user': expected each column once"),
        ("user,item,timestamp\nu,i,1\nu,i\n", "line 3: expected 3 fields as in the header, got 2"),
        ("user,item,timestamp\nu,i,1,2\n", "line 2: expected 3 fields as in the header, got 4"),
        ("user,item,timestamp\nu,i,1700000000000\n", "milliseconds? divide by 1000"),
        ("user,item,timestamp\nu,i,1.5\n", "expected whole seconds"),
        ("user,item,timestamp\nu,i,-1\n", "at least 0, got '-1'"),
        ('user,item,timestamp\nu,"i\n,1\n', "expected well-formed quotes"),
        ('user,item,timestamp\n"u\nv",i,1\n', "line 2, column 'user': expected an id"),
        ('user,item,timestamp\n"u",i,1\n\n"u",i,x\n', "line 4, column 'timestamp'"),
    ],
)
def test_a_bad_csv_says_what_and_where(tmp_path: Path, text: str, expected: str) -> None:
    (found,) = problems(tmp_path, "e.csv", text)
    assert expected in found


def test_mixed_encodings_name_the_line(tmp_path: Path) -> None:
    latin = "user,item,timestamp\nu,é,1\n".encode() + "u,é,2\n".encode("latin-1")
    assert problems(tmp_path, "e.csv", latin) == [
        "e.csv, line 3: expected UTF-8 text, got byte 0xe9; save the file as UTF-8"
    ]


def test_bad_recbole_files(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "a.inter", "user_id\titem_id:token\ttimestamp:float\nu\ti\t1\n")
    assert "expected 'name:type' in the header, got 'user_id'" in found
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (tmp_path / "c.item").write_text("item_id:token\ttitle:token_seq\ni\t" + "x" * 1025 + "\n")
    (found,) = problems(tmp_path, "c.inter", header + "u\ti\t3\t1\n")
    assert "c.item, line 2, column 'title': expected a title of at most 1024 bytes" in found
    (found,) = problems(tmp_path, "b.inter", header + "u\ti\t7\t1\n")
    assert "line 2, column 'rating': expected a number from 0 to 5, got '7'" in found


def test_parquet_of_other_types_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [1], "item": ["i"], "timestamp": [None], "weight": ["x"], "action": [3]})
    frame.write_parquet(tmp_path / "e.parquet")
    with pytest.raises(DataInvalid) as caught:
        read_source(tmp_path / "e.parquet")
    assert [problem.column for problem in caught.value.problems] == ["timestamp", "action", "weight"]


def test_what_is_not_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="found nothing"):
        read_source(tmp_path / "nowhere")
    with pytest.raises(DataInvalid, match=r"expected one of .* found none of them"):
        read_source(tmp_path)
    (tmp_path / "e.txt").write_text("hello")
    with pytest.raises(DataInvalid, match="expected a file that ends in"):
        read_source(tmp_path / "e.txt")
    (tmp_path / "a.inter").write_text("")
    (tmp_path / "b.inter").write_text("")
    with pytest.raises(DataInvalid, match=r"found a\.inter, b\.inter"):
        read_source(tmp_path)
    with pytest.raises(DataInvalid, match="marker is not there"):
        read_text(tmp_path, "e.parquet", "user,item")
