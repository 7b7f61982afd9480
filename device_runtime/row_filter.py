"""Which rows of a catalog may be returned, in a form that a search can count in.

A search needs to know, for thousands of ranges of rows at once, how many of their rows are allowed. A bit per row and a
running count per 64 rows answer that in a few operations and an eighth of a byte or so per row, however large the
catalog; the few rows a person has seen or blocked are a sorted list beside it, so that a request costs nothing per
catalog row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import ModelFailed

_BITS = 64


def _ones_before_numpy_2(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Set bits of each word (Warren, "Hacker's Delight", section 5-1): phones have numpy 1.26, which cannot tell."""
    one, two, four, byte = (np.uint64(n) for n in (1, 2, 4, 56))
    pairs = words - ((words >> one) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> two) & np.uint64(0x3333333333333333))
    eights = (fours + (fours >> four)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts: NDArray[np.int64] = ((eights * np.uint64(0x0101010101010101)) >> byte).astype(np.int64)
    return counts


_ones = getattr(np, "bitwise_count", _ones_before_numpy_2)


class RowSet:
    """A set of rows out of n, with ranks."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        """Take the rows that `mask` [n] marks."""
        self.size = len(mask)
        padded = np.zeros((self.size // _BITS + 1) * _BITS, bool)
        padded[: self.size] = mask
        self._words = np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)
        counts = _ones(self._words)
        self._before = np.cumsum(counts, dtype=np.int64) - counts

    def rank(self, places: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """How many rows of the set lie before each place: int64, of the shape of `places`, 0 to n."""
        word, bit = np.divmod(places, _BITS)
        below = self._words[word] & ((np.uint64(1) << bit.astype(np.uint64)) - np.uint64(1))
        ranks: NDArray[np.int64] = self._before[word] + _ones(below)
        return ranks

    def mask(self) -> NDArray[np.bool_]:
        """Bool [n]."""
        bits = np.unpackbits(self._words.astype("<u8").view(np.uint8), count=self.size, bitorder="little")
        return bits.view(np.bool_)

    def has(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether each of `rows` is in the set."""
        word, bit = np.divmod(rows, _BITS)
        found: NDArray[np.bool_] = (self._words[word] >> bit.astype(np.uint64)) & np.uint64(1) == 1
        return found


@dataclass(frozen=True, slots=True)
class RowFilter:
    """The rows of `among`, or all n when it is None, without those of `excluded`.

    Attributes:
        size: n, rows of the catalog.
        among: what is available, or of the wanted category; kept between requests.
        excluded: int64, ascending and distinct, all in `among`: seen, blocked.
    """

    size: int
    among: RowSet | None
    excluded: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        size: int,
        among: RowSet | NDArray[np.bool_] | None = None,
        excluded: NDArray[np.integer[Any]] | None = None,
    ) -> RowFilter:
        """Make a filter.

        Args:
            size: n, rows of the catalog.
            among: rows that may be returned, a set or bool [n]; all when None.
            excluded: rows that may not, in any order, none when None; rows outside the catalog are ignored.

        Raises:
            ModelFailed: `among` is of another catalog.
        """
        if isinstance(among, np.ndarray):
            if among.dtype != np.bool_ or among.ndim != 1:
                raise ModelFailed(f"allowed rows must be bool [{size}], got {among.dtype} {among.shape}")
            among = RowSet(among)
        if among is not None and among.size != size:
            raise ModelFailed(f"allowed rows must be bool [{size}], one per catalog row, got {among.size}")
        rows = np.unique(np.asarray([] if excluded is None else excluded, np.int64))
        rows = rows[(rows >= 0) & (rows < size)]
        return cls(size, among, rows if among is None else rows[among.has(rows)])

    def rank(self, places: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """How many allowed rows lie before each place."""
        ranks = places.astype(np.int64) if self.among is None else self.among.rank(places)
        return ranks - np.searchsorted(self.excluded, places) if len(self.excluded) else ranks

    def has(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether each of `rows` is allowed."""
        allowed = np.isin(rows, self.excluded, invert=True)
        return allowed if self.among is None else allowed & self.among.has(rows)

    def count(self) -> int:
        """How many rows are allowed."""
        return int(self.rank(np.array([self.size]))[0])

    def rows(self) -> NDArray[np.int64]:
        """Every allowed row, ascending."""
        mask = np.ones(self.size, bool) if self.among is None else self.among.mask()
        mask[self.excluded] = False
        return np.flatnonzero(mask)
