"""One ego's walks, kept and repaired as the graph changes instead of drawn anew.

Knows nothing of scores. Lengths are drawn once, before the first step (stopping with probability alpha before each step
is a geometric number of steps), so every walk owns its cells for good and one that meets a peer without edges simply
ends, to go on if edges appear.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence, Set

import numpy as np

from trust.graph import TrustGraph
from trust.kernels import ENDED, Kernels, RowChange, StepRows, WalkCells
from trust.row_store import Array, RowPointers
from trust.rows import Ints
from trust.uniforms import stream_key, uniforms

AFRESH_FROM = 256
"""With this many changed rows at once all walks are drawn anew; that costs less by then."""
_LENGTHS = -1  # the stream that walk lengths come from


class StoredWalks:
    """Walks from one ego over a graph's trust rows; a blocked peer is a dead end.

    Attributes:
        walks: the walks.
        hits: int64 [room for nodes], how many walks visit each peer; 0 for the ego.
        version: rises whenever a walk changes.
    """

    def __init__(
        self,
        graph: TrustGraph,
        ego: Hashable,
        *,
        count: int,
        alpha: float,
        max_length: int,
        seed: int,
        blocked: Iterable[Hashable],
        kernels: Kernels,
        once: bool = False,
    ) -> None:
        """Draw all walks.

        Args:
            graph: Whose trust rows to walk; `refresh` catches up with it.
            ego: Where every walk starts; it may join the graph later.
            count: Number of walks.
            alpha: Stopping probability before each step, in (0, 1).
            max_length: Longest walk in nodes, the ego included.
            seed: Decides every draw.
            blocked: Peers whose rows are not followed.
            kernels: The inner loops.
            once: Whether they are read before the graph changes: the graph's own pointers then do instead of copies,
                and a change has all walks drawn anew.
        """
        self._graph, self._ego, self._seed, self._kernels, self._once = graph, ego, seed, kernels, once
        lengths = _lengths(count, alpha, max_length - 1, seed)
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        self.walks = WalkCells(
            np.full(bounds[-1], ENDED, np.int32),
            np.zeros(bounds[-1], np.bool_),
            bounds,
            np.repeat(np.arange(count, dtype=np.int32), lengths),
            ego=-1,
        )
        self.hits: Ints = np.zeros(0, np.int64)
        self._slots = np.full(1, -1, np.int32)
        self._blocked = frozenset(blocked)
        self._pending_blocks: set[Hashable] = set()
        self._epoch = self.version = 0
        self._pointers: RowPointers
        self._restart()

    @property
    def bytes(self) -> int:
        """Memory of the walks and their counters, in bytes."""
        arrays = (*self.walks[:4], self.hits, self._slots, self._pointers.start, self._pointers.length)
        return sum(array.nbytes for array in arrays)

    @property
    def blocked(self) -> frozenset[Hashable]:
        """Peers whose rows are not followed."""
        return self._blocked

    def block(self, peers: Set[Hashable]) -> None:
        """Say which peers are dead ends, in place of what was said before."""
        self._pending_blocks ^= self._blocked ^ peers
        self._blocked = frozenset(peers)

    def rows(self) -> StepRows:
        """The rows that the walks follow now."""
        return StepRows(self._pointers.start, self._pointers.length, self._arrays[0], self._arrays[3])

    def refresh(self) -> int:
        """Catch up with the graph and the blocks; returns how many walks changed their way."""
        graph = self._graph
        if graph.peers is not self._peers or graph.peers.find(self._ego) != self.walks.ego:
            return self._restart()
        changed = graph.changes.since(self._position)
        if changed is None or len(changed) + len(self._pending_blocks) > AFRESH_FROM:
            return self._restart()
        if not (changed or self._pending_blocks):
            return 0
        if self._once:
            return self._restart()
        if self._pending_blocks:
            numbers = {graph.peers.find(peer) for peer in self._pending_blocks} - {-1}
            changed = list(numbers.union(changed))
            self._pending_blocks = set()
        return self._repair(changed)

    def _restart(self) -> int:
        graph = self._graph
        self.walks = self.walks._replace(ego=graph.peers.find(self._ego))
        self._pending_blocks = set()
        self._peers, self._position = graph.peers, graph.changes.position
        self._follow()
        self.hits = np.zeros(self._room(), np.int64)
        self._epoch += 1
        self.version += 1
        if self.walks.ego < 0:
            self.walks.cells.fill(ENDED)
            self.walks.first.fill(False)
            return 0
        self._kernels.draw(self.walks, self.rows(), self.hits, stream_key(self._seed, 2 * self._epoch))
        return len(self.walks.bounds) - 1

    def _repair(self, changed: Sequence[int]) -> int:
        self._grow()
        hits, ego = self.hits, self.walks.ego
        walked = sorted(row for row in changed if row == ego or hits[row])
        old = [self._row(row) for row in walked]
        self._position = self._graph.changes.position
        if self._graph.trust_rows.arrays is self._arrays:
            self._follow_rows(changed)
        else:
            self._follow()
        if not walked:
            return 0
        self._slots[walked] = range(len(walked))
        change = _change(walked, self._slots, old, [self._row(row) for row in walked])
        self._epoch += 1
        coins, key = stream_key(self._seed, 2 * self._epoch + 1), stream_key(self._seed, 2 * self._epoch)
        rerouted = self._kernels.reroute(self.walks, self.rows(), change, hits, coins, key)
        self._slots[walked] = -1
        self.version += rerouted > 0
        return rerouted

    def _room(self) -> int:
        """Nodes to make room for: for walks that are kept a power of two, so that growing is rare."""
        known = len(self._graph.peers)
        return max(known, 1) if self._once else 1 << max(known - 1, 15).bit_length()

    def _grow(self) -> None:
        room = self._room()
        if room > len(self.hits):
            self.hits = np.concatenate((self.hits, np.zeros(room - len(self.hits), np.int64)))
            self._pointers = self._pointers.grown(room)
        if room >= len(self._slots):
            self._slots = np.full(room + 1, -1, np.int32)

    def _row(self, row: int) -> tuple[Array, Array]:
        start, length = self._pointers.start[row], self._pointers.length[row]
        return self._arrays[0][start : start + length], self._arrays[2][start : start + length]

    def _follow(self) -> None:
        """Point at the rows that the graph has now; those of blocked peers stay empty."""
        trust = self._graph.trust_rows
        self._arrays = trust.arrays
        if self._once and not self._blocked:
            self._pointers = trust.pointers.grown(len(self._graph.peers))
            return
        self._pointers = trust.pointers.copy().grown(self._room())
        blocked = [self._graph.peers.find(peer) for peer in self._blocked]
        self._pointers.length[[number for number in blocked if number >= 0]] = 0

    def _follow_rows(self, rows: Iterable[int]) -> None:
        theirs, mine = self._graph.trust_rows.pointers, self._pointers
        keys, blocked = self._graph.peers.keys, self._blocked
        for row in rows:
            stated = row < len(theirs.start) and not (blocked and keys[row] in blocked)
            mine.start[row] = theirs.start[row] if stated else 0
            mine.length[row] = theirs.length[row] if stated else 0


def _lengths(count: int, alpha: float, most: int, seed: int) -> Ints:
    """int64 [count]: steps of each walk, geometric by inversion, at most `most`."""
    drawn = uniforms(stream_key(seed, _LENGTHS), np.arange(count))
    steps = np.log1p(-drawn) / np.log1p(-alpha)
    lengths: Ints = np.minimum(steps, most).astype(np.int64)
    return lengths


def _change(rows: list[int], slots: Array, old: list[tuple[Array, Array]], new: list[tuple[Array, Array]]) -> RowChange:
    return RowChange(np.array(rows), slots, *_concatenated(old), *_concatenated(new))


def _concatenated(rows: list[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    if len(rows) == 1:
        columns, shares = rows[0]
        return np.array([0, len(columns)]), columns, shares
    bounds = np.cumsum([0] + [len(columns) for columns, _ in rows])
    return bounds, np.concatenate([columns for columns, _ in rows]), np.concatenate([shares for _, shares in rows])
