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

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
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
from server_training.data.parquet_check import check_parquet
from server_training.data.recbole import recbole_interactions, recbole_items
from server_training.data.tables import (
    PIECE_BYTES,
    PIECE_ROWS,
    RawTable,
    delimited_tables,
    joined,
    json_tables,
    parquet_tables,
)
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


@dataclass(slots=True)
class Source:
    """A source that is read piece by piece; what is wrong is collected, and raised at the end.

    Attributes:
        format: name of the format.
        files: the files read, interactions first.
        rows_read: event rows so far, dropped ones included.
        lines_repaired, rows_dropped: see :class:`SourceTables`.
        problems: found so far.
    """

    format: str
    files: tuple[Path, ...]
    _events: Iterable[tuple[RawTable | None, pl.DataFrame | None, list[Problem]]]
    _items: Callable[[], tuple[pl.DataFrame | None, list[Problem]]]
    rows_read: int = 0
    lines_repaired: int = 0
    rows_dropped: int = 0
    problems: list[Problem] = field(default_factory=list)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Yield events in the contract's columns, in the order of the file; nothing more once a problem is found."""
        try:
            for raw, frame, problems in self._events:
                self.problems += problems
                self.rows_read += len(raw.frame) if raw is not None else 0
                if frame is not None and not self.problems:
                    yield frame
        except DataInvalid as error:
            self.problems += error.problems

    def items(self, used: pl.Series) -> pl.DataFrame:
        """Return the catalog, sorted by item, with a bare row for every used item that no item file describes.

        Raises:
            DataInvalid: anything was wrong in any file; all problems at once.
        """
        frame: pl.DataFrame | None = None
        try:
            frame, problems = self._items()
            self.problems += problems
        except DataInvalid as error:
            self.problems += error.problems
        if self.problems:
            raise DataInvalid(_merged(self.problems))
        return _complete(frame, used)


@dataclass(frozen=True, slots=True)
class _Format:
    tables: Callable[[Path, int | None], Iterator[RawTable]]
    interactions: Adapter
    items: Adapter


def open_source(path: Path, *, piece: int | None = None, guarded: bool = False) -> Source:
    """Open a folder or a file of any known format, to be read piece by piece.

    Args:
        path: file or folder.
        piece: bytes of text, or rows of Parquet, read at a time; a default when None.
        guarded: try Parquet files in another process first, see :func:`check_parquet`.

    Raises:
        DataUnavailable: nothing is at ``path``.
        DataInvalid: no known format.
    """
    if not path.exists():
        raise DataUnavailable(f"expected a data file or folder at {path}, found nothing; check the path")
    known = find_known(path) if path.is_dir() else None
    if known is not None:
        name, read = known
        found = read()
        rows = len(found.interactions) + found.dropped
        whole = [(None, found.interactions, list[Problem]())]
        return Source(name, found.files, whole, lambda: (found.items, []), rows, found.repaired, found.dropped)
    events_file, items_file = _find_files(path)
    chosen = _FORMATS[events_file.suffix]
    files = (events_file,) if items_file is None else (events_file, items_file)
    if guarded and events_file.suffix == ".parquet":
        for file in files:
            check_parquet(file)
    events = ((raw, *chosen.interactions(raw)) for raw in chosen.tables(events_file, piece))

    def items() -> tuple[pl.DataFrame | None, list[Problem]]:
        return (None, []) if items_file is None else chosen.items(joined(chosen.tables(items_file, None)))

    return Source(events_file.suffix[1:], files, events, items)


def read_source(path: Path) -> SourceTables:
    """Read a folder or a file of any known format into memory.

    Raises:
        DataUnavailable: nothing is at ``path``.
        DataInvalid: no known format, or the data breaks the contract; all problems at once.
    """
    source = open_source(path)
    pieces = list(source.pieces())
    events = pl.concat(pieces) if pieces else pl.DataFrame(schema=c.INTERACTIONS_SCHEMA)
    kept = events.unique(maintain_order=True, keep="first")
    items = source.items(kept[c.ITEM])
    counts = (source.rows_read, source.format, source.lines_repaired, source.rows_dropped)
    return SourceTables(kept, items, source.files, *counts)


def read_items(path: Path) -> pl.DataFrame:
    """Read a file of items alone, in the columns of the contract.

    Raises:
        DataUnavailable: nothing is at ``path``.
        DataInvalid: no known format, or the file breaks the contract; all problems at once.
    """
    if not path.is_file():
        raise DataUnavailable(f"expected a file of items at {path}, found nothing; check the path")
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        message = f"expected a file that ends in .csv, .jsonl or .parquet, got {path.suffix or 'no ending'!r}"
        raise DataInvalid([Problem(path.name, message)])
    chosen = _FORMATS[path.suffix]
    frame, problems = chosen.items(joined(chosen.tables(path, None)))
    if frame is None:
        raise DataInvalid(problems)
    return frame


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """One problem for what is wrong in the same way in several pieces: the first, with the count of all."""
    first: dict[tuple[str, str | None, str], Problem] = {}
    for problem in problems:
        key = (problem.file, problem.column, problem.message.partition(", got ")[0])
        known = first.get(key)
        first[key] = problem if known is None else replace(known, more=known.more + problem.more + 1)
    return list(first.values())


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


def _complete(items: pl.DataFrame | None, used: pl.Series) -> pl.DataFrame:
    """Add a bare row for every interacted item that the item file does not hold; sort by item."""
    if items is None:
        items = pl.DataFrame(schema=c.ITEMS_SCHEMA)
    bare = pl.DataFrame({c.ITEM: used.unique()}).join(items, on=c.ITEM, how="anti")
    empty = pl.lit([], dtype=pl.List(pl.String)).alias(c.ATTRIBUTES)
    bare = bare.with_columns(pl.lit("").alias(c.TITLE), pl.lit("").alias(c.TEXT), empty)
    return pl.concat([items.select(list(c.ITEMS_SCHEMA)), bare.select(list(c.ITEMS_SCHEMA))]).sort(c.ITEM)


def _recbole(path: Path, piece: int | None) -> Iterator[RawTable]:
    return delimited_tables(path, "\t", quoted=False, typed_header=True, piece=piece or PIECE_BYTES)


def _csv(path: Path, piece: int | None) -> Iterator[RawTable]:
    return delimited_tables(path, ",", quoted=True, piece=piece or PIECE_BYTES)


def _jsonl(path: Path, piece: int | None) -> Iterator[RawTable]:
    """Pieces with the columns of the first one: a key cannot come into use halfway."""
    columns: dict[str, pl.DataType] | None = None
    for raw in json_tables(path, piece or PIECE_BYTES):
        if columns is None:
            columns = dict(raw.frame.schema)
        late = [name for name in (c.ACTION, c.WEIGHT) if name in raw.frame.columns and name not in columns]
        if late:
            message = "expected this key from the first lines on, or nowhere; write it in every line"
            raise DataInvalid([Problem(path.name, message, line=int(raw.lines[0]), column=name) for name in late])
        gone = [pl.lit(None, dtype=kind).alias(name) for name, kind in columns.items() if name not in raw.frame.columns]
        yield replace(raw, frame=raw.frame.with_columns(gone))


def _parquet(path: Path, piece: int | None) -> Iterator[RawTable]:
    return parquet_tables(path, piece or PIECE_ROWS)


_FORMATS = {
    ".inter": _Format(_recbole, recbole_interactions, recbole_items),
    ".csv": _Format(_csv, _contract_interactions, _contract_items),
    ".jsonl": _Format(_jsonl, _contract_interactions, _contract_items),
    ".parquet": _Format(_parquet, _contract_interactions, _contract_items),
}
