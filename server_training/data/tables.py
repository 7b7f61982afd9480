"""Reading a file into columns, before anyone looks at what the columns mean.

Knows encodings, separators, quotes and line numbers; knows nothing of users, items or actions. A text table
keeps every field as the text it was, so that a check can show the very characters that are wrong.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from server_training.data.pieces import check_text, line_pieces
from server_training.errors import DataInvalid, Problem

PIECE_BYTES = 1 << 26
PIECE_ROWS = 1_000_000
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns of one file and where each row stood.

    Attributes:
        file: the file that was read.
        frame: the rows; a text file's columns are all String.
        lines: UInt32 ``[rows]``, 1-based line (text) or row (Parquet).
        types: the type a RecBole header gave each column; empty for other files.
    """

    file: Path
    frame: pl.DataFrame
    lines: pl.Series
    types: dict[str, str]


def delimited_tables(
    path: Path, separator: str, *, quoted: bool, typed_header: bool = False, piece: int = PIECE_BYTES
) -> Iterator[RawTable]:
    """Read a text table whose first line names the columns, a piece at a time.

    Args:
        path: UTF-8 text, with or without a byte order mark, any line ending; blank lines are passed over.
        separator: one character between fields.
        quoted: whether ``"…"`` protects separators and line ends inside a field.
        typed_header: whether the header holds RecBole's ``name:type`` pairs.
        piece: bytes read at a time.

    Raises:
        DataInvalid: wrong encoding, no header, doubled names, no rows, or rows of the wrong length.
    """
    split = _split_quoted if check_text(path) and quoted else _split_plain
    header: tuple[list[str], dict[str, str]] | None = None
    empty = True
    for rows, lines in split(path, separator, piece):
        if header is None and not rows.is_empty():
            header = _header(path, rows[0].to_list(), typed_header)
            rows, lines = rows[1:], lines[1:]
        if header is None or rows.is_empty():
            continue
        empty = False
        names, types = header
        wrong = rows.list.len() != len(names)
        if wrong.any():
            first = wrong.arg_max() or 0
            message = f"expected {len(names)} fields as in the header, got {len(rows[first])}"
            raise DataInvalid([Problem(path.name, message, line=int(lines[first]), more=int(wrong.sum()) - 1)])
        frame = pl.DataFrame({name: rows.list.get(index) for index, name in enumerate(names)})
        yield RawTable(path, frame, lines, types)
    if header is None:
        raise DataInvalid([Problem(path.name, "expected a header line and rows, but the file is empty")])
    if empty:
        raise DataInvalid([Problem(path.name, "expected rows after the header, but there are none")])


def read_delimited(path: Path, separator: str, *, quoted: bool, typed_header: bool = False) -> RawTable:
    """Read a whole text table; see :func:`delimited_tables`."""
    return joined(delimited_tables(path, separator, quoted=quoted, typed_header=typed_header))


def joined(tables: Iterable[RawTable]) -> RawTable:
    """One table of all pieces of a file; columns that some pieces lack are empty there."""
    found = list(tables)
    frame = pl.concat([table.frame for table in found], how="diagonal_relaxed")
    return RawTable(found[0].file, frame, pl.concat([table.lines for table in found]), found[0].types)


def parquet_tables(path: Path, rows: int = PIECE_ROWS) -> Iterator[RawTable]:
    """Read a Parquet file with its own column types, some rows at a time.

    Only for files one trusts to be what they say, or that ``parquet_check`` has been through.

    Raises:
        DataInvalid: the file is not Parquet, is damaged, or holds no rows.
    """
    with path.open("rb") as file:
        whole = file.read(4) == _PARQUET_MAGIC and path.stat().st_size >= 12
        if whole:
            file.seek(-4, io.SEEK_END)
            whole = file.read(4) == _PARQUET_MAGIC
    if not whole:
        raise DataInvalid([Problem(path.name, "expected a Parquet file, but its marker is not there")])
    start = 0
    try:
        scanned = pl.scan_parquet(path)
        total = int(scanned.select(pl.len()).collect().item())
        for start in range(0, total, rows):
            frame = scanned.slice(start, rows).collect()
            yield RawTable(path, frame, pl.Series(range(start + 1, start + len(frame) + 1), dtype=pl.UInt32), {})
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        message = f"expected a readable Parquet file, but: {error}"
        raise DataInvalid([Problem(path.name, message)]) from error
    if not total:
        raise DataInvalid([Problem(path.name, "expected rows, but the file holds none")])


def json_tables(path: Path, piece: int = PIECE_BYTES) -> Iterator[RawTable]:
    """Read a file with one JSON object per line, a piece at a time; blank lines are passed over.

    Raises:
        DataInvalid: wrong encoding, a line that is no object, or no rows.
    """
    check_text(path)
    empty = True
    for whole, first in line_pieces(path, piece):
        text = pl.Series(whole.split("\n"), dtype=pl.String)
        lines = pl.Series(range(first, first + len(text)), dtype=pl.UInt32)
        full = text.str.strip_chars().str.len_bytes() > 0
        text, lines = text.filter(full), lines.filter(full)
        if text.is_empty():
            continue
        empty = False
        try:
            frame = pl.read_ndjson(io.BytesIO("\n".join(text).encode()), infer_schema_length=None)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            place, message = _faulty_json(text)
            line = None if place is None else int(lines[place])
            raise DataInvalid([Problem(path.name, f"expected a JSON object, {message or error}", line=line)]) from error
        yield RawTable(path, frame, lines, {})
    if empty:
        raise DataInvalid([Problem(path.name, "expected a JSON object per line, but the file is empty")])


def repaired_lines(path: Path) -> tuple[pl.Series, int]:
    """Lines of a file in which UTF-8 and Latin-1 are mixed, and how many were Latin-1.

    For data sets that were published so; a line is one or the other.
    """
    lines: list[str] = []
    repaired = 0
    for line in path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines():
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line.decode("latin-1"))
            repaired += 1
    return pl.Series(lines, dtype=pl.String), repaired


def _faulty_json(text: pl.Series) -> tuple[int | None, str]:
    for place, line in enumerate(text):
        try:
            found = json.loads(line)
        except ValueError as error:
            return place, f"but: {error}"
        if not isinstance(found, dict):
            return place, f"got {type(found).__name__}"
    return None, ""


def _split_plain(path: Path, separator: str, piece: int) -> Iterator[tuple[pl.Series, pl.Series]]:
    """Split on line ends and separators inside polars: no Python object per field."""
    for text, first in line_pieces(path, piece):
        rows = pl.Series([text]).str.split("\n").explode()
        lines = pl.Series(range(first, first + len(rows)), dtype=pl.UInt32)
        full = rows.str.len_bytes() > 0
        yield rows.filter(full).str.split(separator), lines.filter(full)


def _split_quoted(path: Path, separator: str, piece: int) -> Iterator[tuple[pl.Series, pl.Series]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    before, size = 0, 0
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=separator, strict=True)
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(before + 1)
                    size += sum(map(len, row))
                before = reader.line_num
                if size >= piece:
                    yield pl.Series(rows, dtype=pl.List(pl.String)), pl.Series(lines, dtype=pl.UInt32)
                    rows, lines, size = [], [], 0
        except csv.Error as error:
            message = f"expected well-formed quotes, but: {error}"
            raise DataInvalid([Problem(path.name, message, line=before + 1)]) from error
    yield pl.Series(rows, dtype=pl.List(pl.String)), pl.Series(lines, dtype=pl.UInt32)


def _header(path: Path, fields: list[str], typed: bool) -> tuple[list[str], dict[str, str]]:
    problems: list[Problem] = []
    names: list[str] = []
    types: dict[str, str] = {}
    for field in fields:
        name, colon, kind = field.strip().partition(":") if typed else (field.strip(), "", "")
        if typed and not (colon and name and kind):
            problems.append(Problem(path.name, f"expected 'name:type' in the header, got {field!r}", line=1))
        if name in names:
            problems.append(Problem(path.name, "expected each column once, got it twice", line=1, column=name))
        names.append(name)
        types[name] = kind
    if problems:
        raise DataInvalid(problems)
    return names, types if typed else {}
