"""Readers of interaction data: RecBole atomic files, CSV, JSON lines, Parquet, and data sets as they are published.

``read_source`` takes a file or a folder and returns tables of the contract, or raises :class:`DataInvalid`
with every problem of every file. It writes nothing and knows nothing of training.

========  =================================  ==========================================================
format    a folder holds                     columns
========  =================================  ==========================================================
RecBole   one ``*.inter``, maybe ``*.item``  user_id, item_id, timestamp, [rating 0..5]; item_id, any others
CSV       ``interactions.csv``,              user, item, timestamp, [action], [weight];
          maybe ``items.csv``                item, [title], [text], [attributes separated by ``|``]
JSONL     ``interactions.jsonl``,            as CSV; attributes may be a list
          maybe ``items.jsonl``
Parquet   ``interactions.parquet``,          see ``columns.py``
          maybe ``items.parquet``
others    see ``known_folders.py``
========  =================================  ==========================================================

Given a file, the item file is looked for beside it, under the same stem (RecBole) or as ``items.*``.

A rating becomes an action, 4 or more ``like``, 2 or less ``dislike``, between them ``view``, and a weight,
rating / 5. Rows that are equal in every column are kept once; the report counts the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from server_training.data import columns as c
from server_training.data.checks import (
    actions,
    doubled,
    identifiers,
    missing_columns,
    numbers_between,
    text_lists,
    texts,
    titles,
    whole_seconds,
)
from server_training.data.known_folders import find_known
from server_training.data.recbole import recbole_interactions, recbole_items
from server_training.data.tables import RawTable, read_delimited, read_json_lines, read_parquet
from server_training.errors import DataInvalid, DataUnavailable, Problem

Adapter = Callable[[RawTable], tuple[pl.DataFrame | None, list[Problem]]]


@dataclass(frozen=True, slots=True)
class SourceTables:
    """A source in the contract's columns.

    Attributes:
        interactions: one row per event, in the order of the file, without doubled rows.
        items: one row per catalog item, sorted by item; every interacted item is in it.
        files: the files read, interactions first.
        rows_read: event rows in the file, doubled ones included.
        format: name of the format.
        lines_repaired: lines read as Latin-1 because they were not UTF-8.
        rows_dropped: rows left out because they cannot be true.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    files: tuple[Path, ...]
    rows_read: int
    format: str
    lines_repaired: int = 0
    rows_dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Format:
    read: Callable[[Path], RawTable]
    interactions: Adapter
    items: Adapter


def read_source(path: Path) -> SourceTables:
    """Read a folder or a file of any known format.

    Raises:
        DataUnavailable: nothing is at ``path``.
        DataInvalid: no known format, or the data breaks the contract; all problems at once.
    """
    if not path.exists():
        raise DataUnavailable(f"expected a data file or folder at {path}, found nothing; check the path")
    known = find_known(path) if path.is_dir() else None
    if known is not None:
        name, read = known
        found = read()
        rows = len(found.interactions) + found.dropped
        kept = found.interactions.unique(maintain_order=True, keep="first")
        return SourceTables(kept, _complete(found.items, kept), found.files, rows, name, found.repaired, found.dropped)
    events_file, items_file = _find_files(path)
    chosen = _FORMATS[events_file.suffix]
    problems: list[Problem] = []
    raw, events = _attempt(events_file, chosen.read, chosen.interactions, problems)
    items: pl.DataFrame | None = None
    if items_file is not None:
        _, items = _attempt(items_file, chosen.read, chosen.items, problems)
    if problems or raw is None or events is None:
        raise DataInvalid(problems)
    files = (events_file,) if items_file is None else (events_file, items_file)
    kept = events.unique(maintain_order=True, keep="first")
    return SourceTables(kept, _complete(items, kept), files, len(raw.frame), events_file.suffix[1:])


def _find_files(path: Path) -> tuple[Path, Path | None]:
    if path.is_dir():
        names = (c.INTERACTIONS_FILE, "interactions.csv", "interactions.jsonl")
        found = [*(path / name for name in names), *sorted(path.glob("*.inter"))]
        found = [file for file in found if file.is_file()]
        if len(found) != 1:
            shown = ", ".join(file.name for file in found) or "none of them"
            message = (
                f"expected one of {c.INTERACTIONS_FILE}, interactions.csv, interactions.jsonl, *.inter, "
                f"or a data set as it is published, found {shown}"
            )
            raise DataInvalid([Problem(str(path), message)])
        path = found[0]
    elif path.suffix not in _FORMATS:
        message = f"expected a file that ends in {', '.join(_FORMATS)}, got {path.suffix or 'no ending'!r}"
        raise DataInvalid([Problem(path.name, message)])
    beside = path.with_suffix(".item") if path.suffix == ".inter" else path.with_name(f"items{path.suffix}")
    return path, beside if beside.is_file() and beside != path else None


def _attempt(
    file: Path, read: Callable[[Path], RawTable], adapt: Adapter, problems: list[Problem]
) -> tuple[RawTable | None, pl.DataFrame | None]:
    """Read and adapt one file; what is wrong joins ``problems``, so that other files are still looked at."""
    try:
        raw = read(file)
    except DataInvalid as error:
        problems.extend(error.problems)
        return None, None
    frame, found = adapt(raw)
    problems.extend(found)
    return raw, frame


def _contract_interactions(raw: RawTable) -> tuple[pl.DataFrame | None, list[Problem]]:
    problems = missing_columns(raw, (c.USER, c.ITEM, c.TIMESTAMP))
    if problems:
        return None, problems
    ready: dict[str, pl.Series] = {}
    for name, check in ((c.USER, identifiers), (c.ITEM, identifiers), (c.TIMESTAMP, whole_seconds)):
        ready[name], found = check(raw, name)
        problems += found
    rows = len(raw.frame)
    ready[c.ACTION] = pl.repeat("view", rows, eager=True)
    ready[c.WEIGHT] = pl.repeat(1.0, rows, eager=True)
    if c.ACTION in raw.frame.columns:
        ready[c.ACTION], found = actions(raw, c.ACTION)
        problems += found
    if c.WEIGHT in raw.frame.columns:
        ready[c.WEIGHT], found = numbers_between(raw, c.WEIGHT, 0, 3e38)
        problems += found
    return (None if problems else pl.DataFrame(ready).cast(c.INTERACTIONS_SCHEMA)), problems


def _contract_items(raw: RawTable) -> tuple[pl.DataFrame | None, list[Problem]]:
    problems = missing_columns(raw, (c.ITEM,))
    if problems:
        return None, problems
    ready: dict[str, pl.Series] = {}
    ready[c.ITEM], found = identifiers(raw, c.ITEM)
    problems += found + doubled(raw, c.ITEM, ready[c.ITEM])
    rows = len(raw.frame)
    for name, check in ((c.TITLE, titles), (c.TEXT, texts)):
        ready[name] = pl.repeat("", rows, eager=True)
        if name in raw.frame.columns:
            ready[name], found = check(raw, name)
            problems += found
    ready[c.ATTRIBUTES] = pl.repeat([], rows, dtype=pl.List(pl.String), eager=True)
    if c.ATTRIBUTES in raw.frame.columns:
        ready[c.ATTRIBUTES], found = _attributes(raw)
        problems += found
    return (None if problems else pl.DataFrame(ready).cast(c.ITEMS_SCHEMA)), problems


def _attributes(raw: RawTable) -> tuple[pl.Series, list[Problem]]:
    column = raw.frame[c.ATTRIBUTES]
    if column.dtype != pl.String:
        return text_lists(raw, c.ATTRIBUTES)
    parts = column.fill_null("").str.split("|")
    return parts.list.eval(pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != "")), []


def _complete(items: pl.DataFrame | None, events: pl.DataFrame) -> pl.DataFrame:
    """Add a bare row for every interacted item that the item file does not hold; sort by item."""
    if items is None:
        items = pl.DataFrame(schema=c.ITEMS_SCHEMA)
    bare = events.select(pl.col(c.ITEM).unique()).join(items, on=c.ITEM, how="anti")
    empty = pl.lit([], dtype=pl.List(pl.String)).alias(c.ATTRIBUTES)
    bare = bare.with_columns(pl.lit("").alias(c.TITLE), pl.lit("").alias(c.TEXT), empty)
    return pl.concat([items.select(list(c.ITEMS_SCHEMA)), bare.select(list(c.ITEMS_SCHEMA))]).sort(c.ITEM)


def _read_recbole(path: Path) -> RawTable:
    return read_delimited(path, "\t", quoted=False, typed_header=True)


def _read_csv(path: Path) -> RawTable:
    return read_delimited(path, ",", quoted=True)


_FORMATS = {
    ".inter": _Format(_read_recbole, recbole_interactions, recbole_items),
    ".csv": _Format(_read_csv, _contract_interactions, _contract_items),
    ".jsonl": _Format(read_json_lines, _contract_interactions, _contract_items),
    ".parquet": _Format(read_parquet, _contract_interactions, _contract_items),
}
