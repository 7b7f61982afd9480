"""From a source of any known format to a prepared folder in the Parquet contract.

A prepared folder holds ``interactions.parquet``, ``items.parquet`` and, written last, ``report.json`` with
the hashes of all inputs and outputs: a folder whose report does not match was left half-written and is
refused. Knows nothing of splits or models.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from server_training.data import columns as c
from server_training.data.sources import SourceTables, read_source
from server_training.errors import DataUnavailable
from server_training.files import sha256_of, write_atomically


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


def prepare(source_path: Path, out_dir: Path) -> PreparedReport:
    """Read ``source_path``, check it, and write a prepared folder.

    Events are sorted by user, then timestamp; events of one second keep the order of the source file.

    Args:
        source_path: file or folder in a format of ``sources.py``.
        out_dir: made when it is not there; files of an earlier run are replaced.

    Raises:
        DataUnavailable: nothing is at ``source_path``.
        DataInvalid: the data breaks the contract; nothing is written.
    """
    tables = read_source(source_path)
    out_dir.mkdir(parents=True, exist_ok=True)
    ordered = tables.interactions.sort([c.USER, c.TIMESTAMP], maintain_order=True)
    inputs = {file.name: sha256_of(file) for file in tables.files}
    write_atomically(out_dir / c.INTERACTIONS_FILE, ordered.write_parquet)
    write_atomically(out_dir / c.ITEMS_FILE, tables.items.write_parquet)
    outputs = {name: sha256_of(out_dir / name) for name in (c.INTERACTIONS_FILE, c.ITEMS_FILE)}
    report = _report(tables, inputs, outputs)
    write_atomically(out_dir / c.REPORT_FILE, report.to_json().encode())
    return report


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


def _report(tables: SourceTables, inputs: dict[str, str], outputs: dict[str, str]) -> PreparedReport:
    events, items = tables.interactions, tables.items
    per_user = events.group_by(c.USER).len()["len"]
    per_action = events.group_by(c.ACTION).len().sort(c.ACTION)
    bare = (pl.col(c.TITLE) == "") & (pl.col(c.TEXT) == "") & (pl.col(c.ATTRIBUTES).list.len() == 0)
    times = events[c.TIMESTAMP].to_numpy()
    used = events[c.ITEM].n_unique()
    return PreparedReport(
        rows=tables.rows_read,
        format=tables.format,
        interactions=len(events),
        duplicates_dropped=tables.rows_read - tables.rows_dropped - len(events),
        rows_dropped=tables.rows_dropped,
        rows_back_in_time=int(events.select((pl.col(c.TIMESTAMP).diff() < 0).over(c.USER)).to_series().sum()),
        lines_repaired=tables.lines_repaired,
        users=len(per_user),
        users_with_one_event=int((per_user == 1).sum()),
        items=len(items),
        items_interacted=used,
        items_unused=len(items) - used,
        events_per_user=_quantiles(per_user),
        items_without_text=len(items.filter(bare)),
        first_timestamp=int(times.min()),
        last_timestamp=int(times.max()),
        actions=dict(per_action.iter_rows()),
        inputs=inputs,
        outputs=outputs,
    )


def _quantiles(per_user: pl.Series) -> tuple[int, int, int, int]:
    smallest, median, most, largest = (int(per_user.quantile(share, "nearest") or 0) for share in (0.0, 0.5, 0.9, 1.0))
    return smallest, median, most, largest
