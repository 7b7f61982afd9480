"""Checks that turn raw columns into columns of the contract, or into problems that name the line.

Each check returns a column of the contract's type and the problems it found; nothing is raised here, so one
run lists everything that is wrong. Knows nothing of file formats.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from device_runtime.catalog import MAX_ID_BYTES, MAX_TITLE_BYTES
from server_training.data.columns import ACTION_NAMES
from server_training.data.tables import RawTable
from server_training.errors import Problem

# The year 5138 in seconds, March 1973 in milliseconds: what is above was not meant as seconds.
_LATEST_SECOND = 100_000_000_000

Checked = tuple[pl.Series, list[Problem]]


def missing_columns(table: RawTable, wanted: Sequence[str]) -> list[Problem]:
    """One problem per wanted column that the table lacks."""
    have = ", ".join(table.frame.columns)
    return [
        Problem(table.file.name, f"expected this column, but the file has only: {have}", column=name)
        for name in wanted
        if name not in table.frame.columns
    ]


def identifiers(table: RawTable, name: str) -> Checked:
    """User or item ids: non-empty text of at most ``MAX_ID_BYTES`` without control characters."""
    column = table.frame[name]
    if column.dtype != pl.String and not column.dtype.is_integer():
        return _wrong_type(table, name, "text or whole numbers")
    ids = column.cast(pl.String)
    bad = (
        ids.is_null()
        | (ids.str.strip_chars() == "")
        | (ids.str.len_bytes() > MAX_ID_BYTES)
        | ids.str.contains(r"[\x00-\x1f\x7f]")
    ).fill_null(value=True)
    expected = f"expected an id of 1 to {MAX_ID_BYTES} bytes without control characters"
    return ids, _problems(table, name, bad, expected)


def texts(table: RawTable, name: str) -> Checked:
    """Free text; nothing stands for the empty text."""
    if table.frame[name].dtype != pl.String:
        return _wrong_type(table, name, "text")
    return table.frame[name].fill_null(""), []


def titles(table: RawTable, name: str) -> Checked:
    """Titles, no longer than the device's catalog takes; nothing stands for the empty title."""
    column, problems = texts(table, name)
    if problems:
        return column, problems
    long = column.str.len_bytes() > MAX_TITLE_BYTES
    return column, _problems(table, name, long, f"expected a title of at most {MAX_TITLE_BYTES} bytes")


def text_lists(table: RawTable, name: str) -> Checked:
    """Lists of text; nothing stands for the empty list."""
    column = table.frame[name]
    if column.dtype != pl.List(pl.String):
        return _wrong_type(table, name, "lists of text")
    return column.fill_null(pl.Series([[]], dtype=pl.List(pl.String))).list.drop_nulls(), []


def whole_seconds(table: RawTable, name: str) -> Checked:
    """Timestamps: whole seconds since 1970."""
    numbers, problems = numbers_between(table, name, 0, float("inf"))
    if problems:
        return numbers, problems
    late = numbers >= _LATEST_SECOND
    problems = _problems(table, name, late, "expected seconds since 1970 (milliseconds? divide by 1000)")
    problems += _problems(table, name, numbers.floor() != numbers, "expected whole seconds since 1970")
    return (numbers if problems else numbers.cast(pl.Int64)), problems


def numbers_between(table: RawTable, name: str, low: float, high: float) -> Checked:
    """Finite numbers from ``low`` to ``high``."""
    column = table.frame[name]
    if column.dtype != pl.String and not column.dtype.is_numeric():
        return _wrong_type(table, name, "numbers")
    numbers = column.cast(pl.Float64, strict=False)
    good = (numbers.is_finite() & (numbers >= low) & (numbers <= high)).fill_null(value=False)
    span = f"a number from {low:g} to {high:g}" if high < float("inf") else f"a number of at least {low:g}"
    return numbers, _problems(table, name, ~good, f"expected {span}")


def actions(table: RawTable, name: str) -> Checked:
    """Action names of the contract."""
    column = table.frame[name]
    if column.dtype != pl.String:
        return _wrong_type(table, name, "action names")
    bad = (~column.is_in(ACTION_NAMES)).fill_null(value=True)
    return column, _problems(table, name, bad, f"expected one of {', '.join(ACTION_NAMES)}")


def doubled(table: RawTable, name: str, ids: pl.Series) -> list[Problem]:
    """A problem when an id that must stand once stands again."""
    return _problems(table, name, ~ids.is_first_distinct(), "expected each id once, got again")


def _problems(table: RawTable, name: str, bad: pl.Series, expected: str) -> list[Problem]:
    count = int(bad.sum())
    if not count:
        return []
    first = bad.arg_max() or 0
    value = table.frame[name][first]
    message = f"{expected}, got {_short(value)}"
    return [Problem(table.file.name, message, line=int(table.lines[first]), column=name, more=count - 1)]


def _short(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _wrong_type(table: RawTable, name: str, expected: str) -> Checked:
    column = table.frame[name]
    return column, [Problem(table.file.name, f"expected {expected}, got type {column.dtype}", column=name)]
