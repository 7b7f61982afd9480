"""Weighted out-edges of many nodes in compressed rows, ready for random steps.

Knows nothing of peers, items or trust: rows and columns are plain indices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def ranges(start: Ints, length: Ints) -> Ints:
    """Every place of each range start … start + length − 1, one range behind the other."""
    places: Ints = np.arange(int(length.sum())) + np.repeat(start - np.cumsum(length) + length, length)
    return places


def inverse(numbers: npt.ArrayLike, count: int) -> Ints:
    """int64 [count]: the place of each number among `numbers`, −1 for those that are not there."""
    chosen = np.asarray(numbers, dtype=np.int64)
    places = np.full(count, -1, dtype=np.int64)
    places[chosen] = np.arange(len(chosen))
    return places


def ascending(keys: Ints, bound: int) -> Ints:
    """Places of distinct keys in ascending order.

    Numpy sorts integers several times as fast as it finds their order, so each key is sorted with its place in its
    lowest bits, where both fit.

    Args:
        keys: int64 [keys], from 0 up to `bound`, excluded.
        bound: what all keys are below.
    """
    bits = len(keys).bit_length()
    if bound << bits >= 2**63:
        return np.argsort(keys)
    packed = (keys << bits) + np.arange(len(keys))
    packed.sort()
    places: Ints = packed & ((1 << bits) - 1)
    return places


def all_shares(weights: Floats, bounds: Ints) -> Floats:
    """Weights over their row's sum, for rows one behind the other, bounds int64 [rows + 1].

    By the row's largest first: sums then neither overflow nor drown a row of tiny weights.
    """
    length = np.diff(bounds)
    filled = np.flatnonzero(length)
    if not filled.size:
        return weights
    starts, length = bounds[filled], length[filled]
    scaled: Floats = weights / np.repeat(np.maximum.reduceat(weights, starts), length)
    shares: Floats = scaled / np.repeat(np.add.reduceat(scaled, starts), length)
    return shares


def all_cumulative(shares: Floats, bounds: Ints) -> Floats:
    """Running sum of each row's shares, its last exactly 1; arguments as for `all_shares`."""
    filled = np.flatnonzero(np.diff(bounds))
    running = np.cumsum(shares)
    before = np.concatenate(([0.0], running))[bounds[:-1]]
    cumulative: Floats = np.minimum(running - np.repeat(before, np.diff(bounds)), 1.0)
    cumulative[bounds[filled + 1] - 1] = 1.0
    return cumulative


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """A sparse row-stochastic matrix (rows without edges excepted) in CSR form.

    Attributes:
        indptr: int64 [rows + 1]; row r owns the entries indptr[r]:indptr[r + 1].
        columns: int64 [entries], ascending inside a row if made by `from_edges`.
        shares: float64 [entries], sum 1 in every row that has entries.
        n_columns: number of columns.
    """

    indptr: Ints
    columns: Ints
    shares: Floats
    n_columns: int

    @classmethod
    def from_edges(cls, rows: Ints, columns: Ints, weights: Floats, n_rows: int, n_columns: int) -> WeightedRows:
        """Sort edges (row, column, weight above zero; no duplicates) into rows and normalise each row."""
        order = ascending(rows * n_columns + columns, n_rows * n_columns)
        indptr = np.zeros(n_rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
        return cls.of_rows(indptr, columns[order], weights[order], n_columns)

    @classmethod
    def of_rows(cls, indptr: Ints, columns: Ints, weights: Floats, n_columns: int) -> WeightedRows:
        """Normalise rows that lie one behind the other already; columns stay in their order."""
        shares = all_shares(weights, indptr)
        for array in (indptr, columns, shares):
            array.flags.writeable = False
        return cls(indptr, columns, shares, n_columns)

    @classmethod
    def empty(cls, n_columns: int) -> WeightedRows:
        """No rows at all."""
        return cls.of_rows(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0), n_columns)

    @cached_property
    def cumulative(self) -> Floats:
        """float64 [entries], row index + running sum of shares.

        Ascending over ALL rows, so that one binary search serves walkers on different rows.
        """
        cumulative = all_cumulative(self.shares, self.indptr)
        cumulative += np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        cumulative.flags.writeable = False
        return cumulative

    @property
    def n_rows(self) -> int:
        """Number of rows, with or without entries."""
        return len(self.indptr) - 1

    def row(self, index: int) -> Ints:
        """Columns that row `index` has entries for."""
        return self.columns[self.indptr[index] : self.indptr[index + 1]]

    def row_shares(self, index: int) -> Floats:
        """Shares of row `index`, aligned with `row`."""
        return self.shares[self.indptr[index] : self.indptr[index + 1]]

    def has_entries(self) -> Bools:
        """Which rows a walker can leave, bool [rows]."""
        return np.diff(self.indptr) > 0

    def reweighted(self, column_factors: Floats) -> WeightedRows:
        """Multiply every entry by its column's factor, drop the zeros, normalise each row again.

        Args:
            column_factors: float64 [n_columns], zero or more.
        """
        weights = self.shares * column_factors[self.columns]
        kept = weights > 0.0
        upto = np.concatenate(([0], np.cumsum(kept)))
        return self.of_rows(upto[self.indptr], self.columns[kept], weights[kept], self.n_columns)

    def transposed(self) -> WeightedRows:
        """Column → row with the same shares, normalised per column."""
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        kept = self.shares > 0.0  # an edge beside one 1e300 times as heavy has none left
        return WeightedRows.from_edges(self.columns[kept], rows[kept], self.shares[kept], self.n_columns, self.n_rows)

    def step(self, at: Ints, drawn: Floats) -> Ints:
        """Choose one column for each walker.

        Args:
            at: int64 [walkers], rows that have entries.
            drawn: float64 [walkers], uniform in [0, 1).
        """
        entry = np.searchsorted(self.cumulative, at + drawn, side="right")
        # at + u can round up to at + 1 for large row numbers, which would fall into the next row.
        return self.columns[np.minimum(entry, self.indptr[at + 1] - 1)]
