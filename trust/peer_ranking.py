"""What a node walk found: peers with scores, in order, and how the walks came to them.

Holds results only; `meritrank` computes them. Scores are kept as arrays and become `PeerScore` values when
read; ways are worked out when first asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trust.cut_peers import CutPeers
from trust.graph import TrustGraph
from trust.kernels import ENDED, Nodes, WalkCells
from trust.key_table import KeyTable
from trust.rows import Bools, Floats, Ints, WeightedRows, inverse, ranges

Shares = tuple[tuple[Hashable, float], ...]
"""(key, share) pairs, largest share first."""


@dataclass(frozen=True, slots=True)
class PeerScore:
    """One peer as the ego sees it.

    Attributes:
        peer: The peer.
        score: Share of walks that hit it and met nobody blocked, times 1 − β·bottleneck; in (0, 1].
        hits: Number of walks that hit it.
        bottleneck: Smoothed largest share of those walks that came through one other peer; 0 for a direct
            friend.
        direct: Whether the ego itself vouches for it.
    """

    peer: Hashable
    score: float
    hits: int
    bottleneck: float
    direct: bool


@dataclass(frozen=True, slots=True, eq=False)
class PeerColumns:
    """A peer ranking as aligned arrays, best first.

    Attributes:
        peer: int64 [ranked], the graph's number of a peer.
        score: float64 [ranked].
        hits: int64 [ranked].
        bottleneck: float64 [ranked].
        direct: bool [ranked].
    """

    peer: Ints
    score: Floats
    hits: Ints
    bottleneck: Floats
    direct: Bools

    def top(self, count: int, keys: Sequence[Hashable]) -> tuple[PeerScore, ...]:
        """The first `count` as values, named by `keys`."""
        columns = (self.peer, self.score, self.hits, self.bottleneck, self.direct)
        rows = zip(*(column[: max(count, 0)].tolist() for column in columns), strict=True)
        return tuple(PeerScore(keys[peer], *values) for peer, *values in rows)


@dataclass(frozen=True, slots=True, eq=False)
class WalkLog:
    """The unit hits of all walks at one moment, in walk order: what ways are read from.

    Attributes:
        node: int32 [hits], who was hit.
        friend: int32 [hits], the direct friend most recently met at or before that.
        step: int32 [hits], how many steps from the ego.
    """

    node: Nodes
    friend: Nodes
    step: Ints

    @classmethod
    def of(cls, walks: WalkCells, direct: Bools) -> WalkLog:
        """Copy what is needed.

        Args:
            walks: the walks.
            direct: bool [nodes], direct friends of the ego. The first peer of every walk is one, so filling forward
                never crosses into the walk before.
        """
        place = np.arange(len(walks.cells))
        latest = np.maximum.accumulate(np.where(direct[walks.cells] & (walks.cells != ENDED), place, 0))
        unit = np.flatnonzero(walks.first)
        step = unit - walks.bounds[walks.walk[unit]] + 1
        return cls(walks.cells[unit], walks.cells[latest[unit]], step)


class PeerRanking:
    """Peers by score, best first, if they reach the minimum of hits; equal scores in order of arrival in the graph."""

    def __init__(
        self, graph: TrustGraph, columns: PeerColumns, hits: Ints, cuts: CutPeers, log: WalkLog, direct: Bools
    ) -> None:
        """Wrap the columns computed on a graph.

        Args:
            graph: The graph that was walked; it may change afterwards.
            columns: The ranked peers.
            hits: int64 [reached], of all peers that walks hit, below the minimum too: those of `cuts.peer`.
            cuts: Through whom peers were reached.
            log: Unit hits of the walks.
            direct: bool [nodes], direct friends of the ego.
        """
        self.columns, self.cuts, self.direct = columns, cuts, direct
        self._peers, self._keys, self._hits, self._log = graph.peers, graph.peers.keys, hits, log

    def __len__(self) -> int:
        return len(self.columns.peer)

    @cached_property
    def _place(self) -> dict[Hashable, int]:
        return {self._keys[number]: place for place, number in enumerate(self.columns.peer.tolist())}

    @cached_property
    def scores(self) -> tuple[PeerScore, ...]:
        """All ranked peers, best first."""
        return self.top(len(self))

    def top(self, count: int) -> tuple[PeerScore, ...]:
        """The best `count` peers, without building the rest."""
        return self.columns.top(count, self._keys)

    def score_of(self, peer: Hashable) -> float:
        """A peer's score; 0 for a peer that is not ranked."""
        place = self._place.get(peer)
        return 0.0 if place is None else float(self.columns.score[place])

    def via_of(self, peer: Hashable) -> Shares:
        """The direct friends through whom walks reached a peer, with the share of its walks that came through each.

        The last direct friend before the peer counts; a direct friend is reached via itself. Shares sum to 1. Empty for
        a peer that is not ranked.
        """
        place = self._place.get(peer)
        if place is None:
            return ()
        return self.friends_of(np.array([place]), np.ones(1))

    def friends_of(self, places: Ints, shares: Floats) -> Shares:
        """Spread shares of peers over the direct friends through whom walks reached them, largest first.

        Args:
            places: int64 [peers], places in this ranking; −1 for peers that are not in it, whose shares are left out.
            shares: float64 [peers].
        """
        places, shares = places[places >= 0], shares[places >= 0]
        start, length = self.via.indptr[places], np.diff(self.via.indptr)[places]
        entry = ranges(start, length)
        friends, which = np.unique(self.via.columns[entry], return_inverse=True)
        parts = np.bincount(which, weights=self.via.shares[entry] * np.repeat(shares, length), minlength=len(friends))
        best = np.lexsort((friends, -parts))
        pairs = zip(friends[best].tolist(), parts[best].tolist(), strict=True)
        return tuple((self._keys[friend], part) for friend, part in pairs)

    def steps_of(self, places: Ints, shares: Floats) -> float:
        """Mean number of steps to peers, weighted by shares; arguments as for `friends_of`."""
        known = places >= 0
        return float((self.steps[places[known]] * shares[known]).sum())

    def numbers_in(self, table: KeyTable) -> Ints:
        """int64 [ranked]: the ranked peers' numbers in a table, −1 for those that it does not name."""
        if table is self._peers:
            return self.columns.peer
        return np.fromiter((table.find(self._keys[peer]) for peer in self.columns.peer.tolist()), np.int64, len(self))

    def places_in(self, table: KeyTable) -> Ints:
        """int64 [peers of the table]: number of a peer → place in this ranking, −1 for the others."""
        numbers = self.numbers_in(table)
        places = np.full(len(table), -1, dtype=np.int64)
        places[numbers[numbers >= 0]] = np.flatnonzero(numbers >= 0)
        return places

    def steps_to(self, peer: Hashable) -> float:
        """How far a peer is: the mean number of steps that walks took to it; 0 for a peer that is not ranked."""
        place = self._place.get(peer)
        return 0.0 if place is None else float(self.steps[place])

    @cached_property
    def via(self) -> WeightedRows:
        """Place in this ranking → number of a direct friend; shares sum to 1 per row."""
        n_nodes = len(self.direct)
        place = self._log_places
        kept = place >= 0
        pairs, counts = np.unique(place[kept] * n_nodes + self._log.friend[kept], return_counts=True)
        return WeightedRows.from_edges(pairs // n_nodes, pairs % n_nodes, counts.astype(np.float64), len(self), n_nodes)

    @cached_property
    def steps(self) -> Floats:
        """float64 [ranked], mean number of steps of the walks to each ranked peer."""
        kept = self._log_places >= 0
        total = np.bincount(self._log_places[kept], weights=self._log.step[kept], minlength=len(self))
        mean: Floats = total / self.columns.hits
        return mean

    @cached_property
    def _log_places(self) -> Ints:
        return inverse(self.columns.peer, len(self.direct))[self._log.node]

    def hits(self) -> dict[Hashable, int]:
        """Hits of every peer that walks reached, below the minimum too: what a graph evicts by."""
        keys = self._keys
        pairs = zip(self.cuts.peer.tolist(), self._hits.tolist(), strict=True)
        return {keys[number]: hits for number, hits in pairs}

    def scores_in(self, graph: TrustGraph) -> tuple[Ints, Floats]:
        """Return the ranked peers' numbers, ascending, and scores, also if the graph has given numbers anew since."""
        numbers = self.numbers_in(graph.peers)
        order = np.argsort(numbers)
        order = order[numbers[order] >= 0]
        return numbers[order], self.columns.score[order]

    def renumbered(self, rows: WeightedRows, graph: TrustGraph) -> WeightedRows:
        """Rows over a graph's numbers of ranked peers, over the numbers that this ranking and its `cuts` use."""
        if graph.peers is self._peers:
            return rows
        mine = self.columns.peer[self.places_in(graph.peers)[rows.columns]]
        return WeightedRows.of_rows(rows.indptr, mine, rows.shares, len(self.direct))
