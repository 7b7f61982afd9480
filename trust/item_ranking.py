"""What an item walk found: items with scores, in order, with the peers and friends that support them.

Holds results only; `salsa` computes them. Scores are kept as arrays and become `ItemScore` values when read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from trust.graph import GraphSnapshot
from trust.peer_ranking import PeerRanking, Shares
from trust.rows import Floats, Ints, WeightedRows


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One item as the ego's neighbourhood sees it.

    Attributes:
        item: The item.
        score: Share of walks that hit it, in (0, 1].
        hits: Number of sampled walks that hit it.
        supporters: Peers from whom walks first entered the item, with shares that sum to 1; the ego is not
            one.
        friends: The ego's direct friends through whom those supporters were reached, with shares.
        n_supporters: Number of supporters.
    """

    item: Hashable
    score: float
    hits: int
    supporters: Shares
    friends: Shares
    n_supporters: int


@dataclass(frozen=True, slots=True, eq=False)
class ItemColumns:
    """An item ranking as aligned arrays, best first.

    Attributes:
        item: int64 [ranked], index into the snapshot's items.
        score: float64 [ranked].
        hits: int64 [ranked].
        supporters: place in this ranking → index of a peer, shares sum to 1 per row.
    """

    item: Ints
    score: Floats
    hits: Ints
    supporters: WeightedRows

    @classmethod
    def empty(cls) -> ItemColumns:
        """Nothing is ranked."""
        none = np.empty(0, np.int64)
        return cls(none, np.empty(0), none, WeightedRows.empty(0))


class ItemRanking:
    """Items by score, best first, the ego's own among them; equal scores in the snapshot's order."""

    def __init__(self, snapshot: GraphSnapshot, peers: PeerRanking, columns: ItemColumns) -> None:
        """Wrap the columns computed on a snapshot.

        Args:
            snapshot: The graph that was walked.
            peers: The ranking that trust came from; it knows through which friends a supporter was reached.
            columns: The ranked items.
        """
        self._snapshot = snapshot
        self._peers = peers
        self._columns = columns
        self._place = {snapshot.items[index]: place for place, index in enumerate(columns.item.tolist())}
        self._scores: tuple[ItemScore, ...] | None = None

    def __len__(self) -> int:
        return len(self._place)

    @property
    def scores(self) -> tuple[ItemScore, ...]:
        """All ranked items, best first."""
        if self._scores is None:
            self._scores = self.top(len(self))
        return self._scores

    def top(self, count: int) -> tuple[ItemScore, ...]:
        """The best `count` items, without building the rest."""
        return tuple(self._at(place) for place in range(min(count, len(self))))

    def score_of(self, item: Hashable) -> float:
        """An item's score; 0 for an item that is not ranked."""
        place = self._place.get(item)
        return 0.0 if place is None else float(self._columns.score[place])

    def _at(self, place: int) -> ItemScore:
        columns = self._columns
        supporters = self._supporters(columns.supporters, place)
        return ItemScore(
            item=self._snapshot.items[columns.item[place]],
            score=float(columns.score[place]),
            hits=int(columns.hits[place]),
            supporters=supporters,
            friends=self._friends(supporters),
            n_supporters=len(supporters),
        )

    def _supporters(self, rows: WeightedRows, place: int) -> Shares:
        pairs = zip(rows.row(place).tolist(), rows.row_shares(place).tolist(), strict=True)
        by_share = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        return tuple((self._snapshot.peers[peer], share) for peer, share in by_share)

    def _friends(self, supporters: Shares) -> Shares:
        """Spread each supporter's share over the friends that led to it."""
        shares: dict[Hashable, float] = {}
        for peer, share in supporters:
            for friend, part in self._peers.via_of(peer):
                shares[friend] = shares.get(friend, 0.0) + share * part
        by_share = sorted(shares.items(), key=lambda pair: (-pair[1], self._snapshot.peer_index.get(pair[0], -1)))
        return tuple(by_share)
