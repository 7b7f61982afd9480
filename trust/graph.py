"""The bounded store of authors' lists and the immutable snapshot that walks run on.

Knows no ego, no signatures, no clock: what arrives here has been checked by whoever carries it. Peers and
items are any hashable keys; keys of one type with an order (bytes, str) make snapshots independent of
arrival order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from trust.edges import AuthorEdges
from trust.errors import ConfigError, SelfEdgeError, TooManyEdgesError
from trust.rows import Floats, WeightedRows


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """How much a graph stores.

    Attributes:
        authors: Authors kept; one more evicts the least visited, then the oldest.
        trust_edges: Trust edges one author may state.
        item_edges: Item edges one author may state.

    Raises:
        ConfigError: A limit is below 1.
    """

    authors: int = 10_000
    trust_edges: int = 32
    item_edges: int = 64

    def __post_init__(self) -> None:
        if min(self.authors, self.trust_edges, self.item_edges) < 1:
            raise ConfigError(f"every graph limit must be at least 1, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class GraphSnapshot:
    """The graph at one moment, as arrays. Built by `TrustGraph.snapshot`.

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


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One list of one author, compact: a full graph holds twenty thousand of these."""

    keys: tuple[Hashable, ...]
    weights: Floats

    @classmethod
    def of(cls, edges: Mapping[Hashable, float]) -> _Side:
        return cls(tuple(edges), np.fromiter(edges.values(), dtype=np.float64, count=len(edges)))


class TrustGraph:
    """Authors' adjacency lists, each replaced as a whole, at most `limits.authors` of them."""

    def __init__(self, limits: GraphLimits | None = None, pinned: Iterable[Hashable] = ()) -> None:
        """Start empty.

        Args:
            limits: How much to store.
            pinned: Authors that are never evicted, such as the ego.

        Raises:
            ConfigError: The pinned authors leave no room for others.
        """
        self._limits = limits or GraphLimits()
        self._pinned = frozenset(pinned)
        if len(self._pinned) >= self._limits.authors:
            raise ConfigError(
                f"{len(self._pinned)} pinned authors leave no room among {self._limits.authors}; raise the limit"
            )
        # Insertion order is age: a replaced author moves to the end.
        self._lists: dict[Hashable, tuple[_Side, _Side]] = {}
        self._hits: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._lists)

    def __contains__(self, author: Hashable) -> bool:
        return author in self._lists

    @property
    def authors(self) -> tuple[Hashable, ...]:
        """Authors whose lists are stored, the one replaced longest ago first."""
        return tuple(self._lists)

    def replace(self, author: Hashable, edges: AuthorEdges) -> tuple[Hashable, ...]:
        """Store an author's whole list in place of the one before.

        Returns:
            Authors that had to go to make room: none, another author, or `author` itself when every stored
            author has more hits (a crowd of unknown authors cannot push out those that walks visit).

        Raises:
            SelfEdgeError: The author vouches for itself.
            TooManyEdgesError: A list is longer than the limits allow.
        """
        self._check(author, edges)
        self._lists.pop(author, None)
        self._lists[author] = (_Side.of(edges.trust), _Side.of(edges.items))
        if len(self._lists) <= self._limits.authors:
            return ()
        victim = min((key for key in self._lists if key not in self._pinned), key=lambda key: self._hits.get(key, 0.0))
        del self._lists[victim]
        return (victim,)

    def _check(self, author: Hashable, edges: AuthorEdges) -> None:
        if author in edges.trust:
            raise SelfEdgeError(f"{author!r} vouches for itself; drop that edge, or refuse the author's list")
        for kind, stated, allowed in (
            ("trust", len(edges.trust), self._limits.trust_edges),
            ("item", len(edges.items), self._limits.item_edges),
        ):
            if stated > allowed:
                raise TooManyEdgesError(
                    f"{author!r} states {stated} {kind} edges where at most {allowed} are accepted; "
                    "keep the strongest and publish again"
                )

    def remove(self, author: Hashable) -> bool:
        """Forget an author's list; others' edges to it remain. Returns whether there was one."""
        return self._lists.pop(author, None) is not None

    def set_hits(self, hits: Mapping[Hashable, float]) -> None:
        """Say how often walks visit each author (absent: never); when room is needed the fewest go first."""
        self._hits = dict(hits)

    def snapshot(self) -> GraphSnapshot:
        """Freeze the graph into arrays.

        Its cost grows with the number of edges, so take one per batch of changes.
        """
        authors = list(self._lists)
        trust = [sides[0] for sides in self._lists.values()]
        items = [sides[1] for sides in self._lists.values()]
        peer_keys = _ordered({*authors, *chain.from_iterable(side.keys for side in trust)})
        item_keys = _ordered(set(chain.from_iterable(side.keys for side in items)))
        peer_index = {key: index for index, key in enumerate(peer_keys)}
        item_index = {key: index for index, key in enumerate(item_keys)}
        rows = np.fromiter((peer_index[author] for author in authors), dtype=np.int64, count=len(authors))
        peer_items = _matrix(rows, items, item_index, len(peer_keys))
        return GraphSnapshot(
            peers=peer_keys,
            items=item_keys,
            peer_index=peer_index,
            item_index=item_index,
            trust=_matrix(rows, trust, peer_index, len(peer_keys)),
            peer_items=peer_items,
            item_peers=peer_items.transposed(),
        )


def _ordered(keys: set[Hashable]) -> tuple[Hashable, ...]:
    """Sort keys, so that neither arrival nor hashing decides an index."""
    try:
        return tuple(sorted(keys))  # type: ignore[type-var]
    except TypeError:  # keys of several types, or of one without an order
        return tuple(sorted(keys, key=lambda key: (type(key).__qualname__, repr(key))))


def _matrix(
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    sides: Sequence[_Side],
    index: Mapping[Hashable, int],
    n_rows: int,
) -> WeightedRows:
    lengths = np.fromiter((len(side.keys) for side in sides), dtype=np.int64, count=len(sides))
    keys = chain.from_iterable(side.keys for side in sides)
    columns = np.fromiter(map(index.__getitem__, keys), dtype=np.int64, count=int(lengths.sum()))
    weights = np.concatenate([side.weights for side in sides]) if sides else np.empty(0)
    return WeightedRows.from_edges(np.repeat(rows, lengths), columns, weights, n_rows, len(index))
