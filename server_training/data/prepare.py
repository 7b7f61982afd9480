"""From a source of any known format to a prepared folder in the Parquet contract.

A prepared folder holds ``interactions.parquet``, ``items.parquet`` and, written last, ``report.json`` with
the hashes of all inputs and outputs: a folder whose report does not match was left half-written and is
refused. Knows nothing of splits or models.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from server_training.data import columns as c
from server_training.data.parquet_files import written
from server_training.data.sources import Source, open_source
from server_training.data.spool import ROW, Spool
from server_training.errors import DataUnavailable
from server_training.files import sha256_of, write_atomically

PART_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class PreparedReport:
    """What was read and what was kept.

    Attributes:
        rows: event rows in the source.
        format: how the source was read.
        interactions: events kept.
        duplicates_dropped: rows equal to an earlier row in every column.
        rows_dropped: rows left out because they cannot be true, such as a date before 1970.
        rows_back_in_time: rows earlier than the row of the same user before them, in source order.
        lines_repaired: lines read as Latin-1 because they were not UTF-8.
        users: users with at least one event.
        users_with_one_event: users who cannot be evaluated and teach no sequence.
        items: items in the catalog.
        items_interacted: catalog items with at least one event.
        items_unused: catalog items nobody has an event with.
        events_per_user: smallest, median, 90 % quantile and largest.
        items_without_text: catalog items with neither title, text nor attributes.
        first_timestamp: unix seconds of the earliest event.
        last_timestamp: unix seconds of the latest event.
        actions: events per action.
        inputs: sha256 per file read.
        outputs: sha256 per file written.
    """

    rows: int
    format: str
    interactions: int
    duplicates_dropped: int
    rows_dropped: int
    rows_back_in_time: int
    lines_repaired: int
    users: int
    users_with_one_event: int
    items: int
    items_interacted: int
    items_unused: int
    events_per_user: tuple[int, int, int, int]
    items_without_text: int
    first_timestamp: int
    last_timestamp: int
    actions: dict[str, int]
    inputs: dict[str, str]
    outputs: dict[str, str]

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def prepare(
    source_path: Path,
    out_dir: Path,
    *,
    piece: int | None = None,
    part_rows: int = PART_ROWS,
    progress: Callable[[int], None] | None = None,
) -> PreparedReport:
    """Read ``source_path``, check it, and write a prepared folder, in memory that does not grow with the file.

    Events are sorted by user, then timestamp; events of one second keep the order of the source file.

    Args:
        source_path: file or folder in a format of ``sources.py``.
        out_dir: made when it is not there; files of an earlier run are replaced.
        piece: bytes of text, or rows of Parquet, read at a time; a default when None.
        part_rows: events sorted in memory at a time, about.
        progress: told how many rows have been read.

    Raises:
        DataUnavailable: nothing is at ``source_path``.
        DataInvalid: the data breaks the contract; nothing is written.
        OSError: the disk is full; what was there stays.
    """
    source = open_source(source_path, piece=piece, guarded=True)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, on its disk: until everything is checked the folder itself is not touched.
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}-") as scratch:
        spool = Spool(Path(scratch), part_rows)
        items_used: set[str] = set()
        for events in source.pieces():
            spool.add(events)
            items_used.update(events[c.ITEM].unique())
            if progress is not None:
                progress(source.rows_read)
        items = source.items(pl.Series(c.ITEM, sorted(items_used), dtype=pl.String))
        counts = Counts()
        out_dir.mkdir(exist_ok=True)
        parts = _write_parts(spool, counts, Path(scratch))
        write_atomically(out_dir / c.INTERACTIONS_FILE, lambda path: _joined(parts, path))
        write_atomically(out_dir / c.ITEMS_FILE, lambda path: written(path, items.write_parquet))
    report = _report(source, counts, items, len(items_used), out_dir)
    write_atomically(out_dir / c.REPORT_FILE, report.to_json().encode())
    return report


def _write_parts(spool: Spool, counts: Counts, folder: Path) -> list[Path]:
    """Sorted events without doubled rows, in files whose order is theirs."""
    files = []
    for number, part in enumerate(spool.parts()):
        # The first of equal rows is the one that came first: they have one user and time, so they are sorted by row.
        kept = part.unique(list(c.INTERACTIONS_SCHEMA), keep="first", maintain_order=True)
        counts.add(kept)
        files.append(folder / f"part-{number:06}.parquet")
        written(files[-1], kept.select(list(c.INTERACTIONS_SCHEMA)).write_parquet)
    return files


def _joined(parts: list[Path], path: Path) -> None:
    if len(parts) == 1:
        shutil.copyfile(parts[0], path)
    else:
        every = pl.concat([pl.scan_parquet(part) for part in parts])
        written(path, lambda path: every.sink_parquet(path, maintain_order=True))


def check_prepared(folder: Path) -> None:
    """Make sure that a prepared folder is whole.

    Raises:
        DataUnavailable: a file is missing, or is not the one the report was written for.
    """
    again = "run the preparation again"
    try:
        outputs = json.loads((folder / c.REPORT_FILE).read_text("utf-8"))["outputs"]
        whole = all(sha256_of(folder / n) == outputs[n] for n in (c.INTERACTIONS_FILE, c.ITEMS_FILE))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataUnavailable(f"{folder} is not a whole prepared folder ({error}); {again}") from error
    if not whole:
        raise DataUnavailable(f"files in {folder} differ from its {c.REPORT_FILE}; {again}")


class Counts:
    """What a report says of the events, added up part by part."""

    def __init__(self) -> None:
        self.events = 0
        self.back_in_time = 0
        self.first, self.last = 2**62, 0
        self.actions: Counter[str] = Counter()
        self._per_user: list[pl.Series] = []

    def add(self, part: pl.DataFrame) -> None:
        """Count the events of some users, none of whom has others."""
        self.events += len(part)
        in_file_order = part.sort(c.USER, ROW)
        earlier = (pl.col(c.TIMESTAMP).diff() < 0).over(c.USER).sum()
        self.back_in_time += int(in_file_order.select(earlier).item())
        self.first = min(self.first, int(part[c.TIMESTAMP].min()))  # type: ignore[arg-type]
        self.last = max(self.last, int(part[c.TIMESTAMP].max()))  # type: ignore[arg-type]
        self.actions.update(dict(part.group_by(c.ACTION).len().iter_rows()))
        self._per_user.append(part.group_by(c.USER).len()["len"])

    def per_user(self) -> pl.Series:
        """Events of each user."""
        return pl.concat(self._per_user)


def _report(source: Source, counts: Counts, items: pl.DataFrame, used: int, out_dir: Path) -> PreparedReport:
    per_user = counts.per_user()
    bare = (pl.col(c.TITLE) == "") & (pl.col(c.TEXT) == "") & (pl.col(c.ATTRIBUTES).list.len() == 0)
    return PreparedReport(
        rows=source.rows_read,
        format=source.format,
        interactions=counts.events,
        duplicates_dropped=source.rows_read - source.rows_dropped - counts.events,
        rows_dropped=source.rows_dropped,
        rows_back_in_time=counts.back_in_time,
        lines_repaired=source.lines_repaired,
        users=len(per_user),
        users_with_one_event=int((per_user == 1).sum()),
        items=len(items),
        items_interacted=used,
        items_unused=len(items) - used,
        events_per_user=_quantiles(per_user),
        items_without_text=len(items.filter(bare)),
        first_timestamp=counts.first,
        last_timestamp=counts.last,
        actions=dict(sorted(counts.actions.items())),
        inputs={file.name: sha256_of(file) for file in source.files},
        outputs={name: sha256_of(out_dir / name) for name in (c.INTERACTIONS_FILE, c.ITEMS_FILE)},
    )


def _quantiles(per_user: pl.Series) -> tuple[int, int, int, int]:
    smallest, median, most, largest = (int(per_user.quantile(share, "nearest") or 0) for share in (0.0, 0.5, 0.9, 1.0))
    return smallest, median, most, largest
