"""Reading a file into columns, before anyone looks at what the columns mean.

Knows encodings, separators, quotes and line numbers; knows nothing of users, items or actions. A text table
keeps every field as the text it was, so that a check can show the very characters that are wrong.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from server_training.errors import DataInvalid, Problem

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


def read_delimited(path: Path, separator: str, *, quoted: bool, typed_header: bool = False) -> RawTable:
    """Read a text table whose first line names the columns.

    Args:
        path: UTF-8 text, with or without a byte order mark, any line ending; blank lines are passed over.
        separator: one character between fields.
        quoted: whether ``"…"`` protects separators and line ends inside a field.
        typed_header: whether the header holds RecBole's ``name:type`` pairs.

    Raises:
        DataInvalid: wrong encoding, no header, doubled names, no rows, or rows of the wrong length.
    """
    text = _decode(path)
    if quoted and '"' in text:
        rows, lines = _split_quoted(path, text, separator)
    else:
        rows, lines = _split_plain(text, separator)
    if rows.is_empty():
        raise DataInvalid([Problem(path.name, "expected a header line and rows, but the file is empty")])
    names, types = _header(path, rows[0].to_list(), typed_header)
    rows, lines = rows[1:], lines[1:]
    if rows.is_empty():
        raise DataInvalid([Problem(path.name, "expected rows after the header, but there are none")])
    wrong = rows.list.len() != len(names)
    if wrong.any():
        first = wrong.arg_max() or 0
        message = f"expected {len(names)} fields as in the header, got {len(rows[first])}"
        raise DataInvalid([Problem(path.name, message, line=int(lines[first]), more=int(wrong.sum()) - 1)])
    frame = pl.DataFrame({name: rows.list.get(index) for index, name in enumerate(names)})
    return RawTable(path, frame, lines, types)


def read_parquet(path: Path) -> RawTable:
    """Read a Parquet file with its own column types.

    Only for files one trusts to be what they say: on some damaged pages polars asks for absurd amounts of
    memory and ends the process. Prepared folders are compared with their hashes before they come here.

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
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        message = f"expected a readable Parquet file, but: {error}"
        raise DataInvalid([Problem(path.name, message)]) from error
    if frame.is_empty():
        raise DataInvalid([Problem(path.name, "expected rows, but the file holds none")])
    return RawTable(path, frame, pl.Series(range(1, len(frame) + 1), dtype=pl.UInt32), {})


def _decode(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8 text, got byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise DataInvalid([Problem(path.name, message, line=line)]) from error


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


def read_json_lines(path: Path) -> RawTable:
    """Read a file with one JSON object per line; blank lines are passed over.

    Raises:
        DataInvalid: wrong encoding, a line that is no object, or no rows.
    """
    text = pl.Series(_decode(path).split("\n"), dtype=pl.String)
    lines = pl.Series(range(1, len(text) + 1), dtype=pl.UInt32)
    full = text.str.strip_chars().str.len_bytes() > 0
    text, lines = text.filter(full), lines.filter(full)
    if text.is_empty():
        raise DataInvalid([Problem(path.name, "expected a JSON object per line, but the file is empty")])
    try:
        frame = pl.read_ndjson(io.BytesIO("\n".join(text).encode()), infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        place, message = _faulty_json(text)
        line = None if place is None else int(lines[place])
        raise DataInvalid([Problem(path.name, f"expected a JSON object, {message or error}", line=line)]) from error
    return RawTable(path, frame, lines, {})


def _faulty_json(text: pl.Series) -> tuple[int | None, str]:
    for place, line in enumerate(text):
        try:
            found = json.loads(line)
        except ValueError as error:
            return place, f"but: {error}"
        if not isinstance(found, dict):
            return place, f"got {type(found).__name__}"
    return None, ""


def _split_plain(text: str, separator: str) -> tuple[pl.Series, pl.Series]:
    """Split on line ends and separators inside polars: no Python object per field."""
    rows = pl.Series([text.replace("\r\n", "\n").replace("\r", "\n")]).str.split("\n").explode()
    lines = pl.Series(range(1, len(rows) + 1), dtype=pl.UInt32)
    full = rows.str.len_bytes() > 0
    return rows.filter(full).str.split(separator), lines.filter(full)


def _split_quoted(path: Path, text: str, separator: str) -> tuple[pl.Series, pl.Series]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    before = 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        message = f"expected well-formed quotes, but: {error}"
        raise DataInvalid([Problem(path.name, message, line=before + 1)]) from error
    return pl.Series(rows, dtype=pl.List(pl.String)), pl.Series(lines, dtype=pl.UInt32)


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
