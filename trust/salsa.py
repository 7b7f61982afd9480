"""Personalised SALSA over peers and items, weighted by trust: what the ego's neighbourhood likes.

Knows nothing of content, histories or catalogs. After "Web3Recommend" (arXiv 2307.01411) and the bipartite
walks of GraphJet (VLDB 2016), with one rule of its own: the step from an item back to a peer is weighted by
affinity × trust, so a peer without trust cannot be entered. Without that rule anyone who lists a popular
item captures walks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np

from trust.cut_peers import smoothed
from trust.errors import ConfigError
from trust.graph import TrustGraph
from trust.item_ranking import ItemColumns, ItemRanking, Unvisited
from trust.kernels import find_kernels
from trust.meritrank import MAX_WALKS
from trust.peer_items import PeerItems
from trust.peer_ranking import PeerRanking
from trust.rows import Floats, Ints, WeightedRows, inverse
from trust.uniforms import seeded

OWN_ITEMS_HALF = 5
"""With this many items of its own, an ego starts half of its walks there."""


@dataclass(frozen=True, slots=True)
class SalsaConfig:
    """How to walk and what to list.

    Attributes:
        alpha: Probability of stopping before each hop but the first, in (0, 1).
        walks: Number of walks, at most 1,000,000.
        max_hops: Most hops of a walk (peer → item and item → peer are one hop each).
        min_support: Items hit by fewer walks are not ranked.
        trust_weighted: False is vanilla SALSA, the baseline in attack experiments: item → peer by affinity
            alone, any peer may be entered, walks start at direct friends by edge weight. Never use it on
            untrusted input.

        beta: Strength of connectivity decay of items, in [0, 1]; vanilla SALSA has none.
        prior_hits: Pseudo-hits n0 that smooth an item's bottleneck share.
        prior_share: Bottleneck share b0 of those pseudo-hits, in [0, 1].

    Raises:
        ConfigError: A value is out of range.
    """

    alpha: float = 0.15
    walks: int = 10_000
    max_hops: int = 64
    min_support: int = 3
    trust_weighted: bool = True
    beta: float = 0.8
    prior_hits: float = 20.0
    prior_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must lie between 0 and 1, both excluded, got {self.alpha}")
        if not all(isinstance(value, int) for value in (self.walks, self.max_hops, self.min_support)):
            raise ConfigError(f"walks, max_hops and min_support are whole numbers, got {self}")
        if not (1 <= self.walks <= MAX_WALKS and self.max_hops >= 1 and self.min_support >= 1):
            raise ConfigError(
                f"walks must be 1 to {MAX_WALKS}, max_hops at least 1 and min_support at least 1, "
                f"got {self.walks}, {self.max_hops}, {self.min_support}"
            )
        if not (0.0 <= self.beta <= 1.0 and 0.0 <= self.prior_share <= 1.0):
            raise ConfigError(f"beta and prior_share must lie in [0, 1], got {self.beta}, {self.prior_share}")
        if not 0.0 <= self.prior_hits < float("inf"):
            raise ConfigError(f"prior_hits must be finite and at least 0, got {self.prior_hits}")


def rank_items(
    graph: TrustGraph,
    ego: Hashable,
    peers: PeerRanking,
    config: SalsaConfig | None = None,
    seed: int = 0,
    *,
    accelerate: bool | None = None,
) -> ItemRanking:
    """Rank the items that walks ego → item → peer → item … reach.

    With n items of its own the ego starts a share n/(n + 5) of its walks at itself, going first to one of
    those items; the rest start at a trusted peer drawn by score, going first to one of that peer's items. So
    a newcomer leans on friends, and the ego's taste takes over as it becomes known. Walks that would start
    at a peer without items hit nothing; they are accounted for in the score but not sampled.

    An item's score is the share of walks that hit it, each walk counted once, times 1 − β·b̂: connectivity decay
    as for peers, b̂ being the share of the item's support that passed through one stranger (`cut_peers`). The ego
    is a start only, never entered again; its own items are scored like others.

    Args:
        graph: The graph.
        ego: Whose view; an ego that is not in the graph gets an empty ranking.
        peers: The ego's trust, from `rank_peers` or `PeerWalks` on the same graph.
        config: Settings.
        seed: Decides every draw: the same seed on the same input gives the same ranking.
        accelerate: True insists on numba, False on numpy; None takes numba where it is installed. Results are the
            same.

    Raises:
        ConfigError: numba was insisted on and is not installed.
    """
    config = config or SalsaConfig()
    start = graph.peers.find(ego)
    if start < 0:
        return _nothing(graph, peers)
    who = _Party.of(graph, start, peers, weighted=config.trust_weighted)
    lists = PeerItems.of(graph, who.peer)
    weights = _start_weights(lists, start, who.first)
    productive = float(weights.sum())
    if productive == 0.0:
        return _nothing(graph, peers)
    rng = seeded(seed)
    starts = _draw(weights, config.walks, rng)
    hops = np.minimum(rng.geometric(config.alpha, config.walks), config.max_hops)
    drawn = rng.random(int(hops.sum()))
    kernels = find_kernels(accelerate)
    unit_item, unit_peer = kernels.item_hits(lists.forward, lists.back(who.entry), starts, hops, drawn)
    hits = np.bincount(unit_item, minlength=len(lists.item))
    order = np.flatnonzero(hits >= config.min_support)
    supporters = _supporters(unit_item, lists.peer[unit_peer], order, start, len(graph.peers), len(hits))
    factor = _connectivity(hits[order], supporters, peers, graph, config)
    score = hits[order] / config.walks * productive * factor
    best = np.lexsort((order, -score))
    newest = lists.newest_days(who.entry)[order[best]]
    columns = ItemColumns(lists.item[order[best]], score[best], hits[order[best]], newest, supporters, best)
    unvisited = partial(lists.unvisited, who.trust, hits < config.min_support, start)
    return ItemRanking(graph, peers, columns, unvisited)


def _nothing(graph: TrustGraph, peers: PeerRanking) -> ItemRanking:
    return ItemRanking(graph, peers, ItemColumns.empty(), Unvisited.nothing)


def _connectivity(
    hits: Ints, supporters: WeightedRows, peers: PeerRanking, graph: TrustGraph, config: SalsaConfig
) -> Floats:
    """1 − β·b̂ per item: b̂ is the smoothed largest share of its support that passed through one stranger."""
    if not config.trust_weighted or config.beta == 0.0:
        return np.ones(len(hits))
    largest = peers.cuts.largest_share(peers.renumbered(supporters, graph))
    factor: Floats = 1.0 - config.beta * smoothed(largest * hits, hits, config.prior_hits, config.prior_share)
    return factor


@dataclass(frozen=True, slots=True, eq=False)
class _Party:
    """Whose lists a ranking is made from: the ego and all peers that walks may start at or enter.

    Attributes:
        peer: int64 [peers], the graph's numbers, ascending.
        trust: float64 [peers], the ego's scores; 0 for itself.
        first: float64 [peers], by which walks choose the peer to start at.
        entry: float64 [peers], by which an item's walks choose a peer, times affinity.
    """

    peer: Ints
    trust: Floats
    first: Floats
    entry: Floats

    @classmethod
    def of(cls, graph: TrustGraph, ego: int, peers: PeerRanking, *, weighted: bool) -> _Party:
        numbers, scores = peers.scores_in(graph)
        peer = np.union1d(numbers, [ego]) if weighted else np.arange(len(graph.peers))
        trust = np.zeros(len(peer))
        trust[np.searchsorted(peer, numbers)] = scores
        if weighted:
            return cls(peer, trust, trust, trust)
        first, entry = np.zeros(len(peer)), np.ones(len(peer))
        friends, _, shares, _ = graph.trust_rows.row(ego)
        first[friends] = shares
        entry[ego] = 0.0
        return cls(peer, trust, first, entry)


def _start_weights(lists: PeerItems, ego: int, first: Floats) -> Floats:
    """Probability that a walk starts at each peer and finds an item there, float64 [peers]; sum at most 1."""
    is_ego = lists.peer == ego
    count = np.diff(lists.forward.indptr)
    own = int(count[is_ego].sum())
    own_share = own / (own + OWN_ITEMS_HALF)
    total = float(first.sum())
    weights: Floats = first * ((1.0 - own_share) / total if total > 0.0 else 0.0)
    weights[is_ego] = own_share
    return np.where(count > 0, weights, 0.0)


def _draw(weights: Floats, count: int, rng: np.random.Generator) -> Ints:
    possible: Ints = np.flatnonzero(weights)
    cumulative = np.cumsum(weights[possible])
    drawn = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    starts: Ints = possible[np.minimum(drawn, len(possible) - 1)]
    return starts


def _supporters(item: Ints, peer: Ints, order: Ints, ego: int, n_peers: int, n_items: int) -> WeightedRows:
    """Place in `order` → number of a peer, by how many walks first entered the item from it."""
    place = inverse(order, n_items)
    kept = (place[item] >= 0) & (peer != ego)
    pairs, counts = np.unique(place[item][kept] * n_peers + peer[kept], return_counts=True)
    bounds = np.searchsorted(pairs, np.arange(len(order) + 1) * n_peers)
    return WeightedRows.of_rows(bounds, pairs % n_peers, counts.astype(np.float64), n_peers)
