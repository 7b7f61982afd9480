"""The inner loops of the walks, vectorised over walks: the reference (see `kernels`).

The only Python loops are over the steps of the longest walk and over the rows of one change.
"""

from __future__ import annotations

import numpy as np

from trust.kernels import ENDED, SMALLEST_SHARE, CoVisits, Nodes, RowChange, StepRows, WalkCells, changed_cells
from trust.rows import Floats, Ints, WeightedRows, ranges
from trust.uniforms import uniforms
from trust.walks import first_visits, visits, walk_items


class NumpyKernels:
    """Numpy alone."""

    name = "numpy"

    def draw(self, walks: WalkCells, rows: StepRows, hits: Ints, key: np.uint64) -> None:
        """See `Kernels.draw`."""
        walks.cells.fill(ENDED)
        count = len(walks.bounds) - 1
        _extend(walks.cells, walks.bounds[:-1], walks.bounds[1:], np.full(count, walks.ego), rows, key)
        _mark(walks, np.arange(count), hits)

    def reroute(
        self, walks: WalkCells, rows: StepRows, change: RowChange, hits: Ints, coins: np.uint64, key: np.uint64
    ) -> int:
        """See `Kernels.reroute`."""
        place, slot = _steps_out(walks, change)
        kept = uniforms(coins, place) < _keep_chance(walks.cells[place], slot, change, len(hits))
        place, slot = place[~kept], slot[~kept]
        leading = np.concatenate(([True], walks.walk[place[1:]] != walks.walk[place[:-1]]))[: len(place)]
        place, slot = place[leading], slot[leading]
        target, possible = _redirected(place, slot, change, key)
        place, target = place[possible], target[possible]
        touched = walks.walk[place].astype(np.int64)
        end = walks.bounds[touched + 1]
        _unmark(walks, touched, hits)
        walks.cells[ranges(place, end - place)] = ENDED
        walks.cells[place] = target
        going = target != ENDED
        _extend(walks.cells, place[going] + 1, end[going], target[going].astype(np.int64), rows, key)
        _mark(walks, touched, hits)
        return len(touched)

    def co_visits(self, walks: WalkCells, targets: Ints, hits: Ints) -> CoVisits:
        """See `Kernels.co_visits`.

        Lists every (target, peer before it in the same walk) pair, sorts them as packed integers and counts runs:
        memory follows the walks, not the square of the peers.
        """
        n_nodes = len(hits)
        wanted = np.zeros(n_nodes, dtype=np.bool_)
        wanted[targets] = True
        unit = np.flatnonzero(walks.first)
        walk, node = walks.walk[unit], walks.cells[unit]
        new_walk = np.flatnonzero(np.diff(walk, prepend=-1))
        walk_start = np.repeat(new_walk, np.diff(new_walk, append=len(walk)))
        later = np.flatnonzero(wanted[node] & (walk_start < np.arange(len(walk))))
        before = later - walk_start[later]  # how many peers precede each target in its walk
        source = ranges(walk_start[later], before)
        # Half as wide integers sort about twice as fast; most graphs are small enough for them.
        packing = np.dtype(np.uint32 if n_nodes < 2**16 else np.int64)
        pairs = np.repeat(node[later].astype(packing) * packing.type(n_nodes), before) + node[source].astype(packing)
        pairs.sort()
        run = np.flatnonzero(np.concatenate((np.ones(min(1, len(pairs)), np.bool_), pairs[1:] != pairs[:-1])))
        shared = np.diff(run, append=len(pairs))
        distinct = pairs[run].astype(np.int64)
        peer, other = distinct // n_nodes, distinct % n_nodes
        largest = np.zeros(n_nodes, dtype=np.int64)
        if peer.size:
            peer_start = np.flatnonzero(np.diff(peer, prepend=-1))
            largest[peer[peer_start]] = np.maximum.reduceat(shared, peer_start)
        kept = shared >= SMALLEST_SHARE * hits[peer]
        return CoVisits(largest[targets], peer[kept], other[kept], shared[kept])

    def item_hits(
        self, forward: WeightedRows, back: WeightedRows, starts: Ints, hops: Ints, drawn: Floats
    ) -> tuple[Ints, Ints]:
        """See `Kernels.item_hits`."""
        items, entered_from = walk_items(forward, back, starts, hops, drawn)
        seen = visits(items)
        return seen.node[seen.first], entered_from.ravel()[seen.place[seen.first]].astype(np.int64)


def _step(rows: StepRows, at: Ints, drawn: Floats) -> Ints:
    """One step from rows that have entries: the first entry whose cumulative share exceeds the draw, by bisection."""
    low: Ints = rows.start[at]
    length: Ints = rows.length[at]
    for _ in range(int(length.max()).bit_length()):
        half = length >> 1
        middle = low + half
        right = rows.cumulative[middle] <= drawn
        low = np.where(right, middle + 1, low)
        length = np.where(right, length - half - 1, half)
    reached: Ints = rows.columns[low].astype(np.int64)
    return reached


def _extend(cells: Nodes, place: Ints, end: Ints, at: Ints, rows: StepRows, key: np.uint64) -> None:
    """Walk on from the nodes `at`, filling each walk's cells from `place` up to `end`."""
    while True:
        going = np.flatnonzero((place < end) & (rows.length[at] > 0))
        if not going.size:
            return
        place, end = place[going], end[going]
        at = _step(rows, at[going], uniforms(key, place))
        cells[place] = at
        place = place + 1


def _steps_out(walks: WalkCells, change: RowChange) -> tuple[Ints, Ints]:
    """Cells that hold a step out of a changed row, in walk order, and that row's slot."""
    place = changed_cells(walks, change) + 1
    same_walk = walks.walk[np.minimum(place, len(walks.walk) - 1)] == walks.walk[place - 1]
    place = place[same_walk & (place < len(walks.cells))]
    slot = change.slot[walks.cells[place - 1]].astype(np.int64)
    own = int(change.slot[walks.ego])
    if own >= 0:
        starts = walks.bounds[:-1][np.diff(walks.bounds) > 0]
        order = np.argsort(np.concatenate((place, starts)), kind="stable")
        slot = np.concatenate((slot, np.full(len(starts), own)))[order]
        place = np.concatenate((place, starts))[order]
    return place, slot


def _keep_chance(node: Nodes, slot: Ints, change: RowChange, n_nodes: int) -> Floats:
    """New share over old share of each step; 0 for a walk that had ended at the row, 2 where it still ends there."""
    old = _share_of(node, slot, change.old_bounds, change.old_columns, change.old_shares, n_nodes)
    new = _share_of(node, slot, change.new_bounds, change.new_columns, change.new_shares, n_nodes)
    chance = np.divide(new, old, out=np.zeros(len(node)), where=old > 0.0)
    stays = (node == ENDED) & (np.diff(change.new_bounds)[slot] == 0)
    return np.where(stays, 2.0, chance)


def _share_of(node: Nodes, slot: Ints, bounds: Ints, columns: Nodes, shares: Floats, n_nodes: int) -> Floats:
    """Share of each (slot, node) in concatenated rows; 0 where there is no such entry."""
    if not len(columns):
        return np.zeros(len(node))
    entry = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)) * n_nodes + columns
    order = np.argsort(entry)
    wanted = slot * n_nodes + node
    found = order[np.minimum(np.searchsorted(entry[order], wanted), len(order) - 1)]
    return np.where((entry[found] == wanted) & (node >= 0), shares[found], 0.0)


def _redirected(place: Ints, slot: Ints, change: RowChange, key: np.uint64) -> tuple[Ints, np.ndarray]:
    """Where each step goes instead, drawn from what the new row has more of, and whether there is such a thing."""
    target = np.full(len(place), ENDED, dtype=np.int64)
    possible = np.ones(len(place), dtype=np.bool_)
    drawn = uniforms(key, place)
    n_nodes = len(change.slot)
    for row in np.unique(slot).tolist():
        mine = np.flatnonzero(slot == row)
        new = slice(change.new_bounds[row], change.new_bounds[row + 1])
        columns = change.new_columns[new]
        if not len(columns):
            continue
        before = _share_of(
            columns, np.full(len(columns), row), change.old_bounds, change.old_columns, change.old_shares, n_nodes
        )
        more = np.cumsum(np.maximum(change.new_shares[new] - before, 0.0))
        # Both rows the same up to rounding: nothing to go to instead, so the step stays.
        possible[mine] = more[-1] > 0.0
        chosen = np.searchsorted(more, drawn[mine] * more[-1], side="right")
        target[mine] = columns[np.minimum(chosen, len(columns) - 1)]
    return target, possible


def _unmark(walks: WalkCells, touched: Ints, hits: Ints) -> None:
    """Take the unit hits of some walks out of the counts."""
    cell = ranges(walks.bounds[touched], np.diff(walks.bounds)[touched])
    hits -= np.bincount(walks.cells[cell[walks.first[cell]]], minlength=len(hits))


def _mark(walks: WalkCells, touched: Ints, hits: Ints) -> None:
    """Find the unit hits of some walks and count them."""
    cell = ranges(walks.bounds[touched], np.diff(walks.bounds)[touched])
    walks.first[cell] = False
    node = walks.cells[cell].astype(np.int64)
    counted = (node != ENDED) & (node != walks.ego)
    cell, node = cell[counted], node[counted]
    unit = first_visits(walks.walk[cell].astype(np.int64), node)
    walks.first[cell[unit]] = True
    hits += np.bincount(node[unit], minlength=len(hits))
