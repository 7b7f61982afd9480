"""The inner loops of the walks: what they do, on which arrays, and which implementation runs.

`numpy_kernels` is the reference and needs nothing else; `numba_kernels` does the same, draw for draw and in the same
order of additions, so that both give the same walks, counts and scores for the same seed.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trust.errors import ConfigError
from trust.rows import Bools, Floats, Ints, WeightedRows

Nodes = npt.NDArray[np.int32]
ENDED = -1
SMALLEST_SHARE = 0.25
"""Co-visits below this share of a peer's walks are not kept: a cut peer has a large one."""


class StepRows(NamedTuple):
    """Rows as steps need them: row r owns the entries start[r]:start[r] + length[r].

    start, length: int64 [rows]; columns: int32 [entries]; cumulative: float64 [entries], per row, the last exactly 1.
    """

    start: Ints
    length: Ints
    columns: Nodes
    cumulative: Floats


class WalkCells(NamedTuple):
    """Stored walks, one behind the other, each with the length drawn for it.

    Attributes:
        cells: int32 [cells], the node visited at each step; ENDED from where a walk found no way on.
        first: bool [cells], whether it is its walk's first visit to the node and the node is not the ego: a unit hit.
        bounds: int64 [walks + 1], walk w owns bounds[w]:bounds[w + 1].
        walk: int32 [cells], whose cell it is.
        ego: where every walk starts; the start has no cell.
    """

    cells: Nodes
    first: Bools
    bounds: Ints
    walk: npt.NDArray[np.int32]
    ego: int


class RowChange(NamedTuple):
    """Rows before and after a change, concatenated in the order of `rows`.

    Attributes:
        rows: int64 [changed], ascending.
        slot: int32 [nodes + 1], a row's place in `rows`, −1 for others (and for the last entry).
        old_bounds, new_bounds: int64 [changed + 1].
        old_columns, new_columns: int32 [entries].
        old_shares, new_shares: float64 [entries].
    """

    rows: Ints
    slot: npt.NDArray[np.int32]
    old_bounds: Ints
    old_columns: Nodes
    old_shares: Floats
    new_bounds: Ints
    new_columns: Nodes
    new_shares: Floats


def changed_cells(walks: WalkCells, change: RowChange) -> Ints:
    """Cells at a node whose row changed, ascending."""
    if len(change.rows) == 1:  # comparing is several times as fast as looking up
        return np.flatnonzero(walks.cells == np.int32(change.rows[0]))  # of one width: twice as fast
    return np.flatnonzero(change.slot[walks.cells] >= 0)


@dataclass(frozen=True, slots=True, eq=False)
class CoVisits:
    """How many walks met a peer after another one, where it is at least a quarter of the peer's walks.

    Attributes:
        largest: int64 [targets], the most walks that a target shares with any one peer before it.
        peer: int64 [pairs], ascending.
        before: int64 [pairs], the peer met earlier in the same walk; ascending per `peer`.
        walks: int64 [pairs], how many walks.
    """

    largest: Ints
    peer: Ints
    before: Ints
    walks: Ints


class Kernels(Protocol):
    """One implementation of the inner loops."""

    @property
    def name(self) -> str:
        """The library it runs on."""

    def draw(self, walks: WalkCells, rows: StepRows, hits: Ints, key: np.uint64) -> None:
        """Draw all walks anew and count their unit hits into `hits` (int64 [nodes], zeroed before)."""

    def reroute(
        self, walks: WalkCells, rows: StepRows, change: RowChange, hits: Ints, coins: np.uint64, key: np.uint64
    ) -> int:
        """Turn walks over the old rows into walks over the new ones; returns how many walks changed.

        Each step out of a changed row is kept with probability min(1, new share / old share) and else drawn from what
        the new row has more of (the maximal coupling of both rows); behind the first step of a walk that was not kept,
        the walk is drawn anew. So walks stay distributed as if drawn over the new rows, for added, changed and
        withdrawn edges alike; compare the rule for one added edge of Bahmani, Chowdhury and Goel (VLDB 2010).
        """

    def co_visits(self, walks: WalkCells, targets: Ints, hits: Ints) -> CoVisits:
        """Count whom walks met before each target (int64 [targets], ascending, none of them the ego)."""

    def item_hits(
        self, forward: WeightedRows, back: WeightedRows, starts: Ints, hops: Ints, drawn: Floats
    ) -> tuple[Ints, Ints]:
        """Walk from peer to item to peer to item and so on, and list each walk's first visit of every item.

        All walks take their first hop, then all that go on their second, and so on; each hop takes the next draw.

        Args:
            forward: Peer → item.
            back: Item → peer; a walk ends at an item without entries.
            starts: int64 [walks], the peer that each walk starts from; each has an item.
            hops: int64 [walks], most hops of each walk, at least 1.
            drawn: float64 [the sum of `hops`, or more], uniform in [0, 1).

        Returns:
            Two int64 [unit hits], walk after walk in the order they happened: the item, and the peer that it was
            entered from.
        """


@cache
def find_kernels(accelerate: bool | None = None) -> Kernels:
    """Choose the implementation.

    Args:
        accelerate: True insists on numba, False on numpy; None takes numba where it is installed.

    Raises:
        ConfigError: numba was insisted on and is not installed.
    """
    present = importlib.util.find_spec("numba") is not None
    if accelerate and not present:
        raise ConfigError("numba is not installed; `pip install meritrec[fast]`, or leave accelerate unset")
    if present and accelerate is not False:
        from trust.numba_kernels import NumbaKernels

        return NumbaKernels()
    from trust.numpy_kernels import NumpyKernels

    return NumpyKernels()
