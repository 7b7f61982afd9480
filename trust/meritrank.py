"""MeritRank: the trust of one peer, the ego, in the others, bounded against Sybils.

Knows nothing of items and of where the graph came from. After Nasrulin, Ishmaev and Pouwelse, "MeritRank:
Sybil Tolerant Reputation for Merit-based Tokenomics" (arXiv 2207.09950), with two differences:

- A score is the share of walks that hit a peer at least once, not the share of visits, so a cycle of Sybils
  cannot raise its own score.
- Connectivity decay takes a smoothed bottleneck share as a factor instead of a threshold: there is no cliff
  to stay under, and a peer with few hits is not punished for small numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Set
from dataclasses import dataclass

import numpy as np

from trust.cut_peers import CoVisits, CutPeers
from trust.errors import ConfigError
from trust.graph import GraphSnapshot
from trust.peer_ranking import PeerColumns, PeerRanking
from trust.rows import Bools, Floats, Ints, WeightedRows
from trust.walks import Visits, visits, walk_nodes

MAX_WALKS = 1_000_000


@dataclass(frozen=True, slots=True)
class MeritRankConfig:
    """How to walk and how to score. Epoch decay γ is applied to edge weights beforehand, by `decay`.

    For any number of Sybils behind one attacker their scores sum to at most
    (1 − beta·prior_share)·(1 − alpha)/alpha times the share of walks that reach the attacker.

    Attributes:
        alpha: Probability of stopping before each step (transitivity decay), in (0, 1).
        beta: Strength of connectivity decay, in [0, 1].
        walks: Number of walks W, at most 1,000,000; a score s has a standard error of about sqrt(s/W).
        max_length: Longest walk in nodes, the ego included.
        min_hits: Peers hit by fewer walks are not ranked.
        prior_hits: Pseudo-hits n0 that smooth the bottleneck share.
        prior_share: Bottleneck share b0 of those pseudo-hits, in [0, 1].

    Raises:
        ConfigError: A value is out of range.
    """

    alpha: float = 0.15
    beta: float = 0.8
    walks: int = 10_000
    max_length: int = 64
    min_hits: int = 3
    prior_hits: float = 20.0
    prior_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must lie between 0 and 1, both excluded, got {self.alpha}")
        if not (0.0 <= self.beta <= 1.0 and 0.0 <= self.prior_share <= 1.0):
            raise ConfigError(f"beta and prior_share must lie in [0, 1], got {self.beta}, {self.prior_share}")
        if not (1 <= self.walks <= MAX_WALKS and self.max_length >= 2 and self.min_hits >= 1):
            raise ConfigError(
                f"walks must be 1 to {MAX_WALKS}, max_length at least 2 and min_hits at least 1, "
                f"got {self.walks}, {self.max_length}, {self.min_hits}"
            )
        if not 0.0 <= self.prior_hits < float("inf"):
            raise ConfigError(f"prior_hits must be finite and at least 0, got {self.prior_hits}")


def rank_peers(
    snapshot: GraphSnapshot,
    ego: Hashable,
    config: MeritRankConfig,
    rng: np.random.Generator,
    *,
    blocked: Set[Hashable] = frozenset(),
) -> PeerRanking:
    """Rank the peers that random walks from the ego reach.

    score(v) = hits(v)/W · (1 − β·b̂(v)),  b̂(v) = (max over x of co(x, v) + n0·b0)/(hits(v) + n0), where
    co(x, v) counts the walks that met x before v, x being any peer but the ego. Direct friends of the ego
    have b̂ = 0.

    Args:
        snapshot: The graph.
        ego: Whose view; a peer without trust edges (or not in the graph) gets an empty ranking.
        config: Settings.
        rng: Source of randomness; the same state on the same snapshot gives the same ranking.
        blocked: Peers the ego rejects: edges to them are cut before walking, so they and what only they lead
            to score nothing.
    """
    start = snapshot.peer_index.get(ego)
    rows = _without(snapshot, blocked - {ego})
    n_peers = len(snapshot.peers)
    if start is None:
        return PeerRanking(snapshot, PeerColumns.empty(), np.zeros(n_peers, dtype=np.int64), CutPeers.none(n_peers))
    direct = np.zeros(n_peers, dtype=np.bool_)
    direct[rows.row(start)] = True

    seen = _not_at(start, visits(walk_nodes(rows, start, config.walks, config.alpha, config.max_length, rng)))
    unit_walk, unit_node = seen.walk[seen.first], seen.node[seen.first]
    hits = np.bincount(unit_node, minlength=n_peers)
    ranked = hits >= config.min_hits
    shared = _co_visits(unit_walk, unit_node, ranked & ~direct)
    bottleneck = _smoothed(shared.largest(n_peers), hits, config)
    bottleneck[direct] = 0.0
    score = hits / config.walks * (1.0 - config.beta * bottleneck)

    order = np.flatnonzero(ranked & (score > 0.0))
    order = order[np.lexsort((order, -score[order]))]
    via = _via(_last_direct_friend(seen, direct)[seen.first], unit_node, order, n_peers)
    columns = PeerColumns(order, score[order], hits[order], bottleneck[order], direct[order], via)
    return PeerRanking(snapshot, columns, hits, CutPeers.of(shared, hits, direct))


def _without(snapshot: GraphSnapshot, blocked: Set[Hashable]) -> WeightedRows:
    cut = [snapshot.peer_index[peer] for peer in blocked if peer in snapshot.peer_index]
    if not cut:
        return snapshot.trust
    factors = np.ones(len(snapshot.peers))
    factors[cut] = 0.0
    return snapshot.trust.reweighted(factors)


def _not_at(node: int, seen: Visits) -> Visits:
    others = seen.node != node
    return Visits(seen.place[others], seen.walk[others], seen.node[others], seen.first[others])


def _smoothed(shared: Ints, hits: Ints, config: MeritRankConfig) -> Floats:
    weight = hits + config.prior_hits
    prior = config.prior_hits * config.prior_share
    smoothed: Floats = (shared + prior) / np.maximum(weight, 1.0)
    return np.minimum(smoothed, 1.0)


def _co_visits(walk: Ints, node: Ints, wanted: Bools) -> CoVisits:
    """co(x, v) for each wanted v and each x that came before it.

    Lists every (v, x before v in the same walk) pair, sorts them as packed integers and counts runs: memory
    follows the walks, not the square of the peers.

    Args:
        walk: int64 [unit hits], walk of each unit hit, in walk order.
        node: int64 [unit hits], node of each unit hit, in the order of the walk.
        wanted: bool [peers].
    """
    n_peers = len(wanted)
    new_walk = np.flatnonzero(np.diff(walk, prepend=-1))
    walk_start = np.repeat(new_walk, np.diff(new_walk, append=len(walk)))
    target = np.flatnonzero(wanted[node] & (walk_start < np.arange(len(walk))))
    before = target - walk_start[target]  # how many peers precede each target in its walk
    pair_start = np.cumsum(before) - before
    source = np.arange(int(before.sum())) + np.repeat(walk_start[target] - pair_start, before)
    # Half as wide integers sort about twice as fast; most graphs are small enough for them.
    packing = np.dtype(np.uint32 if n_peers < 2**16 else np.int64)
    pairs = np.repeat((node[target] * n_peers).astype(packing), before) + node.astype(packing)[source]
    pairs.sort()
    run = np.flatnonzero(np.concatenate((np.ones(min(1, len(pairs)), np.bool_), pairs[1:] != pairs[:-1])))
    walks_shared = np.diff(run, append=len(pairs))
    distinct = pairs[run].astype(np.int64)
    return CoVisits(distinct // n_peers, distinct % n_peers, walks_shared)


def _last_direct_friend(seen: Visits, direct: Bools) -> Ints:
    """int64 [visits]: the direct friend most recently met at or before each visit of its walk.

    The first peer of every walk is a direct friend, so filling forward never crosses into the walk before.
    """
    latest = np.maximum.accumulate(np.where(direct[seen.node], np.arange(len(seen.node)), 0))
    return seen.node[latest]


def _via(friend: Ints, node: Ints, order: Ints, n_peers: int) -> WeightedRows:
    place = np.full(n_peers, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    kept = place[node] >= 0
    pairs, counts = np.unique(place[node][kept] * n_peers + friend[kept], return_counts=True)
    return WeightedRows.from_edges(pairs // n_peers, pairs % n_peers, counts.astype(np.float64), len(order), n_peers)
