"""What a node walk found: peers with scores, in order, with the friends they were reached through.

Holds results only; `meritrank` computes them. Scores are kept as arrays and become `PeerScore` values when
read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from trust.cut_peers import CutPeers
from trust.graph import GraphSnapshot
from trust.rows import Bools, Floats, Ints, WeightedRows

Shares = tuple[tuple[Hashable, float], ...]
"""(key, share) pairs, largest share first."""


@dataclass(frozen=True, slots=True)
class PeerScore:
    """One peer as the ego sees it.

    Attributes:
        peer: The peer.
        score: Share of walks that hit it, times 1 − β·bottleneck; in (0, 1].
        hits: Number of walks that hit it.
        bottleneck: Smoothed largest share of those walks that came through one other peer; 0 for a direct
            friend.
        direct: Whether the ego itself vouches for it.
        via: Direct friends with the share of its walks that came through each, by the last direct friend
            before the peer; a direct friend is reached via itself. Sums to 1.
    """

    peer: Hashable
    score: float
    hits: int
    bottleneck: float
    direct: bool
    via: Shares


@dataclass(frozen=True, slots=True, eq=False)
class PeerColumns:
    """A peer ranking as aligned arrays, best first.

    Attributes:
        peer: int64 [ranked], index into the snapshot's peers.
        score: float64 [ranked].
        hits: int64 [ranked].
        bottleneck: float64 [ranked].
        direct: bool [ranked].
        via: place in this ranking → index of a direct friend, shares sum to 1 per row.
    """

    peer: Ints
    score: Floats
    hits: Ints
    bottleneck: Floats
    direct: Bools
    via: WeightedRows

    @classmethod
    def empty(cls) -> PeerColumns:
        """Nobody is ranked."""
        none = np.empty(0, np.int64)
        return cls(none, np.empty(0), none, np.empty(0), np.empty(0, np.bool_), WeightedRows.empty(0))


class PeerRanking:
    """Peers by score, best first, if they reach the minimum of hits; equal scores in the snapshot's order."""

    def __init__(self, snapshot: GraphSnapshot, columns: PeerColumns, all_hits: Ints, cuts: CutPeers) -> None:
        """Wrap the columns computed on a snapshot.

        Args:
            snapshot: The graph that was walked.
            columns: The ranked peers.
            all_hits: int64 [peers of the snapshot], hits before any minimum.
            cuts: through whom peers of the snapshot were reached.
        """
        self._keys = snapshot.peers
        self._columns = columns
        self._all_hits = all_hits
        self.cuts = cuts
        self._place = {self._keys[index]: place for place, index in enumerate(columns.peer.tolist())}
        self._scores: tuple[PeerScore, ...] | None = None

    def __len__(self) -> int:
        return len(self._place)

    @property
    def scores(self) -> tuple[PeerScore, ...]:
        """All ranked peers, best first."""
        if self._scores is None:
            self._scores = self.top(len(self))
        return self._scores

    def top(self, count: int) -> tuple[PeerScore, ...]:
        """The best `count` peers, without building the rest."""
        return tuple(self._at(place) for place in range(min(count, len(self))))

    def score_of(self, peer: Hashable) -> float:
        """A peer's score; 0 for a peer that is not ranked."""
        place = self._place.get(peer)
        return 0.0 if place is None else float(self._columns.score[place])

    def via_of(self, peer: Hashable) -> Shares:
        """The direct friends through whom walks reached a peer; empty for a peer that is not ranked."""
        place = self._place.get(peer)
        if place is None:
            return ()
        via = self._columns.via
        pairs = zip(via.row(place).tolist(), via.row_shares(place).tolist(), strict=True)
        by_share = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        return tuple((self._keys[friend], share) for friend, share in by_share)

    def hits(self) -> dict[Hashable, int]:
        """Hits of every peer that walks reached, below the minimum too: what a graph evicts by."""
        reached = np.flatnonzero(self._all_hits)
        pairs = zip(reached.tolist(), self._all_hits[reached].tolist(), strict=True)
        return {self._keys[index]: hits for index, hits in pairs}

    def scores_in(self, snapshot: GraphSnapshot) -> Floats:
        """float64 [peers of snapshot]: scores by the index of a snapshot, which may be a later one."""
        scores = np.zeros(len(snapshot.peers))
        index = [snapshot.peer_index.get(peer, -1) for peer in self._place]
        known = np.array(index, dtype=np.int64)
        scores[known[known >= 0]] = self._columns.score[known >= 0]
        return scores

    def _at(self, place: int) -> PeerScore:
        columns = self._columns
        peer = self._keys[columns.peer[place]]
        return PeerScore(
            peer=peer,
            score=float(columns.score[place]),
            hits=int(columns.hits[place]),
            bottleneck=float(columns.bottleneck[place]),
            direct=bool(columns.direct[place]),
            via=self.via_of(peer),
        )
