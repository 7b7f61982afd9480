"""What an item walk found: items with scores, in order, with the peers and friends that support them.

Holds results only; `salsa` computes them. Scores are kept as arrays and become `ItemScore` values when read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trust.graph import TrustGraph
from trust.peer_ranking import PeerRanking, Shares
from trust.rows import Bools, Floats, Ints, WeightedRows
from trust.uniforms import seeded


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
        steps: How far the supporters are: mean number of trust steps from the ego, weighted by their shares; 0
            without supporters.
        newest_day: Day of the newest edge to the item by a trusted peer; None where no such edge has a day.
    """

    item: Hashable
    score: float
    hits: int
    supporters: Shares
    friends: Shares
    n_supporters: int
    steps: float
    newest_day: int | None


@dataclass(frozen=True, slots=True, eq=False)
class ItemColumns:
    """An item ranking as aligned arrays, best first.

    Attributes:
        item: int64 [ranked], the graph's number of an item.
        score: float64 [ranked].
        hits: int64 [ranked].
        newest_day: int64 [ranked], −1 where no day is known.
        supporters: → the graph's number of a peer, shares sum to 1 per row.
        row: int64 [ranked], an item's row of `supporters`.
    """

    item: Ints
    score: Floats
    hits: Ints
    newest_day: Ints
    supporters: WeightedRows
    row: Ints

    @classmethod
    def empty(cls) -> ItemColumns:
        """Nothing is ranked."""
        none = np.empty(0, np.int64)
        return cls(none, np.empty(0), none, none, WeightedRows.empty(0), none)


@dataclass(frozen=True, slots=True, eq=False)
class Unvisited:
    """Items that trusted peers list and no walk, or too few, came to.

    Attributes:
        item: int64 [items], the graph's number.
        weight: float64 [items], sum over the trusted peers that list it of trust × affinity.
        peer: int64 [items], the peer that contributes most.
    """

    item: Ints
    weight: Floats
    peer: Ints

    @classmethod
    def nothing(cls) -> Unvisited:
        """Nothing is left to try."""
        none = np.empty(0, np.int64)
        return cls(none, np.empty(0), none)


class ItemRanking:
    """Items by score, best first, the ego's own among them; equal scores in order of arrival in the graph."""

    def __init__(
        self, graph: TrustGraph, peers: PeerRanking, columns: ItemColumns, unvisited: Callable[[], Unvisited]
    ) -> None:
        """Wrap the columns computed on a graph.

        Args:
            graph: The graph that was walked; it may change afterwards.
            peers: The ranking that trust came from; it knows through which friends a supporter was reached.
            columns: The ranked items.
            unvisited: Finds what exploration draws from.
        """
        self._items, self._peer_table = graph.items.keys, graph.peers
        self._peers, self._columns, self._find_unvisited = peers, columns, unvisited

    def __len__(self) -> int:
        return len(self._columns.item)

    @cached_property
    def _place(self) -> dict[Hashable, int]:
        return {self._items[number]: place for place, number in enumerate(self._columns.item.tolist())}

    @cached_property
    def _peer_places(self) -> Ints:
        return self._peers.places_in(self._peer_table)

    @cached_property
    def _unvisited(self) -> Unvisited:
        return self._find_unvisited()

    @cached_property
    def scores(self) -> tuple[ItemScore, ...]:
        """All ranked items, best first."""
        return self.top(len(self))

    def top(self, count: int) -> tuple[ItemScore, ...]:
        """The best `count` items, without building the rest."""
        return tuple(self._at(place) for place in range(min(count, len(self))))

    @cached_property
    def _supported(self) -> Bools:
        """Bool [ranked]: whether some peer supports an item."""
        return self._columns.supporters.has_entries()[self._columns.row]

    @property
    def peer_hits(self) -> int:
        """Hits of all items that some peer supports: how much the walk has to say beyond the ego's own items."""
        return int(self._columns.hits[self._supported].sum())

    def supported(self, count: int) -> tuple[tuple[Hashable, float], ...]:
        """The best `count` items that some peer supports, with scores, without working out through whom they came."""
        places = np.flatnonzero(self._supported)[: max(count, 0)]
        pairs = zip(self._columns.item[places].tolist(), self._columns.score[places].tolist(), strict=True)
        return tuple((self._items[item], score) for item, score in pairs)

    def score_of(self, item: Hashable) -> float:
        """An item's score; 0 for an item that is not ranked."""
        place = self._place.get(item)
        return 0.0 if place is None else float(self._columns.score[place])

    def explore(self, count: int, seed: int) -> tuple[tuple[Hashable, Hashable], ...]:
        """Draw items that trusted peers list and that are not ranked, for the share of a list that is kept for trying.

        Drawn without replacement by trust × affinity, so a crowd of Sybils gets no more of these places than its
        bounded share of trust, and strangers get none.

        Args:
            count: Most items to draw.
            seed: Decides the draw.

        Returns:
            (item, the trusted peer that contributes most) pairs.
        """
        left = self._unvisited
        count = max(0, min(count, len(left.item)))
        # Exponential races (Efraimidis and Spirakis 2006): the first arrivals are a weighted draw without replacement.
        arrival = seeded(seed).exponential(size=len(left.item)) / left.weight
        drawn = np.argsort(arrival, kind="stable")[:count]
        pairs = zip(left.item[drawn].tolist(), left.peer[drawn].tolist(), strict=True)
        return tuple((self._items[item], self._peer_table.keys[peer]) for item, peer in pairs)

    def _at(self, place: int) -> ItemScore:
        columns = self._columns
        at = int(columns.row[place])
        row, shares = columns.supporters.row(at), columns.supporters.row_shares(at)
        best = np.lexsort((row, -shares))
        names = [self._peer_table.keys[peer] for peer in row[best].tolist()]
        supporters = tuple(zip(names, shares[best].tolist(), strict=True))
        places = self._peer_places[row]
        day = int(columns.newest_day[place])
        return ItemScore(
            item=self._items[columns.item[place]],
            score=float(columns.score[place]),
            hits=int(columns.hits[place]),
            supporters=supporters,
            friends=self._peers.friends_of(places, shares),
            n_supporters=len(supporters),
            steps=self._peers.steps_of(places, shares),
            newest_day=day if day >= 0 else None,
        )
