"""The graph at one moment as sorted sparse matrices: for analysis, export and oracles."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trust.key_table import KeyTable
from trust.row_store import RowStore
from trust.rows import Floats, Ints, WeightedRows, inverse


@dataclass(frozen=True, slots=True, eq=False)
class GraphSnapshot:
    """The graph at one moment. Built by `TrustGraph.snapshot`.

    Attributes:
        peers: Keys of all peers (authors and those they vouch for), in sorted order; a peer's index is its
            place.
        items: Keys of all items, likewise.
        peer_index: Peer → index.
        item_index: Item → index.
        trust: Peer → peer, each row sums to 1.
        peer_items: Peer → item, each row sums to 1.
        item_peers: Item → peer, by the peers' shares in `peer_items`.
    """

    peers: tuple[Hashable, ...]
    items: tuple[Hashable, ...]
    peer_index: Mapping[Hashable, int]
    item_index: Mapping[Hashable, int]
    trust: WeightedRows
    peer_items: WeightedRows
    item_peers: WeightedRows

    @classmethod
    def of(cls, peers: KeyTable, items: KeyTable, authors: Ints, trust: RowStore, likes: RowStore) -> GraphSnapshot:
        """Sort the rows of a store by key; keys that no row mentions any more are left out.

        Args:
            peers: names of rows, and of what `trust` contains.
            items: names of what `likes` contains.
            authors: int64 [authors], numbers of those whose lists are stored, empty ones included.
            trust: peer → peer, weights in the second array.
            likes: peer → item, likewise.
        """
        rows = np.arange(len(peers))
        trust_bounds, (friends, trust_weights, *_) = trust.gathered(rows)
        like_bounds, (liked, like_weights, *_) = likes.gathered(rows)
        peer_order = _ordered(peers.keys, np.union1d(authors, friends))
        item_order = _ordered(items.keys, np.unique(liked))
        peer_place, item_place = inverse(peer_order, len(peers)), inverse(item_order, len(items))
        peer_keys = tuple(peers.keys[number] for number in peer_order)
        item_keys = tuple(items.keys[number] for number in item_order)

        def matrix(bounds: Ints, columns: Ints, weights: Floats, n_columns: int) -> WeightedRows:
            source = peer_place[np.repeat(rows, np.diff(bounds))]
            return WeightedRows.from_edges(source, columns, weights, len(peer_keys), n_columns)

        peer_items = matrix(like_bounds, item_place[liked], like_weights, len(item_keys))
        return cls(
            peers=peer_keys,
            items=item_keys,
            peer_index={key: index for index, key in enumerate(peer_keys)},
            item_index={key: index for index, key in enumerate(item_keys)},
            trust=matrix(trust_bounds, peer_place[friends], trust_weights, len(peer_keys)),
            peer_items=peer_items,
            item_peers=peer_items.transposed(),
        )


def _ordered(keys: Sequence[Hashable], numbers: Ints) -> list[int]:
    """Numbers in the order of their keys, so that arrival decides nothing."""
    chosen = numbers.tolist()
    try:
        return sorted(chosen, key=lambda number: keys[number])
    except TypeError:  # keys of several types, or of one without an order
        return sorted(chosen, key=lambda number: (type(keys[number]).__qualname__, repr(keys[number])))
