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

from trust.cut_peers import CutPeers, smoothed
from trust.errors import ConfigError
from trust.graph import TrustGraph
from trust.kernels import ENDED, CoVisits, find_kernels
from trust.peer_ranking import PeerColumns, PeerRanking, PeerScore, WalkLog
from trust.rows import Bools, Floats, Ints
from trust.stored_walks import StoredWalks

MAX_WALKS = 1_000_000


@dataclass(frozen=True, slots=True)
class MeritRankConfig:
    """How to walk and how to score. Epoch decay γ is applied to edge weights beforehand (`AuthorEdges.dated`).

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
        agreeing_friends: If above 0, a stranger scores no more than the least that walks through any one of the ego's
            so many most trusted friends give it (the idea of Min-PPR, arXiv 1803.05001): a region that hangs behind one
            friend is worth nothing to the others. Costs strangers whom only some friends know.

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
    agreeing_friends: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must lie between 0 and 1, both excluded, got {self.alpha}")
        if not (0.0 <= self.beta <= 1.0 and 0.0 <= self.prior_share <= 1.0):
            raise ConfigError(f"beta and prior_share must lie in [0, 1], got {self.beta}, {self.prior_share}")
        counts = (self.walks, self.max_length, self.min_hits, self.agreeing_friends)
        if not all(isinstance(count, int) for count in counts):
            raise ConfigError(f"walks, max_length, min_hits and agreeing_friends are whole numbers, got {counts}")
        if not (1 <= self.walks <= MAX_WALKS and self.max_length >= 2 and self.min_hits >= 1):
            raise ConfigError(
                f"walks must be 1 to {MAX_WALKS}, max_length at least 2 and min_hits at least 1, "
                f"got {self.walks}, {self.max_length}, {self.min_hits}"
            )
        if not 0.0 <= self.prior_hits < float("inf"):
            raise ConfigError(f"prior_hits must be finite and at least 0, got {self.prior_hits}")
        if self.agreeing_friends < 0:
            raise ConfigError(f"agreeing_friends must be at least 0, got {self.agreeing_friends}")


class PeerWalks:
    """The ego's stored walks over a graph, and the scores they give; repaired after a change, not drawn anew.

    score(v) = (hits(v) − bad(v))/W · (1 − β·b̂(v)),  b̂(v) = (max over x of co(x, v) + n0·b0)/(hits(v) + n0), where
    co(x, v) counts the walks that met x before v, x being any peer but the ego, and bad(v) counts those of v's walks
    that ended at a blocked peer: whoever leads to someone the ego rejects loses trust in proportion. Direct friends of
    the ego have b̂ = 0. A blocked peer is a dead end and scores nothing, whoever vouches for it.

    Not thread-safe; the graph must not change during a call. Scores depend on the seed, the graph's numbering and the
    changes seen so far, all of them deterministic.
    """

    def __init__(
        self,
        graph: TrustGraph,
        ego: Hashable,
        config: MeritRankConfig | None = None,
        seed: int = 0,
        *,
        blocked: Set[Hashable] = frozenset(),
        accelerate: bool | None = None,
        once: bool = False,
    ) -> None:
        """Draw all walks.

        Args:
            graph: The graph; changes to it are taken up at the next `ranking` or `top`.
            ego: Whose view; a peer without trust edges (or not in the graph) gets an empty ranking.
            config: Settings.
            seed: Decides every draw.
            blocked: Peers the ego rejects.
            accelerate: True insists on numba, False on numpy; None takes numba where it is installed. Results are the
                same.
            once: Whether the graph stays as it is while the walks are used; saves copying what repairs would need. A
                change has all walks drawn anew.

        Raises:
            ConfigError: numba was insisted on and is not installed.
        """
        self._graph, self._ego, self._config = graph, ego, config or MeritRankConfig()
        self._kernels = find_kernels(accelerate)
        self._stored = StoredWalks(
            graph,
            ego,
            count=self._config.walks,
            alpha=self._config.alpha,
            max_length=self._config.max_length,
            seed=seed,
            blocked=blocked - {ego},
            kernels=self._kernels,
            once=once,
        )
        self._ranking: PeerRanking | None = None

    @property
    def kernels(self) -> str:
        """Which library the inner loops run on: numpy or numba."""
        return self._kernels.name

    @property
    def bytes(self) -> int:
        """Memory of the walks and their counters, in bytes."""
        return self._stored.bytes

    def block(self, peers: Set[Hashable]) -> None:
        """Say whom the ego rejects, in place of what was said before."""
        self._stored.block(peers - {self._ego})
        self._ranking = None

    def refresh(self) -> int:
        """Catch up with the graph; returns how many walks changed their way. `ranking` and `top` do this themselves."""
        before = self._stored.version
        rerouted = self._stored.refresh()
        if self._stored.version != before:
            self._ranking = None
        return rerouted

    def ranking(self) -> PeerRanking:
        """Rank all peers that enough walks hit."""
        self.refresh()
        direct = self._direct()
        if self._ranking is None or not np.array_equal(direct, self._ranking.direct):
            self._ranking = self._ranked(direct)
        return self._ranking

    def top(self, count: int) -> tuple[PeerScore, ...]:
        """The best `count` peers of `ranking`, scoring only those that can be among them."""
        self.refresh()
        config = self._config
        if self._ranking is not None or config.agreeing_friends or count < 1:
            return self.ranking().top(count)
        hits, direct = self._stored.hits, self._direct()
        friends = np.flatnonzero(direct & (hits >= config.min_hits))
        reached = np.where(direct, 0, hits)
        at_least = np.cumsum(np.bincount(reached)[::-1])[::-1]  # strangers by how many hits they have or more
        most = count
        while True:
            fewest = max(int(np.searchsorted(-at_least, -most, side="right")), config.min_hits)
            strangers = np.flatnonzero(reached >= fewest)
            columns, _ = self._columns(np.union1d(friends, strangers), direct)
            surely = len(columns.peer) >= count and columns.score[count - 1] > self._bound(fewest - 1)
            if surely or fewest == config.min_hits:
                return columns.top(count, self._graph.peers.keys)
            most *= 4

    def _bound(self, hits: int) -> float:
        """The most that a stranger with so many hits can score."""
        config = self._config
        least = float(smoothed(0, hits, config.prior_hits, config.prior_share))
        return hits / config.walks * (1.0 - config.beta * least)

    def _direct(self) -> Bools:
        """Whom the ego itself vouches for, bool [nodes]."""
        direct = np.zeros(len(self._stored.hits), dtype=np.bool_)
        if self._stored.walks.ego >= 0:
            direct[self._graph.trust_rows.row(self._stored.walks.ego)[0]] = True
        return direct

    def _ranked(self, direct: Bools) -> PeerRanking:
        stored = self._stored
        reached = np.flatnonzero(stored.hits > 0)
        hits = stored.hits[reached]
        ranked = reached[hits >= self._config.min_hits]
        columns, shared = self._columns(ranked, direct)
        going = int((stored.walks.cells[stored.walks.bounds[:-1][np.diff(stored.walks.bounds) > 0]] != ENDED).sum())
        cuts = CutPeers.of(shared, reached, hits, direct[reached], going)
        log = WalkLog.of(stored.walks, direct)
        return PeerRanking(self._graph, columns, hits, cuts, log, direct)

    def _columns(self, peers: Ints, direct: Bools) -> tuple[PeerColumns, CoVisits]:
        """Score some peers (numbers, ascending) that have hits, and put them in order."""
        config, hits = self._config, self._stored.hits
        strangers = np.flatnonzero(~direct[peers])
        shared = self._kernels.co_visits(self._stored.walks, peers[strangers], hits)
        count = hits[peers]
        bottleneck = np.zeros(len(peers))
        bottleneck[strangers] = smoothed(shared.largest, count[strangers], config.prior_hits, config.prior_share)
        score = self._good_hits(peers) / config.walks * (1.0 - config.beta * bottleneck)
        if config.agreeing_friends:
            least = self._least_of_friends()[peers]
            score[strangers] = np.minimum(
                score[strangers], least[strangers] * (1.0 - config.beta * bottleneck[strangers])
            )
        order = np.lexsort((peers, -score))
        order = order[score[order] > 0.0]
        columns = PeerColumns(peers[order], score[order], count[order], bottleneck[order], direct[peers[order]])
        return columns, shared

    def _good_hits(self, peers: Ints) -> Ints:
        """int64 [peers]: hits by walks that did not end at a blocked peer; 0 for blocked ones."""
        stored = self._stored
        numbers = {self._graph.peers.find(peer) for peer in stored.blocked} - {-1}
        if not numbers:
            return stored.hits[peers]
        rejected = np.zeros(len(stored.hits) + 1, dtype=np.bool_)
        rejected[list(numbers)] = True
        spoilt = np.zeros(len(stored.walks.bounds) - 1, dtype=np.bool_)
        spoilt[stored.walks.walk[rejected[stored.walks.cells]]] = True
        bad = stored.walks.cells[stored.walks.first & spoilt[stored.walks.walk]]
        return (stored.hits - np.bincount(bad, minlength=len(stored.hits)))[peers]

    def _least_of_friends(self) -> Floats:
        """float64 [nodes]: smallest share, over the most trusted friends, of walks through a friend that hit a node.

        Only what a walk meets before it comes back to the ego counts: afterwards it may leave by another friend.
        """
        walks, hits = self._stored.walks, self._stored.hits
        columns, weights = self._graph.trust_rows.row(walks.ego)[:2]
        starts = walks.bounds[:-1]
        going = np.flatnonzero(starts < walks.bounds[1:])
        through = np.full(len(starts), -1, dtype=np.int64)
        through[going] = walks.cells[starts[going]]
        returns = np.cumsum(walks.cells == walks.ego)
        before = np.concatenate(([0], returns))[starts[walks.walk]]
        counted = walks.first & (returns == before)
        least = np.full(len(hits), np.inf)
        for friend in columns[np.argsort(-weights, kind="stable")][: self._config.agreeing_friends]:
            mine = counted & (through[walks.walk] == friend)
            share = np.bincount(walks.cells[mine], minlength=len(hits)) / max(int((through == friend).sum()), 1)
            least = np.minimum(least, share)
        return least


def rank_peers(
    graph: TrustGraph,
    ego: Hashable,
    config: MeritRankConfig | None = None,
    seed: int = 0,
    *,
    blocked: Set[Hashable] = frozenset(),
    accelerate: bool | None = None,
) -> PeerRanking:
    """Rank the peers that random walks from the ego reach, once; see `PeerWalks`, which keeps its walks."""
    return PeerWalks(graph, ego, config, seed, blocked=blocked, accelerate=accelerate, once=True).ranking()
