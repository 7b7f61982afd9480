"""Public data sets as they are published: item sequences, MovieLens, HetRec-2011 Last.FM, RecBole sequences.

============  ======================================  ============================================================
format        a folder holds                          events
============  ======================================  ============================================================
sequences     ``sequences.txt``, maybe ``items.tsv``  a line per user, ``user item item …`` in time order; the
                                                      position stands for the time
movielens     ``ratings.dat``, ``ratings.csv`` or     ratings, with movies and genres
              ``u.data``
hetrec        ``user_taggedartists*.dat``             a tag assignment; several of one user, artist and day are one
recbole-seq   ``*.test.inter`` with a column          the whole sequence of each user, from the longest row; the
              ``item_id_list``                        position stands for the time
============  ======================================  ============================================================

Each reader returns the contract's tables; what is wrong with a file comes with its line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from server_training.data import columns as c
from server_training.data.checks import identifiers, missing_columns, numbers_between, titles, whole_seconds
from server_training.data.tables import RawTable, read_delimited, repaired_lines
from server_training.errors import DataInvalid, Problem

_LIKED, _DISLIKED, _BEST = 4.0, 2.0, 5.0


@dataclass(frozen=True, slots=True)
class KnownTables:
    """What a reader found.

    Attributes:
        interactions: in the contract's columns, in source order.
        items: in the contract's columns, or None.
        files: the files read, events first.
        repaired: lines that were not UTF-8 and were read as Latin-1.
        dropped: rows of the events file left out because they cannot be true, such as a date before 1970.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame | None
    files: tuple[Path, ...]
    repaired: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Checker:
    """Collects problems over several columns and files, and raises them together."""

    problems: list[Problem] = field(default_factory=list)

    def take(self, found: tuple[pl.Series, list[Problem]]) -> pl.Series:
        self.problems += found[1]
        return found[0]

    def done(self) -> None:
        if self.problems:
            raise DataInvalid(self.problems)


def find_known(folder: Path) -> tuple[str, Callable[[], KnownTables]] | None:
    """Name the format of a folder and how to read it; None when it is none of these."""
    if (folder / "sequences.txt").is_file():
        return "sequences", lambda: read_sequences(folder)
    if _movielens_files(folder) is not None:
        return "movielens", lambda: read_movielens(folder)
    if _tag_file(folder) is not None:
        return "hetrec", lambda: read_hetrec(folder)
    if _sequential_file(folder) is not None:
        return "recbole-seq", lambda: read_recbole_sequences(folder)
    return None


def read_sequences(folder: Path) -> KnownTables:
    """Read ``user item item …`` lines, and ``items.tsv`` whose first column is the item's id.

    Raises:
        DataInvalid: a user without items or with two lines, or ids that are none.
    """
    path = folder / "sequences.txt"
    text, repaired = repaired_lines(path)
    lines = pl.Series(range(1, len(text) + 1), dtype=pl.UInt32)
    words = text.str.strip_chars().str.split(" ")
    full = text.str.strip_chars().str.len_bytes() > 0
    words, lines = words.filter(full), lines.filter(full)
    check = _Checker()
    short = words.list.len() < 2
    if words.is_empty() or short.any():
        line = int(lines[short.arg_max() or 0]) if not words.is_empty() else None
        raise DataInvalid([Problem(path.name, "expected 'user item item …', got no item", line=line)])
    users = RawTable(path, pl.DataFrame({c.USER: words.list.first()}), lines, {})
    ids = check.take(identifiers(users, c.USER))
    if not ids.is_first_distinct().all():
        first = (~ids.is_first_distinct()).arg_max() or 0
        check.problems.append(
            Problem(path.name, f"expected each user once, got {ids[first]!r} again", int(lines[first]))
        )
    check.done()
    events = pl.DataFrame({c.USER: ids, "line": lines, c.ITEM: words.list.slice(1)})
    events = events.with_columns(pl.int_ranges(pl.col(c.ITEM).list.len()).alias(c.TIMESTAMP))
    events = events.explode(c.ITEM, c.TIMESTAMP)
    raw = RawTable(path, events, events["line"], {})
    check.take(identifiers(raw, c.ITEM))
    check.done()
    items_path = folder / "items.tsv"
    items = _item_rows(items_path, check) if items_path.is_file() else None
    check.done()
    files = (path,) if items is None else (path, items_path)
    return KnownTables(_events(events), items, files, repaired)


def _item_rows(path: Path, check: _Checker) -> pl.DataFrame:
    raw, _ = _headed(path)
    first = raw.frame.columns[0]
    frame = pl.DataFrame({c.ITEM: check.take(identifiers(raw, first))})
    title = check.take(titles(raw, "title")) if "title" in raw.frame.columns else pl.Series([""] * len(frame))
    genres = raw.frame["genres"] if "genres" in raw.frame.columns else pl.Series([""] * len(frame), dtype=pl.String)
    return _items(frame.with_columns(title.alias(c.TITLE), _genres(genres).alias(c.ATTRIBUTES)))


def read_movielens(folder: Path) -> KnownTables:
    """Read any generation of MovieLens: ``::`` files, CSV files, or those of MovieLens-100K.

    Raises:
        DataInvalid: a missing column, or values that are no ids, ratings or times.
    """
    found = _movielens_files(folder)
    if found is None:
        raise DataInvalid([Problem(str(folder), "expected ratings.dat, ratings.csv or u.data, found none of them")])
    ratings_path, movies_path, separator = found
    check = _Checker()
    repaired = 0
    if separator == ",":
        raw = read_delimited(ratings_path, ",", quoted=True)
        check.problems += missing_columns(raw, ("userId", "movieId", "rating", "timestamp"))
        check.done()
    else:
        raw, repaired = _headless(ratings_path, separator, ["userId", "movieId", "rating", "timestamp"])
    events = pl.DataFrame(
        {
            c.USER: check.take(identifiers(raw, "userId")),
            c.ITEM: check.take(identifiers(raw, "movieId")),
            c.TIMESTAMP: check.take(whole_seconds(raw, "timestamp")),
            "rating": check.take(numbers_between(raw, "rating", 0, _BEST)),
        }
    )
    check.done()
    rating = pl.col("rating")
    action = pl.when(rating >= _LIKED).then(pl.lit("like")).when(rating <= _DISLIKED).then(pl.lit("dislike"))
    events = events.with_columns(action.otherwise(pl.lit("view")).alias(c.ACTION), (rating / _BEST).alias(c.WEIGHT))
    items: pl.DataFrame | None = None
    files: tuple[Path, ...] = (ratings_path,)
    if movies_path.is_file():
        items, more = _movies(movies_path, separator, check)
        check.done()
        repaired, files = repaired + more, (ratings_path, movies_path)
    return KnownTables(_events(events), items, files, repaired)


def _movies(path: Path, separator: str, check: _Checker) -> tuple[pl.DataFrame, int]:
    repaired = 0
    if separator == ",":
        raw = read_delimited(path, ",", quoted=True)
    elif separator == "\t":
        raw, repaired = _headless(path, "|", ["movieId", "title", "rest"])
    else:
        raw, repaired = _headless(path, separator, ["movieId", "title", "genres"])
    ids, title = check.take(identifiers(raw, "movieId")), check.take(titles(raw, "title"))
    frame = pl.DataFrame({c.ITEM: ids, c.TITLE: title})
    if "genres" in raw.frame.columns:
        frame = frame.with_columns(_genres(raw.frame["genres"]).alias(c.ATTRIBUTES))
    return _items(frame), repaired


def read_hetrec(folder: Path) -> KnownTables:
    """Read dated tag assignments; play counts become weights, tag names attributes.

    Raises:
        DataInvalid: a missing column, or values that are no ids or dates.
    """
    path = _tag_file(folder)
    if path is None:
        raise DataInvalid([Problem(str(folder), "expected user_taggedartists*.dat, found none")])
    check = _Checker()
    raw = read_delimited(path, "\t", quoted=False)
    check.problems += missing_columns(raw, ("userID", "artistID", "tagID", "day", "month", "year"))
    check.done()
    parts = {name: check.take(numbers_between(raw, name, 1, 9999)).cast(pl.Int32) for name in ("year", "month", "day")}
    assigned = pl.DataFrame(
        {
            c.USER: check.take(identifiers(raw, "userID")),
            c.ITEM: check.take(identifiers(raw, "artistID")),
            "tag": raw.frame["tagID"],
            **parts,
        }
    )
    check.done()
    day = pl.datetime("year", "month", "day")
    try:
        assigned = assigned.with_columns((day.dt.epoch("s")).alias(c.TIMESTAMP))
    except pl.exceptions.PolarsError as error:
        raise DataInvalid([Problem(path.name, f"expected dates, but: {error}", column="day")]) from error
    whole = len(assigned)
    assigned = assigned.filter(pl.col(c.TIMESTAMP) >= 0)  # the published file has a few tags of 1956
    events = assigned.unique([c.USER, c.ITEM, c.TIMESTAMP], maintain_order=True, keep="first")
    events = events.with_columns(pl.lit("save").alias(c.ACTION))
    files = [path]
    items, repaired = _artists(folder, assigned, files, check)
    check.done()
    return KnownTables(_events(events), items, tuple(files), repaired, whole - len(assigned))


def _artists(
    folder: Path, assigned: pl.DataFrame, files: list[Path], check: _Checker
) -> tuple[pl.DataFrame | None, int]:
    path = folder / "artists.dat"
    if not path.is_file():
        return None, 0
    files.append(path)
    raw, repaired = _headed(path)
    check.problems += missing_columns(raw, ("id", "name"))
    check.done()
    frame = pl.DataFrame({c.ITEM: check.take(identifiers(raw, "id")), c.TITLE: check.take(titles(raw, "name"))})
    tags = folder / "tags.dat"
    if tags.is_file():
        files.append(tags)
        named, more = _headed(tags)
        repaired += more
        names = named.frame.select(pl.col("tagID").alias("tag"), pl.col("tagValue"))
        counts = assigned.join(names, on="tag").group_by(c.ITEM, "tagValue").len()
        most = counts.sort(["len", "tagValue"], descending=[True, False]).group_by(c.ITEM, maintain_order=True)
        frame = frame.join(most.agg(pl.col("tagValue").head(5).alias(c.ATTRIBUTES)), on=c.ITEM, how="left")
    return _items(frame), repaired


def read_recbole_sequences(folder: Path) -> KnownTables:
    """Read RecBole's sequential files: each user's longest history and its target are the whole sequence.

    Raises:
        DataInvalid: a missing column, or ids that are none.
    """
    path = _sequential_file(folder)
    if path is None:
        raise DataInvalid([Problem(str(folder), "expected *.test.inter with a column item_id_list, found none")])
    raw = read_delimited(path, "\t", quoted=False, typed_header=True)
    check = _Checker()
    check.problems += missing_columns(raw, ("user_id", "item_id_list", "item_id"))
    check.done()
    history = raw.frame["item_id_list"].str.strip_chars().str.split(" ")
    whole = pl.DataFrame(
        {
            c.USER: check.take(identifiers(raw, "user_id")),
            "line": raw.lines,
            c.ITEM: history.list.concat(check.take(identifiers(raw, "item_id")).implode().explode()),
        }
    )
    check.done()
    longest = whole.sort(pl.col(c.ITEM).list.len(), descending=True, maintain_order=True)
    whole = longest.unique([c.USER], maintain_order=True, keep="first").sort("line")
    whole = whole.with_columns(pl.int_ranges(pl.col(c.ITEM).list.len()).alias(c.TIMESTAMP))
    events = whole.explode(c.ITEM, c.TIMESTAMP)
    check.take(identifiers(RawTable(path, events, events["line"], {}), c.ITEM))
    check.done()
    return KnownTables(_events(events), None, (path,))


def _movielens_files(folder: Path) -> tuple[Path, Path, str] | None:
    for ratings, movies, separator in (
        ("ratings.dat", "movies.dat", "::"),
        ("ratings.csv", "movies.csv", ","),
        ("u.data", "u.item", "\t"),
    ):
        if (folder / ratings).is_file():
            return folder / ratings, folder / movies, separator
    return None


def _tag_file(folder: Path) -> Path | None:
    found = sorted(folder.glob("user_taggedartists*.dat"))
    dated = [path for path in found if "timestamps" not in path.name]
    return dated[0] if dated else None


def _sequential_file(folder: Path) -> Path | None:
    for path in sorted(folder.glob("*.test.inter")):
        with path.open("rb") as file:
            if b"item_id_list" in file.readline(4096):
                return path
    return None


def _headless(path: Path, separator: str, names: list[str]) -> tuple[RawTable, int]:
    """A table without a header, its columns named."""
    text, repaired = repaired_lines(path)
    lines = pl.Series(range(1, len(text) + 1), dtype=pl.UInt32)
    full = text.str.len_bytes() > 0
    # What follows the last separator expected belongs to the last field: titles hold separators, too.
    rows, lines = text.filter(full).str.splitn(separator, len(names)), lines.filter(full)
    short = rows.struct.field(f"field_{len(names) - 1}").is_null()
    if rows.is_empty() or short.any():
        line = int(lines[short.arg_max() or 0]) if not rows.is_empty() else None
        raise DataInvalid([Problem(path.name, f"expected {len(names)} fields separated by {separator!r}", line=line)])
    frame = pl.DataFrame({name: rows.struct.field(f"field_{place}") for place, name in enumerate(names)})
    return RawTable(path, frame, lines, {}), repaired


def _headed(path: Path) -> tuple[RawTable, int]:
    """A tab-separated table with a header whose lines may be of two encodings."""
    text, repaired = repaired_lines(path)
    names = text[0].split("\t") if len(text) else []
    raw, _ = _headless(path, "\t", names or ["?"])
    return RawTable(path, raw.frame[1:], raw.lines[1:], {}), repaired


def _genres(column: pl.Series) -> pl.Series:
    return column.fill_null("").str.split("|").list.eval(pl.element().filter(pl.element() != ""))


def _events(frame: pl.DataFrame) -> pl.DataFrame:
    defaults = {c.ACTION: pl.lit("view"), c.WEIGHT: pl.lit(1.0)}
    added = [value.alias(name) for name, value in defaults.items() if name not in frame.columns]
    return frame.with_columns(added).select(list(c.INTERACTIONS_SCHEMA)).cast(c.INTERACTIONS_SCHEMA)


def _items(frame: pl.DataFrame) -> pl.DataFrame:
    empty = pl.lit([], dtype=pl.List(pl.String))
    defaults = {c.TITLE: pl.lit(""), c.TEXT: pl.lit(""), c.ATTRIBUTES: empty}
    added = [value.alias(name) for name, value in defaults.items() if name not in frame.columns]
    whole = frame.with_columns(added).select(list(c.ITEMS_SCHEMA)).cast(c.ITEMS_SCHEMA)
    return whole.with_columns(pl.col(c.ATTRIBUTES).fill_null(empty)).unique([c.ITEM], maintain_order=True, keep="first")
