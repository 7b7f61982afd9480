"""A whole graph at once, from arrays: what a million edges take a fraction of a second for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from trust.errors import EdgeError, SelfEdgeError, TooManyEdgesError, WeightError
from trust.graph import GraphLimits, TrustGraph
from trust.key_table import KeyTable
from trust.row_store import ItemRows, RowPointers, TrustRows
from trust.rows import Floats, Ints, all_cumulative, all_shares

EdgeArrays = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
"""Aligned arrays: author's place among the peers, target's place, weight."""


def from_arrays(
    peers: Sequence[Hashable],
    trust: EdgeArrays,
    items: Sequence[Hashable] = (),
    likes: EdgeArrays = ((), (), ()),
    *,
    limits: GraphLimits | None = None,
    pinned: Iterable[Hashable] = (),
) -> TrustGraph:
    """Load a graph.

    An author is whoever states an edge. Edges of one author keep their order.

    Args:
        peers: Keys of all peers, each once.
        trust: Trust edges: (author, peer, weight), the first two as places in `peers`.
        items: Keys of all items, each once.
        likes: Item edges: (author, item, weight), as places in `peers` and `items`. They carry no day.
        limits: How much to store; authors beyond the limit are refused, not evicted.
        pinned: Authors that are never evicted later.

    Raises:
        WeightError: A weight is not a finite number above zero.
        SelfEdgeError: An author vouches for itself.
        TooManyEdgesError: An author states more than the limits allow, or there are too many authors.
        EdgeError: Keys repeat, an edge is stated twice, or a place is outside its keys.
    """
    graph = TrustGraph(limits, pinned)
    peer_table, item_table = _table(peers, "peers"), _table(items, "items")
    author, peer, weight = _checked(trust, "trust", len(peers), len(peers))
    if (author == peer).any():
        at = int(np.flatnonzero(author == peer)[0])
        raise SelfEdgeError(f"{peers[int(author[at])]!r} vouches for itself (edge {at}); drop that edge")
    fan, item, affinity = _checked(likes, "item", len(peers), len(items))
    n_authors = len(np.union1d(author, fan))
    if n_authors > graph.limits.authors:
        raise TooManyEdgesError(f"{n_authors} authors, where the graph stores {graph.limits.authors}; raise the limit")
    trust_rows, item_rows = TrustRows(), ItemRows()
    bounds, columns, weights = _grouped(author, peer, weight, peers, graph.limits.trust_edges, "trust")
    shares = all_shares(weights, bounds)
    trust_rows.load(_pointers(bounds), columns, weights, shares, all_cumulative(shares, bounds))
    bounds, columns, weights = _grouped(fan, item, affinity, peers, graph.limits.item_edges, "item")
    item_rows.load(_pointers(bounds), columns, weights, np.full(len(columns), -1, np.int32))
    graph.load(peer_table, item_table, trust_rows, item_rows, np.union1d(author, fan))
    return graph


def _table(keys: Sequence[Hashable], kind: str) -> KeyTable:
    table = KeyTable(keys)
    if len(set(keys)) != len(keys):
        raise EdgeError(f"the {kind} repeat a key; give each key once")
    return table


def _checked(edges: EdgeArrays, kind: str, n_authors: int, n_targets: int) -> tuple[Ints, Ints, Floats]:
    try:
        author, target, weight = (np.asarray(column) for column in edges)
    except ValueError as error:
        raise EdgeError(f"{kind} edges are three aligned arrays: author, target, weight ({error})") from error
    if not (author.ndim == target.ndim == weight.ndim == 1 and len(author) == len(target) == len(weight)):
        raise EdgeError(f"{kind} edges are three aligned arrays of one dimension: author, target, weight")
    for name, places, count in (("author", author, n_authors), ("target", target, n_targets)):
        if len(places) and not np.issubdtype(places.dtype, np.integer):
            raise EdgeError(f"the {name}s of {kind} edges are places in the keys, whole numbers; got {places.dtype}")
        if len(places) and (places.min() < 0 or places.max() >= count):
            raise EdgeError(f"a {name} of the {kind} edges is outside the {count} keys")
    try:
        weights = weight.astype(np.float64, casting="unsafe" if weight.dtype == object else "same_kind")
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightError(f"{kind} edges need real numbers as weights ({error})") from error
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0.0)))
    if len(bad):
        raise WeightError(f"{kind} edge {bad[0]} needs a finite weight above zero, got {weight[bad[0]]}")
    return author.astype(np.int64), target.astype(np.int64), weights


def _grouped(
    author: Ints, target: Ints, weight: Floats, keys: Sequence[Hashable], most: int, kind: str
) -> tuple[Ints, npt.NDArray[np.int32], Floats]:
    """Put each author's edges side by side: int64 [peers + 1] bounds, then targets and weights."""
    counts = np.bincount(author, minlength=len(keys))
    if counts.max(initial=0) > most:
        worst = int(counts.argmax())
        raise TooManyEdgesError(
            f"{keys[worst]!r} states {counts[worst]} {kind} edges where at most {most} are accepted; "
            "raise the limit, or keep the strongest"
        )
    if (author[1:] < author[:-1]).any():
        order = np.argsort(author, kind="stable")
        author, target, weight = author[order], target[order], weight[order]
    pair = np.sort(author * (int(target.max(initial=0)) + 1) + target)
    if (pair[1:] == pair[:-1]).any():
        raise EdgeError(f"a {kind} edge is stated twice; add its weights up first")
    return np.concatenate(([0], np.cumsum(counts))), target.astype(np.int32), weight


def _pointers(bounds: Ints) -> RowPointers:
    return RowPointers(bounds[:-1].copy(), np.diff(bounds))
