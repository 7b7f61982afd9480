"""Records in, a ranking of items out: what the peers whom this person trusts, directly or not, vouch for.

Joins `p2p` (whose records) and `trust` (what the walks say of them). Knows nothing of models.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from p2p import AdjacencyRecord, PeerId, item_key
from sdk.sharing import ItemOpinion
from sdk.store import BLOCKED, Opinion
from trust import (
    AuthorEdges,
    ItemRanking,
    ItemScore,
    MeritRankConfig,
    PeerRanking,
    PeerScore,
    SalsaConfig,
    TrustGraph,
    decay,
    rank_items,
    rank_peers,
)

ITEM_HALF_LIFE_DAYS = 30.0
_LEVEL_WEIGHT = {1: 1.0, 2: 2.0, 3: 4.0}


@dataclass(frozen=True, slots=True)
class SocialConfig:
    """The two walks and the seed of their randomness: the same graph and seed give the same ranking."""

    peers: MeritRankConfig = field(default_factory=MeritRankConfig)
    items: SalsaConfig = field(default_factory=SalsaConfig)
    seed: int = 0


@dataclass(frozen=True)
class SocialView:
    """One evaluation of the trust graph from the person's own point of view; keys are `PeerId` and item key."""

    peers: PeerRanking
    items: ItemRanking

    @cached_property
    def item_scores(self) -> dict[bytes, ItemScore]:
        """Scores by item key, the best first."""
        return {as_key(score.item): score for score in self.items.scores}

    @cached_property
    def trusted(self) -> dict[PeerId, PeerScore]:
        """Peers with a score, the most trusted first."""
        return {PeerId(as_key(score.peer)): score for score in self.peers.scores if score.score > 0}


def as_key(key: Hashable) -> bytes:
    """Return a key of the graph as the bytes that this module put there."""
    assert isinstance(key, bytes)
    return key


class SocialGraph:
    """The trust graph around one person. Thread-safe; evaluates lazily and only after a change."""

    def __init__(self, ego: PeerId, config: SocialConfig) -> None:
        self._ego = ego
        self._config = config
        self._graph = TrustGraph(pinned=[ego])
        self._blocked: frozenset[PeerId] = frozenset()
        self._lock = threading.RLock()
        self._view: SocialView | None = None
        self._hits: Mapping[Hashable, float] = {}

    def set_self(self, items: Sequence[ItemOpinion], opinions: Iterable[Opinion], namespace: str) -> None:
        """Take the person's own items and opinions; they stay on the device."""
        said = list(opinions)
        edges = {item_key(namespace, o.item): (o.level, o.day) for o in items[:64]}
        vouches = sorted((o for o in said if o.level > 0), key=lambda o: (-o.level, -o.at, o.peer))[:32]
        with self._lock:
            self._blocked = frozenset(PeerId(o.peer) for o in said if o.level == BLOCKED)
            self._graph.replace(
                self._ego,
                AuthorEdges(
                    trust={PeerId(o.peer): _LEVEL_WEIGHT[o.level] for o in vouches},
                    items=_item_weights(edges),
                ),
            )
            self._view = None

    def set_record(self, record: AdjacencyRecord) -> None:
        """Take the latest record of a peer; it replaces what the peer said before."""
        if record.author == self._ego:
            return  # what I published is less than what I know of myself
        edges = AuthorEdges(
            trust={edge.peer: _LEVEL_WEIGHT[edge.level] for edge in record.trust},
            items=_item_weights({edge.key: (edge.level, edge.day) for edge in record.items}),
        )
        with self._lock:
            self._graph.replace(record.author, edges)
            self._view = None

    def drop(self, author: PeerId) -> None:
        """Forget a peer's record."""
        with self._lock:
            self._graph.remove(author)
            self._view = None

    def view(self) -> SocialView:
        """Return both rankings, walking again only if something changed."""
        with self._lock:
            if self._view is None:
                rng = np.random.default_rng(self._config.seed)
                snapshot = self._graph.snapshot()
                peers = rank_peers(snapshot, self._ego, self._config.peers, rng, blocked=self._blocked)
                items = rank_items(snapshot, self._ego, peers, self._config.items, rng)
                self._view = SocialView(peers, items)
                self._hits = peers.hits()
                self._graph.set_hits(self._hits)
            return self._view

    def hits(self, peer: PeerId) -> float:
        """Return how often the latest walks visited a peer: what a full record store keeps peers by."""
        return self._hits.get(peer, 0)

    @property
    def blocked(self) -> Collection[PeerId]:
        """Peers that the person cut off."""
        return self._blocked


def _item_weights(edges: Mapping[bytes, tuple[int, int]]) -> dict[Hashable, float]:
    """Weight edges by level and age.

    Age counts from the author's own newest edge, so that an author who is idle loses nothing: all edges of an author
    fade alike (epoch decay acts on edges, never on scores).
    """
    newest = max((day for _, day in edges.values()), default=0)
    return {
        key: _LEVEL_WEIGHT[level] * decay(1.0, newest - day, ITEM_HALF_LIFE_DAYS) for key, (level, day) in edges.items()
    }
