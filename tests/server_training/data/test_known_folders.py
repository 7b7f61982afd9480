"""Public data sets as they are published, and what people do to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.data import columns as c
from server_training.data.sources import SourceTables, read_source
from server_training.errors import DataInvalid

Files = dict[str, str | bytes]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Files], SourceTables]:
    def make(files: Files) -> SourceTables:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return read_source(tmp_path)

    return make


def rows(tables: SourceTables, *columns: str) -> list[tuple[object, ...]]:
    return tables.interactions.select(columns or (c.USER, c.ITEM, c.TIMESTAMP)).rows()


def test_sequences_are_events_in_order(read) -> None:
    items = "item_id\tasin\ttitle\n1\tA\tSoap\twith a tab\n2\tB\t\n9\tC\tNever used\n"
    tables = read({"sequences.txt": "7 1 2 1\r\n\r\n8 3\n", "items.tsv": items})
    assert tables.format == "sequences"
    assert rows(tables) == [("7", "1", 0), ("7", "2", 1), ("7", "1", 2), ("8", "3", 0)]
    assert tables.items.select(c.ITEM, c.TITLE).rows() == [
        ("1", "Soap\twith a tab"),
        ("2", ""),
        ("3", ""),
        ("9", "Never used"),
    ]


def test_genres_become_attributes(read) -> None:
    tables = read(
        {"sequences.txt": "1 5\n", "items.tsv": "item_id\tmovie_id\ttitle\tgenres\n5\t9\tHeat\tAction||Crime\n"}
    )
    assert tables.items[c.ATTRIBUTES].to_list() == [["Action", "Crime"]]


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), min_size=1, max_size=8))
def test_any_sequences_come_back(tmp_path_factory: pytest.TempPathFactory, sequences: list[list[int]]) -> None:
    folder = tmp_path_factory.mktemp("sequences")
    lines = [" ".join(map(str, [user, *items])) for user, items in enumerate(sequences)]
    (folder / "sequences.txt").write_text("\n".join(lines) + "\n")
    tables = read_source(folder)
    found = tables.interactions.group_by(c.USER, maintain_order=True).agg(c.ITEM)[c.ITEM].to_list()
    assert found == [[str(item) for item in items] for items in sequences]


DAT = {
    "ratings.dat": "1::10::5::978300760\n1::11::2::978300761\n",
    "movies.dat": "10::Caf\xe9 (1995)::Drama|War\n".encode("latin-1"),
}
COMMAS = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,10,5.0,978300760\n1,11,2,978300761\n",
    "movies.csv": 'movieId,title,genres\n10,"Café (1995)",Drama|War\n',
}
OLDEST = {
    "u.data": "1\t10\t5\t978300760\n1\t11\t2\t978300761\n",
    "u.item": "10|Caf\xe9 (1995)|01-Jan-1995||http://x|0|1\n".encode("latin-1"),
}


@pytest.mark.parametrize("files", [DAT, COMMAS, OLDEST])
def test_every_generation_of_movielens_is_read(read, files: Files) -> None:
    tables = read(files)
    assert tables.format == "movielens"
    assert rows(tables, c.USER, c.ITEM, c.TIMESTAMP, c.ACTION) == [
        ("1", "10", 978300760, "like"),
        ("1", "11", 978300761, "dislike"),
    ]
    assert tables.interactions[c.WEIGHT].to_list() == pytest.approx([1.0, 0.4])
    assert tables.items.filter(pl.col(c.ITEM) == "10")[c.TITLE].item() == "Café (1995)"


TAGGED = """userID\tartistID\ttagID\tday\tmonth\tyear
2\t52\t13\t1\t4\t2009
2\t52\t15\t1\t4\t2009
2\t7\t13\t31\t3\t2009
3\t7\t13\t1\t1\t1956
"""


def test_tag_assignments_of_one_day_are_one_event(read) -> None:
    tables = read(
        {
            "user_taggedartists_full.dat": TAGGED,
            "artists.dat": b"id\tname\turl\tpictureURL\n52\tBj\xf6rk\thttp://x\ty\n7\tSigur R\xc3\xb3s\thttp://x\ty\n",
            "tags.dat": "tagID\ttagValue\r\n13\ticelandic\r\n15\tpop\r\n",
        }
    )
    assert tables.format == "hetrec"
    assert rows(tables) == [("2", "52", 1238544000), ("2", "7", 1238457600)]
    assert (tables.rows_dropped, tables.lines_repaired) == (1, 1)
    assert tables.items.select(c.ITEM, c.TITLE, c.ATTRIBUTES).rows() == [
        ("52", "Björk", ["icelandic", "pop"]),
        ("7", "Sigur Rós", ["icelandic"]),
    ]


def test_recbole_sequences_are_put_together(read) -> None:
    header = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    tables = read({"x.test.inter": f"{header}0\t5 6\t7\n1\t5\t6\n0\t5\t6\n", "x.train.inter": f"{header}0\t5\t6\n"})
    assert tables.format == "recbole-seq"
    assert rows(tables) == [("0", "5", 0), ("0", "6", 1), ("0", "7", 2), ("1", "5", 0), ("1", "6", 1)]


def test_json_lines_follow_the_contract(read) -> None:
    tables = read(
        {
            "interactions.jsonl": '{"user": "a", "item": "x", "timestamp": 5, "action": "like"}\n\n'
            '{"user": "b", "item": "y", "timestamp": 6, "action": "view"}\n',
            "items.jsonl": '{"item": "x", "title": "T", "attributes": ["p", "q"]}\n',
        }
    )
    assert rows(tables, c.USER, c.ITEM, c.ACTION) == [("a", "x", "like"), ("b", "y", "view")]
    assert tables.items[c.ATTRIBUTES].to_list() == [["p", "q"], []]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sequences.txt": "7 1\n8\n"}, "sequences.txt, line 2: expected 'user item"),
        ({"sequences.txt": ""}, "sequences.txt: expected 'user item"),
        ({"sequences.txt": "7 1\n7 2\n"}, "line 2: expected each user once"),
        ({"sequences.txt": "7 1  2\n"}, "expected an id"),
        ({"sequences.txt": "7 1\n", "items.tsv": "item_id\ttitle\n1\n"}, "items.tsv, line 2: expected 2 fields"),
        ({"ratings.dat": "1::10::5\n"}, "ratings.dat, line 1: expected 4 fields"),
        ({"ratings.dat": "1::10::9::5\n"}, "number from 0 to 5"),
        ({"ratings.dat": "1::10::5::978300760000\n"}, "milliseconds"),
        ({"ratings.csv": "user,movieId,rating,timestamp\n1,2,3,4\n"}, "'userId'"),
        ({"user_taggedartists.dat": "userID\tartistID\n1\t2\n"}, "'year'"),
        ({"user_taggedartists.dat": TAGGED.replace("31\t3", "31\t2")}, "expected dates"),
        ({"user_taggedartists.dat": TAGGED.replace("31\t3", "x\t3")}, "expected a number"),
        ({"x.test.inter": "user_id:token\titem_id_list:token_seq\n0\t1\n"}, "'item_id'"),
        (
            {"interactions.jsonl": '{"user": "a", "item": "x", "timestamp": 5}\n[1]\n'},
            "line 2: expected a JSON object, got list",
        ),
        ({"interactions.jsonl": '{"user": "a"\n'}, "line 1: expected a JSON object, but"),
        ({"interactions.jsonl": "\n"}, "but the file is empty"),
        ({"interactions.jsonl": '{"user": "a", "item": "x"}\n'}, "'timestamp'"),
        ({"interactions.jsonl": b'{"user": "\xff"}\n'}, "UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(read, files: Files, expected: str) -> None:
    with pytest.raises(DataInvalid) as error:
        read(files)
    assert expected in str(error.value)


@given(
    st.binary(max_size=200),
    st.sampled_from(["sequences.txt", "ratings.dat", "u.data", "interactions.jsonl", "interactions.csv"]),
)
def test_arbitrary_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / name).write_bytes(data)
    try:
        tables = read_source(folder)
    except DataInvalid:
        return
    assert dict(tables.interactions.schema) == dict(c.INTERACTIONS_SCHEMA)
