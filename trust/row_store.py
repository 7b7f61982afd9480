"""Rows that are replaced one at a time, in arrays: a compact snapshot plus a delta at its end.

A replaced row is written behind the last one and its pointer moved; the old entries stay where they were until the
arrays are full and the living rows are copied to new ones. Nothing that was written is ever overwritten, so whoever
holds the arrays and a copy of the pointers holds a snapshot, free of charge. Knows nothing of peers, items or trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trust.rows import Floats, Ints, all_cumulative, all_shares, ranges

_FIRST_ENTRIES = 256
_FIRST_ROWS = 16
Array = npt.NDArray[Any]


@dataclass(slots=True, eq=False)
class RowPointers:
    """Where rows lie: row r owns the entries start[r]:start[r] + length[r] (int64 [rows] each)."""

    start: Ints
    length: Ints

    def grown(self, rows: int) -> RowPointers:
        """At least `rows` rows, the new ones empty; itself if that many are there."""
        if rows <= len(self.start):
            return self
        size = max(rows, 2 * len(self.start))
        return RowPointers(_resized(self.start, size), _resized(self.length, size))

    def copy(self) -> RowPointers:
        """Return pointers that no longer follow the store."""
        return RowPointers(self.start.copy(), self.length.copy())


def _resized(array: Array, size: int) -> Array:
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


class RowStore:
    """Rows of entries; an entry has one value in each of several aligned arrays.

    Attributes:
        arrays: the aligned arrays, [capacity] each; entries without a row are garbage.
        pointers: which entries are whose.
        entries: number of entries that belong to rows.
    """

    def __init__(self, *dtypes: npt.DTypeLike) -> None:
        self.arrays: tuple[Array, ...] = tuple(np.empty(_FIRST_ENTRIES, dtype) for dtype in dtypes)
        self.pointers = RowPointers(np.zeros(_FIRST_ROWS, np.int64), np.zeros(_FIRST_ROWS, np.int64))
        self.entries = 0
        self._used = 0

    def __len__(self) -> int:
        return len(self.pointers.start)

    @property
    def bytes(self) -> int:
        """Memory of the arrays, garbage and room included."""
        return sum(array.nbytes for array in (*self.arrays, self.pointers.start, self.pointers.length))

    def row(self, row: int) -> tuple[Array, ...]:
        """Views of one row's entries, one per array; empty for a row that was never put."""
        if row >= len(self.pointers.start):
            return tuple(array[:0] for array in self.arrays)
        start = self.pointers.start[row]
        stop = start + self.pointers.length[row]
        return tuple(array[start:stop] for array in self.arrays)

    def lengths(self, rows: Ints) -> Ints:
        """int64 [rows]: how many entries rows have; 0 for a row that was never put."""
        known = rows < len(self.pointers.length)
        lengths: Ints = np.where(known, self.pointers.length[np.where(known, rows, 0)], 0)
        return lengths

    def put(self, row: int, *values: Array) -> None:
        """Replace one row."""
        count = len(values[0])
        self._make_way(row, row + 1, count)
        self.pointers.start[row], self.pointers.length[row] = self._append(values, count), count

    def put_many(self, rows: Ints, bounds: Ints, *values: Array) -> None:
        """Replace several rows.

        Args:
            rows: int64 [replaced], each once.
            bounds: int64 [replaced + 1], where each one's entries begin among the values, and the last ends.
            values: one array per array of the store.
        """
        count = len(values[0])
        self._make_way(rows, int(rows.max(initial=-1)) + 1, count)
        self.pointers.start[rows] = self._append(values, count) + bounds[:-1]
        self.pointers.length[rows] = np.diff(bounds)

    def _make_way(self, rows: int | Ints, most: int, count: int) -> None:
        """Forget the entries of rows, all below `most`, that are replaced by so many new ones."""
        self.pointers = self.pointers.grown(most)
        self.entries += count - int(self.pointers.length[rows].sum())
        self.pointers.length[rows] = 0
        if self._used + count > len(self.arrays[0]):
            self._compact(count)

    def _append(self, values: tuple[Array, ...], count: int) -> int:
        start, self._used = self._used, self._used + count
        for array, value in zip(self.arrays, values, strict=True):
            array[start : self._used] = value
        return start

    def load(self, pointers: RowPointers, *arrays: Array) -> None:
        """Take a whole set of rows, each lying behind the one before, in place of all there are."""
        self.pointers = pointers
        self.arrays = arrays
        self.entries = self._used = len(arrays[0])

    def renumber(self, rows: Ints, columns: Ints) -> None:
        """Move rows to new numbers and rename the first array's values.

        Args:
            rows: int64 [kept], the old numbers of the rows to keep, in their new order.
            columns: int64, old value → new value for what the kept rows contain.
        """
        self._compact(0)
        first = self.arrays[0].copy()
        first[: self._used] = columns[first[: self._used]]
        self.arrays = (first, *self.arrays[1:])
        known = self.pointers.grown(int(rows.max(initial=-1)) + 1)
        self.pointers = RowPointers(known.start[rows], known.length[rows]).grown(_FIRST_ROWS)

    def gathered(self, rows: Ints) -> tuple[Ints, tuple[Array, ...]]:
        """Copy rows one behind the other.

        Args:
            rows: int64 [wanted].

        Returns:
            int64 [wanted + 1], where each begins and the last ends; and the aligned entries.
        """
        pointers = self.pointers.grown(int(rows.max(initial=-1)) + 1)
        length = pointers.length[rows]
        bounds = np.concatenate(([0], np.cumsum(length)))
        entry = ranges(pointers.start[rows], length)
        return bounds, tuple(array[entry] for array in self.arrays)

    def _compact(self, more: int) -> None:
        """Copy the living rows into new arrays with room for as much again."""
        filled = np.flatnonzero(self.pointers.length)
        bounds, entries = self.gathered(filled)
        size = max(_FIRST_ENTRIES, 2 * (len(entries[0]) + more))
        self.arrays = tuple(_resized(array, size) for array in entries)
        self.pointers = self.pointers.copy()
        self.pointers.start[filled] = bounds[:-1]
        self._used = int(bounds[-1])


class TrustRows(RowStore):
    """Author → peer, in the author's order.

    The arrays: int32 columns, then three of float64: weight as stated, share, cumulative share.
    """

    def __init__(self) -> None:
        super().__init__(np.int32, np.float64, np.float64, np.float64)

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """Peers."""
        return self.arrays[0]

    @property
    def cumulative(self) -> Floats:
        """Running sum of a row's shares; its last entry is exactly 1."""
        return self.arrays[3]

    def state(self, row: int, columns: Ints, weights: Floats) -> None:
        """Put a row, shares worked out."""
        shares = row_shares(weights)
        self.put(row, columns, weights, shares, row_cumulative(shares))

    def state_many(self, rows: Ints, bounds: Ints, columns: Ints, weights: Floats) -> None:
        """Put several rows, shares worked out; arguments as for `put_many`."""
        shares = all_shares(weights, bounds)
        self.put_many(rows, bounds, columns, weights, shares, all_cumulative(shares, bounds))

    def states(self, row: int, columns: Ints, weights: Floats) -> bool:
        """Whether a row says just this."""
        old_columns, old_weights, _, _ = self.row(row)
        return len(columns) == len(old_columns) and bool(
            (columns == old_columns).all() and (weights == old_weights).all()
        )


class ItemRows(RowStore):
    """Author → item: int32 columns, float64 weight as stated, int32 day of the edge (−1: none stated)."""

    def __init__(self) -> None:
        super().__init__(np.int32, np.float64, np.int32)


def row_shares(weights: Floats) -> Floats:
    """One row's weights over their sum, by the largest first: sums neither overflow nor drown a row of tiny weights."""
    if not len(weights):
        return weights
    # The ufuncs' own reductions: a single edit is mostly such small calls, and the methods cost twice as much.
    scaled: Floats = weights / np.maximum.reduce(weights)
    shares: Floats = scaled / np.add.reduce(scaled)
    return shares


def row_cumulative(shares: Floats) -> Floats:
    """Running sum of one row's shares, the last exactly 1."""
    running = shares.cumsum()
    np.minimum(running, 1.0, out=running)
    running[-1:] = 1.0
    return running
