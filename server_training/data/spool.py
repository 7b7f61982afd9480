"""Sorting events that do not fit into memory: pieces to disk as they come, parts back in the order of users.

Every piece is sorted by user before it is written, so a range of users lies together in each, and reading that range
from all of them touches little else.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import polars as pl

from server_training.data import columns as c
from server_training.data.parquet_files import written

ROW = "row"
_SAMPLE = 2000
_ROW_GROUP = 50_000


class Spool:
    """Holds events on disk.

    Args:
        folder: an empty one, removed by the caller.
        part_rows: about how many rows come back at a time; one user's events are never divided.
    """

    def __init__(self, folder: Path, part_rows: int) -> None:
        self._folder = folder
        self._part_rows = part_rows
        self._sample: list[pl.Series] = []
        self.rows = 0

    def add(self, events: pl.DataFrame) -> None:
        """Append events in the contract's columns."""
        numbered = events.with_row_index(ROW, self.rows).cast({ROW: pl.UInt64})
        self.rows += len(events)
        self._sample.append(events[c.USER].sample(min(_SAMPLE, len(events)), seed=len(self._sample)))
        ordered = numbered.sort(c.USER, maintain_order=True)
        path = self._folder / f"piece-{len(self._sample):06}.parquet"
        written(path, lambda path: ordered.write_parquet(path, row_group_size=_ROW_GROUP))

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield all events by user, then time, then the order they came in, that order in the column `ROW`."""
        pieces = pl.scan_parquet(self._folder / "piece-*.parquet")
        for low, high in pairwise([None, *self._bounds(), None]):
            part = pieces
            if low is not None:
                part = part.filter(pl.col(c.USER) >= low)
            if high is not None:
                part = part.filter(pl.col(c.USER) < high)
            found = part.sort(c.USER, c.TIMESTAMP, ROW).collect()
            if len(found):
                yield found

    def _bounds(self) -> list[str]:
        """Users at which parts begin, by their share of a sample of the events."""
        sample = pl.concat(self._sample).sort()
        parts = -(-self.rows // self._part_rows)
        return sorted({str(sample[place * len(sample) // parts]) for place in range(1, parts)})
