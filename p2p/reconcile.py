"""Set reconciliation: two sets of 64-bit ids find how they differ, in bytes proportional to the difference.

Rateless invertible Bloom lookup tables (Yang, Gilad and Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM
2024). Every id is added to cell 0 and then to ever sparser ones, cell i with probability 1 / (1 + i/2); a cell holds
the xor of its ids, the xor of their checks and their number. The difference of two tables is the table of the
difference, and is peeled: a cell with one id left names it, the id is taken out of its other cells, and so on. A
difference of d ids takes some 1.4 d cells, whatever the size of the sets.

Both sides mix a nonce, new for each table, into places and checks, so that nobody can choose records whose ids
collide. Tables may come from anyone: peeling is bounded and refuses what contradicts itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]

MAX_CELLS = 3072
FIRST_CELLS = 16
_MAX_ROUNDS = 256  # an honest table is peeled in some tens; a hostile one is not worth more
PLACES = np.uint64(0x9E3779B97F4A7C15)
CHECKS = np.uint64(0xD1B54A32D192ED03)
_CELL = np.dtype([("id", "<u8"), ("check", "<u4"), ("count", "<i4")])
CELL_BYTES = _CELL.itemsize
_ONES = np.ones(4096, np.int64)  # of most stores
_ONE_CELL = struct.Struct("<QIi")


@dataclass(frozen=True, slots=True)
class Cells:
    """A table: for each cell the xor of ids, the xor of checks, and how many ids."""

    ids: Ids
    checks: NDArray[np.uint32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def to_bytes(self) -> bytes:
        """Return 16 bytes a cell: id, check, count, each little-endian."""
        if len(self.ids) == 1:  # the usual question
            return _ONE_CELL.pack(self.ids[0], self.checks[0], self.counts[0])
        packed = np.empty(len(self), _CELL)
        packed["id"], packed["check"], packed["count"] = self.ids, self.checks, self.counts
        return packed.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Cells:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: not a whole number of cells, or none, or more than `MAX_CELLS`.
        """
        if not data or len(data) % CELL_BYTES or len(data) > MAX_CELLS * CELL_BYTES:
            raise ValueError(f"{len(data)} bytes are no table of 1 to {MAX_CELLS} cells")
        packed = np.frombuffer(data, _CELL)
        return cls(packed["id"].astype(np.uint64), packed["check"].astype(np.uint32), packed["count"].astype(np.int64))

    def minus(self, other: Cells) -> Cells:
        """Return the table of what is in this set and not in the other (count 1), or the other way round (-1)."""
        return Cells(self.ids ^ other.ids, self.checks ^ other.checks, self.counts - other.counts)


@dataclass(frozen=True, slots=True)
class Difference:
    """What only one of two sets holds.

    Attributes:
        ours: ids that only the minuend holds.
        theirs: ids that only the subtrahend holds.
    """

    ours: Ids
    theirs: Ids


class Toggle(Protocol):
    """Puts ids into cells, or takes them out: `toggled`, or a faster one with the same result."""

    def __call__(self, cells: Cells, ids: Ids, nonce: int, counts: NDArray[np.int64]) -> None:
        """Change a table.

        Args:
            cells: of the table; changed.
            ids: uint64 [n].
            nonce: of the table, below 2^64.
            counts: int64 [n], what each adds to the counts of its cells.
        """
        ...


def toggled(cells: Cells, ids: Ids, nonce: int, counts: NDArray[np.int64]) -> None:
    """Put ids into their cells, or take them out: xor does both. See `Toggle`."""
    if len(cells) == 1:  # the usual question of two stores that are equal; every id is in the first cell
        cells.ids[0] ^= np.bitwise_xor.reduce(ids)
        cells.checks[0] ^= np.bitwise_xor.reduce(_checks(ids, nonce))
        cells.counts[0] += counts.sum()
        return
    state = mixed(ids ^ np.uint64(nonce) ^ PLACES)
    checks = _checks(ids, nonce)
    place = np.zeros(len(ids), np.int64)
    while len(ids):
        np.bitwise_xor.at(cells.ids, place, ids)
        np.bitwise_xor.at(cells.checks, place, checks)
        np.add.at(cells.counts, place, counts)
        state = mixed(state)
        # The gap to the next cell has the distribution that makes cell i hold a share 1 / (1 + i/2) of all ids.
        gap = np.ceil((place + 1.5) * (2.0**32 / np.sqrt(state.astype(np.float64) + 1.0) - 1.0))
        place = place + np.minimum(np.maximum(gap, 1.0), float(len(cells))).astype(np.int64)
        left = place < len(cells)
        place, state, ids, checks, counts = place[left], state[left], ids[left], checks[left], counts[left]


def cells_of(ids: Ids, nonce: int, n_cells: int, toggle: Toggle = toggled) -> Cells:
    """Return the first `n_cells` cells of a set; ids must not repeat."""
    cells = Cells(np.zeros(n_cells, np.uint64), np.zeros(n_cells, np.uint32), np.zeros(n_cells, np.int64))
    toggle(cells, ids, nonce, _ONES[: len(ids)] if len(ids) <= len(_ONES) else np.ones(len(ids), np.int64))
    return cells


def peel(difference: Cells, nonce: int, toggle: Toggle = toggled) -> Difference | None:
    """Return the ids of a difference, or None if there are too few cells, or they contradict themselves."""
    if _is_empty(difference):
        return Difference(np.empty(0, np.uint64), np.empty(0, np.uint64))
    cells = Cells(difference.ids.copy(), difference.checks.copy(), difference.counts.copy())
    found: list[Ids] = [np.empty(0, np.uint64)]
    signs: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    total = 0
    for _ in range(_MAX_ROUNDS):
        pure = np.flatnonzero((np.abs(cells.counts) == 1) & (cells.checks == _checks(cells.ids, nonce)))
        ids, first = np.unique(cells.ids[pure], return_index=True)
        if not len(ids):
            break
        total += len(ids)
        if total > len(cells):  # more than the cells can tell: they were made up
            return None
        sign = cells.counts[pure[first]]
        found.append(ids)
        signs.append(sign)
        toggle(cells, ids, nonce, -sign)
    if not _is_empty(cells):
        return None
    ids, sign = np.concatenate(found), np.concatenate(signs)
    if len(np.unique(ids)) != len(ids):
        return None
    return Difference(ids[sign > 0], ids[sign < 0])


def _is_empty(cells: Cells) -> bool:
    return not (cells.ids.any() or cells.checks.any() or cells.counts.any())


def _checks(ids: Ids, nonce: int) -> NDArray[np.uint32]:
    return (mixed(ids ^ np.uint64(nonce) ^ CHECKS) >> np.uint64(32)).astype(np.uint32)


def mixed(values: Ids) -> Ids:
    """SplitMix64 (Steele, Lea and Flood 2014); of one number too, so that it can be compiled."""
    state = values + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
