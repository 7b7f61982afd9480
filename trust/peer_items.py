"""The item lists of the peers that matter to one ego, as the two matrices that item walks step on.

Only these peers' lists are gathered, so the cost follows the ego's neighbourhood and not the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trust.graph import TrustGraph
from trust.item_ranking import Unvisited
from trust.rows import Bools, Floats, Ints, WeightedRows


@dataclass(frozen=True, slots=True, eq=False)
class PeerItems:
    """Lists of some peers; "place" below is a place in `peer` or in `item`.

    Attributes:
        peer: int64 [peers], the graph's numbers, ascending.
        item: int64 [items], the graph's numbers of what they list, ascending.
        forward: peer place → item place.
        source: int64 [entries of forward], whose entry it is: a peer place.
        day: int32 [entries of forward], day of the edge, −1 where unknown.
    """

    peer: Ints
    item: Ints
    forward: WeightedRows
    source: Ints
    day: npt.NDArray[np.int32]

    @classmethod
    def of(cls, graph: TrustGraph, peers: Ints) -> PeerItems:
        """Gather lists.

        Args:
            graph: Where the lists are.
            peers: int64, numbers of the peers, ascending.
        """
        bounds, (columns, weights, day) = graph.item_rows.gathered(peers)
        listed = np.zeros(len(graph.items), dtype=np.bool_)
        listed[columns] = True
        item = np.flatnonzero(listed)
        place = np.empty(len(listed), dtype=np.int64)  # what nobody lists is never read: no need to fill it
        place[item] = np.arange(len(item))
        source = np.repeat(np.arange(len(peers)), np.diff(bounds))
        return cls(peers, item, WeightedRows.of_rows(bounds, place[columns], weights, len(item)), source, day)

    def back(self, entry: Floats) -> WeightedRows:
        """Item place → peer place, by share × entry; peers with entry 0 cannot be entered.

        Args:
            entry: float64 [peers], zero or more.
        """
        weights = self.forward.shares * entry[self.source]
        kept = weights > 0.0  # an edge beside one 1e300 times as heavy has no share left
        return WeightedRows.from_edges(
            self.forward.columns[kept], self.source[kept], weights[kept], len(self.item), len(self.peer)
        )

    def newest_days(self, entry: Floats) -> Ints:
        """int64 [items]: the newest day on which a peer with entry above 0 stated each item; −1 if none is known."""
        newest = np.full(len(self.item), -1, dtype=np.int64)
        counted = (entry > 0.0)[self.source]
        np.maximum.at(newest, self.forward.columns[counted], self.day[counted])
        return newest

    def unvisited(self, trust: Floats, wanted: Bools, ego: int) -> Unvisited:
        """What trusted peers list among the wanted items and the ego does not.

        Args:
            trust: float64 [peers].
            wanted: bool [items].
            ego: the ego's number.
        """
        weight = self.forward.shares * trust[self.source]
        mine = np.zeros(len(self.item), dtype=np.bool_)
        mine[self.forward.columns[(self.peer == ego)[self.source]]] = True
        kept = (weight > 0.0) & (wanted & ~mine)[self.forward.columns]
        column, weight, source = self.forward.columns[kept], weight[kept], self.source[kept]
        total = np.zeros(len(self.item))
        np.add.at(total, column, weight)
        by_weight = np.argsort(weight, kind="stable")
        strongest = np.zeros(len(self.item), dtype=np.int64)
        strongest[column[by_weight]] = self.peer[source[by_weight]]  # the last, heaviest, stays
        left = np.flatnonzero(total)
        return Unvisited(self.item[left], total[left], strongest[left])
