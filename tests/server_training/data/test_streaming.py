"""Data larger than memory: pieces and parts of any size give what one piece gives."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.pieces import check_text, line_pieces
from server_training.data.prepare import prepare
from server_training.data.sources import open_source, read_source
from server_training.errors import DataInvalid

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "é", "zz"]),
        st.sampled_from("xyz"),
        st.integers(0, 4),
        st.sampled_from(["view", "buy"]),
    ),
    min_size=1,
    max_size=40,
)


def write(folder: Path, ending: str, events: list[tuple[str, str, int, str]], *, quoted: bool = False) -> Path:
    path = folder / f"e.{ending}"
    frame = pl.DataFrame(events, schema=[c.USER, c.ITEM, c.TIMESTAMP, c.ACTION], orient="row")
    if ending == "csv":
        frame.write_csv(path, quote_style="always" if quoted else "never")
    elif ending == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return path


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.sampled_from(["csv", "quoted", "jsonl", "inter"]), st.integers(1, 200), st.integers(1, 12))
def test_pieces_and_parts_do_not_show(
    events: list[tuple[str, str, int, str]], kind: str, piece: int, part_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "inter":
            rows = ["user_id:token\titem_id:token\ttimestamp:float", *(f"{u}\t{i}\t{t}" for u, i, t, _ in events)]
            path = folder / "e.inter"
            path.write_text("\r\n".join(rows))
        else:
            path = write(folder, "csv" if kind == "quoted" else kind, events, quoted=kind == "quoted")
        whole = prepare(path, folder / "whole")
        parts = prepare(path, folder / "parts", piece=piece, part_rows=part_rows)
        frames = [pl.read_parquet(folder / out / c.INTERACTIONS_FILE) for out in ("whole", "parts")]
        assert_frame_equal(*frames)
        reports = [json.loads(report.to_json()) for report in (whole, parts)]
        for report in reports:
            del report["outputs"]
        assert reports[0] == reports[1]
        assert SequenceData.load(folder / "parts").sha256 == SequenceData.load(folder / "whole").sha256


def test_parquet_comes_in_pieces_too(tmp_path: Path) -> None:
    events = [(f"u{row % 7}", f"i{row % 5}", row // 3, "view") for row in range(100)]
    path = write(tmp_path, "parquet", events)
    assert len(list(open_source(path, piece=9).pieces())) == 12
    prepare(path, tmp_path / "parts", piece=9, part_rows=20)
    prepare(path, tmp_path / "whole")
    frames = [pl.read_parquet(tmp_path / out / c.INTERACTIONS_FILE) for out in ("whole", "parts")]
    assert_frame_equal(*frames)


@given(st.text(st.sampled_from("aé\n\r")), st.integers(1, 9))
def test_pieces_of_text_are_whole_lines(text: str, size: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(text.encode())
        pieces = list(line_pieces(path, size))
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(piece for piece, _ in pieces) == plain
    for number, (piece, first) in enumerate(pieces):
        assert first == 1 + "".join(before for before, _ in pieces[:number]).count("\n")
        assert piece.endswith("\n") or number == len(pieces) - 1


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_text_is_checked_as_python_decodes_it(before: bytes, after: bytes) -> None:
    data = before + after
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(data)
        line = _first_bad_line(data)
        if line is None:
            assert check_text(path) == (b'"' in data)
            return
        with pytest.raises(DataInvalid) as caught:
            check_text(path)
        assert caught.value.problems[0].line == line


def _first_bad_line(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return None


def test_the_same_fault_in_many_pieces_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,timestamp\n" + "u,i,never\n" * 50 + ",i,1\n")
    with pytest.raises(DataInvalid) as caught:
        prepare(tmp_path / "e.csv", tmp_path / "out", piece=40)
    assert [str(problem) for problem in caught.value.problems] == [
        "e.csv, line 2, column 'timestamp': expected a number of at least 0, got 'never' (and 49 more rows)",
        "e.csv, line 52, column 'user': expected an id of 1 to 255 bytes without control characters, got nothing",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["e.csv"]


def test_a_key_that_begins_halfway_is_refused(tmp_path: Path) -> None:
    early, late = '{"user":"u","item":"i","timestamp":1}\n', '{"user":"u","item":"i","timestamp":2,"weight":3}\n'
    (tmp_path / "e.jsonl").write_text(early * 9 + late)
    source = open_source(tmp_path / "e.jsonl", piece=60)
    list(source.pieces())
    assert "'weight'" in str(source.problems[0])
    (tmp_path / "e.jsonl").write_text(late + early.replace("}", ',"weight":null}') * 2 + late)
    with pytest.raises(DataInvalid, match="'weight'"):
        read_source(tmp_path / "e.jsonl")


def test_a_parquet_file_that_ends_its_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "parquet", [("u", "i", 1, "view")])
    prepare(path, tmp_path / "out")  # a good file goes through the same check
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(DataInvalid, match="ends the process"):
        prepare(path, tmp_path / "out")


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    small = write(tmp_path, "csv", [("u", "i", 1, "view")])
    out = tmp_path / "out"
    prepare(small, out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    large = write(tmp_path, "csv", [(f"user{row}", f"item{row}", row, "view") for row in range(20_000)])
    command = (
        "import resource, sys; from pathlib import Path; from server_training.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.exit(main(['prepare', sys.argv[1], '--out', sys.argv[2]]))"
    )
    child = subprocess.run([sys.executable, "-c", command, large, out], capture_output=True, text=True, check=False)
    assert child.returncode == 1, child.stderr
    assert "File too large" in child.stderr
    assert "Traceback" not in child.stderr
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
