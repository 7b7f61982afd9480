"""The inner loops of the walks, compiled by numba: the same draws, walks and counts as `numpy_kernels`.

Compiled code is kept on disk, so the seconds of compilation are spent once per machine and version. Floating point is
left strict: with the same order of additions both implementations agree to the last bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from trust.kernels import ENDED, SMALLEST_SHARE, CoVisits, RowChange, StepRows, WalkCells, changed_cells
from trust.rows import Floats, Ints, WeightedRows
from trust.uniforms import FIRST_FACTOR, GOLDEN, SECOND_FACTOR, UNIT

_GOLDEN, _FIRST, _SECOND = np.uint64(GOLDEN), np.uint64(FIRST_FACTOR), np.uint64(SECOND_FACTOR)
_compiled = njit(cache=True, nogil=True, boundscheck=False)


class NumbaKernels:
    """Compiled by numba."""

    name = "numba"

    def draw(self, walks: WalkCells, rows: StepRows, hits: Ints, key: np.uint64) -> None:
        """See `Kernels.draw`."""
        _draw(walks.cells, walks.first, walks.bounds, walks.ego, *rows, hits, key)

    def reroute(
        self, walks: WalkCells, rows: StepRows, change: RowChange, hits: Ints, coins: np.uint64, key: np.uint64
    ) -> int:
        """See `Kernels.reroute`."""
        sources = changed_cells(walks, change)
        return int(_reroute(*walks, *rows, sources, *change[1:], hits, coins, key))

    def co_visits(self, walks: WalkCells, targets: Ints, hits: Ints) -> CoVisits:
        """See `Kernels.co_visits`."""
        if not len(targets):
            nothing = np.empty(0, np.int64)
            return CoVisits(nothing, nothing, nothing, nothing)
        return CoVisits(*_co_visits(walks.cells, walks.first, walks.bounds, walks.walk, targets, hits))

    def item_hits(
        self, forward: WeightedRows, back: WeightedRows, starts: Ints, hops: Ints, drawn: Floats
    ) -> tuple[Ints, Ints]:
        """See `Kernels.item_hits`."""
        there = (forward.indptr, forward.columns, forward.cumulative)
        again = (back.indptr, back.columns, back.cumulative)
        items, peers = _item_hits(*there, *again, starts, hops, drawn)
        return items, peers


@_compiled
def _uniform(key, place):  # type: ignore[no-untyped-def]
    state = (np.uint64(place) + np.uint64(1)) * _GOLDEN + key
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.float64((state ^ (state >> np.uint64(31))) >> np.uint64(11)) * UNIT


@_compiled
def _step(at, drawn, start, length, columns, cumulative):  # type: ignore[no-untyped-def]
    low = start[at]
    left = length[at]
    while left > 0:
        half = left >> 1
        if cumulative[low + half] <= drawn:
            low += half + 1
            left -= half + 1
        else:
            left = half
    return columns[low]


@_compiled
def _mark(cells, first, begin, place, end, ego, hits):  # type: ignore[no-untyped-def]
    """Find and count the unit hits of one walk from `place` on; those before it are marked."""
    for at in range(place, end):
        node = cells[at]
        if node == ENDED:
            for rest in range(at, end):
                first[rest] = False
            return
        unit = node != ego
        for earlier in range(begin, at):
            if cells[earlier] == node:
                unit = False
                break
        first[at] = unit
        if unit:
            hits[node] += 1


@_compiled
def _fill(cells, place, end, at, start, length, columns, cumulative, key):  # type: ignore[no-untyped-def]
    """Walk on from the node `at`, filling cells from `place` up to `end`."""
    while place < end and length[at] > 0:
        at = _step(at, _uniform(key, place), start, length, columns, cumulative)
        cells[place] = at
        place += 1
    for rest in range(place, end):
        cells[rest] = ENDED


@_compiled
def _draw(cells, first, bounds, ego, start, length, columns, cumulative, hits, key):  # type: ignore[no-untyped-def]
    for walk in range(len(bounds) - 1):
        begin, end = bounds[walk], bounds[walk + 1]
        _fill(cells, begin, end, ego, start, length, columns, cumulative, key)
        _mark(cells, first, begin, begin, end, ego, hits)


@_compiled
def _share_of(node, slot, bounds, columns, shares):  # type: ignore[no-untyped-def]
    for entry in range(bounds[slot], bounds[slot + 1]):
        if columns[entry] == node:
            return shares[entry]
    return 0.0


@_compiled
def _surplus(old_bounds, old_columns, old_shares, new_bounds, new_columns, new_shares):  # type: ignore[no-untyped-def]
    """Per entry of the new rows, the running sum of what its row has more of up to there."""
    more = np.empty(len(new_columns))
    for slot in range(len(new_bounds) - 1):
        total = 0.0
        for entry in range(new_bounds[slot], new_bounds[slot + 1]):
            before = _share_of(new_columns[entry], slot, old_bounds, old_columns, old_shares)
            total += max(new_shares[entry] - before, 0.0)
            more[entry] = total
    return more


@_compiled
def _chances(old_bounds, old_columns, old_shares, new_bounds, new_columns, new_shares):  # type: ignore[no-untyped-def]
    """Per entry of the old rows, new share over old share."""
    chance = np.zeros(len(old_columns))
    for slot in range(len(old_bounds) - 1):
        for entry in range(old_bounds[slot], old_bounds[slot + 1]):
            if old_shares[entry] > 0.0:
                new = _share_of(old_columns[entry], slot, new_bounds, new_columns, new_shares)
                chance[entry] = new / old_shares[entry]
    return chance


@_compiled
def _redirected(slot, drawn, new_bounds, new_columns, more):  # type: ignore[no-untyped-def]
    """Draw from what the new row has more of; ENDED if the new row is empty, −2 if it has nothing more."""
    begin, end = new_bounds[slot], new_bounds[slot + 1]
    if begin == end:
        return ENDED
    if more[end - 1] <= 0.0:
        return -2
    wanted = drawn * more[end - 1]
    for entry in range(begin, end):
        if more[entry] > wanted:
            return new_columns[entry]
    return new_columns[end - 1]


@_compiled
def _reroute(  # type: ignore[no-untyped-def]
    cells,
    first,
    bounds,
    walk_of,
    ego,
    start,
    length,
    columns,
    cumulative,
    sources,
    slots,
    old_bounds,
    old_columns,
    old_shares,
    new_bounds,
    new_columns,
    new_shares,
    hits,
    coins,
    key,
):
    chance = _chances(old_bounds, old_columns, old_shares, new_bounds, new_columns, new_shares)
    more = _surplus(old_bounds, old_columns, old_shares, new_bounds, new_columns, new_shares)
    done = np.zeros(len(bounds) - 1, np.bool_)
    rerouted = 0

    def redraw(place: int, walk: int, slot: int) -> int:
        """Decide one step out of a changed row; draw its walk anew from there if it is not kept."""
        node = cells[place]
        if node == ENDED:
            if new_bounds[slot] == new_bounds[slot + 1]:
                return 0
        elif _uniform(coins, place) < _share_of(node, slot, old_bounds, old_columns, chance):
            return 0
        done[walk] = True
        target = _redirected(slot, _uniform(key, place), new_bounds, new_columns, more)
        if target == -2:
            return 0
        begin, end = bounds[walk], bounds[walk + 1]
        for at in range(place, end):
            if first[at]:
                hits[cells[at]] -= 1
        cells[place] = target
        if target == ENDED:
            for rest in range(place, end):
                cells[rest] = ENDED
        else:
            _fill(cells, place + 1, end, target, start, length, columns, cumulative, key)
        _mark(cells, first, begin, place, end, ego, hits)
        return 1

    if slots[ego] >= 0:  # first steps
        for walk in range(len(bounds) - 1):
            if bounds[walk] < bounds[walk + 1]:
                rerouted += redraw(bounds[walk], walk, slots[ego])
    for source in sources:
        place = source + 1
        if place < len(cells) and walk_of[place] == walk_of[source] and not done[walk_of[place]]:
            rerouted += redraw(place, walk_of[place], slots[cells[source]])
    return rerouted


@_compiled
def _co_visits(cells, first, bounds, walk_of, targets, hits):  # type: ignore[no-untyped-def]
    # Unit hits of each target, one target behind the other.
    slots = np.full(len(hits), -1, np.int32)
    unit_bounds = np.zeros(len(targets) + 1, np.int64)
    for target in range(len(targets)):
        slots[targets[target]] = target
        unit_bounds[target + 1] = unit_bounds[target] + hits[targets[target]]
    place_of = np.empty(unit_bounds[-1], np.int64)
    filled = unit_bounds[:-1].copy()
    for place in range(len(cells)):
        if first[place] and slots[cells[place]] >= 0:
            target = slots[cells[place]]
            place_of[filled[target]] = place
            filled[target] += 1
    # Count whom each walk met before it.
    largest = np.zeros(len(targets), np.int64)
    counts = np.zeros(len(hits), np.int64)
    met = np.empty(len(hits), np.int64)
    room = 1024
    peer, before, shared = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    pairs = 0
    for target in range(len(targets)):
        n_met = 0
        for unit in range(unit_bounds[target], unit_bounds[target + 1]):
            place = place_of[unit]
            for earlier in range(bounds[walk_of[place]], place):
                if first[earlier]:
                    node = cells[earlier]
                    if counts[node] == 0:
                        met[n_met] = node
                        n_met += 1
                    counts[node] += 1
        least = SMALLEST_SHARE * hits[targets[target]]
        kept = 0
        for index in range(n_met):
            node = met[index]
            largest[target] = max(largest[target], counts[node])
            if counts[node] >= least:
                met[kept] = node
                kept += 1
            else:
                counts[node] = 0
        if pairs + kept > room:
            room = 2 * (pairs + kept)
            peer, before, shared = _longer(peer, room), _longer(before, room), _longer(shared, room)
        for node in np.sort(met[:kept]):
            peer[pairs], before[pairs], shared[pairs] = targets[target], node, counts[node]
            counts[node] = 0
            pairs += 1
    return largest, peer[:pairs].copy(), before[:pairs].copy(), shared[:pairs].copy()


@_compiled
def _longer(array, size):  # type: ignore[no-untyped-def]
    longer = np.empty(size, array.dtype)
    longer[: len(array)] = array
    return longer


@_compiled
def _hop(at, drawn, bounds, columns, cumulative):  # type: ignore[no-untyped-def]
    """One step as `WeightedRows.step` takes it: the sum rounds as there, and a row's last entry takes what is left."""
    low, high = bounds[at], bounds[at + 1] - 1
    reached = np.float64(at) + drawn
    while low < high:
        middle = (low + high) >> 1
        if cumulative[middle] <= reached:
            low = middle + 1
        else:
            high = middle
    return columns[low]


@_compiled
def _item_hits(  # type: ignore[no-untyped-def]
    to_bounds, to_columns, to_cumulative, back_bounds, back_columns, back_cumulative, starts, hops, drawn
):
    bounds = np.zeros(len(starts) + 1, np.int64)
    for walk in range(len(starts)):
        bounds[walk + 1] = bounds[walk] + (hops[walk] + 1) // 2
    items, peers = np.empty(bounds[-1], np.int64), np.empty(bounds[-1], np.int64)
    ends = bounds[:-1].copy()
    at, going = starts.copy(), np.arange(len(starts))
    used, left, turn = 0, len(starts), 0
    while left:
        for place in range(left):
            walk = going[place]
            items[ends[walk]] = _hop(at[walk], drawn[used + place], to_bounds, to_columns, to_cumulative)
            peers[ends[walk]] = at[walk]
            ends[walk] += 1
        used += left
        kept = 0
        for place in range(left):
            walk = going[place]
            item = items[ends[walk] - 1]
            if hops[walk] >= 2 * turn + 3 and back_bounds[item] < back_bounds[item + 1]:
                at[walk] = _hop(item, drawn[used + kept], back_bounds, back_columns, back_cumulative)
                going[kept] = walk
                kept += 1
        used += kept
        left = kept
        turn += 1
    return _first_of_each(items, peers, bounds, ends)


@_compiled
def _first_of_each(items, peers, bounds, ends):  # type: ignore[no-untyped-def]
    """Move each walk's first visit of every item to the front, in order."""
    units = 0
    for walk in range(len(ends)):
        begin = units
        for place in range(bounds[walk], ends[walk]):
            new = True
            for earlier in range(begin, units):
                if items[earlier] == items[place]:
                    new = False
                    break
            if new:
                items[units], peers[units] = items[place], peers[place]
                units += 1
    return items[:units].copy(), peers[:units].copy()
