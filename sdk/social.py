"""Records in, a ranking of items out: what the peers whom this person trusts, directly or not, vouch for.

Joins `p2p` (whose records) and `trust` (what the walks say of them). Knows nothing of models.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from p2p import AdjacencyRecord, PeerId, item_key
from sdk.item_opinion import ItemOpinion
from sdk.store import BLOCKED, Opinion
from sdk.succession import Successions
from trust import (
    AuthorEdges,
    ItemRanking,
    ItemScore,
    MeritRankConfig,
    PeerRanking,
    PeerScore,
    PeerWalks,
    SalsaConfig,
    TrustGraph,
    rank_items,
)

_UNDATED = 0  # trust edges of a record carry no day
NEAR = 0.4
"""The walks over peers stop with this probability before each step. On Last.fm (`benchmarks.blend`) what near people
like serves better than what far ones do, and a region of attackers gains (1 − α)/α at most: 1.5 times what reaches it
instead of 5.7.
"""
_MOST_PENDING = 256  # records; more of them are taken up at once, so that memory stays bounded
LEVEL_WEIGHT = {1: 1.0, 2: 2.0, 3: 4.0}


@dataclass(frozen=True, slots=True)
class SocialConfig:
    """The two walks, and the seed of their randomness: the same changes in the same order give the same ranking.

    Attributes:
        peers: the walk over peers; it stays nearer to the person than `trust` does by default (see `NEAR`).
        items: the walk over items.
        seed: decides every draw.
        accelerate: whether walks use numba (None: where it is installed). Not by default: one device's graph is walked
            in milliseconds without, and numba costs half a second at the start and more than 100 MB.
    """

    peers: MeritRankConfig = field(default_factory=lambda: MeritRankConfig(alpha=NEAR))
    items: SalsaConfig = field(default_factory=SalsaConfig)
    seed: int = 0
    accelerate: bool | None = False


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


def stated_edges(record: AdjacencyRecord, latest: Callable[[PeerId], PeerId] = lambda peer: peer) -> AuthorEdges:
    """Return what a record says as edges.

    Args:
        record: of one author.
        latest: the key that speaks now for a peer; of two vouches that become one, the stronger counts.
    """
    trust: dict[Hashable, tuple[float, int]] = {}
    for edge in record.trust:
        peer = latest(edge.peer)
        if peer != record.author:
            trust[peer] = max(trust.get(peer, (0.0, 0)), (LEVEL_WEIGHT[edge.level], _UNDATED))
    return AuthorEdges.dated(trust, _weighted({edge.key: (edge.level, edge.day) for edge in record.items}))


def _weighted(edges: Mapping[bytes, tuple[int, int]]) -> dict[Hashable, tuple[float, int]]:
    return {key: (LEVEL_WEIGHT[level], day) for key, (level, day) in edges.items()}


class SocialGraph:
    """The trust graph around one person. Thread-safe; evaluates lazily and only after a change.

    Args:
        ego: the person.
        config: of the walks.
        stated: what a record says, as edges; a simulation hands in one that remembers its answers.
    """

    def __init__(
        self, ego: PeerId, config: SocialConfig, stated: Callable[[AdjacencyRecord], AuthorEdges] = stated_edges
    ) -> None:
        self._ego = ego
        self._stated = stated
        self._config = config
        self._graph = TrustGraph(pinned=[ego])
        self._walks = PeerWalks(self._graph, ego, config.peers, config.seed, accelerate=config.accelerate)
        self._blocked: frozenset[PeerId] = frozenset()
        self._lock = threading.RLock()
        self._view: SocialView | None = None
        self._hits: Mapping[Hashable, float] = {}
        self._successions = Successions()
        self._pending: dict[PeerId, AdjacencyRecord] = {}  # in order of arrival; not in the graph yet
        self._own: tuple[Sequence[ItemOpinion], Sequence[Opinion], str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs: neither the lock nor the last evaluation, which comes out the same again."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"} | {"_view": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def set_self(self, items: Sequence[ItemOpinion], opinions: Iterable[Opinion], namespace: str) -> None:
        """Take the person's own items and opinions; they stay on the device."""
        own = (list(items), list(opinions), namespace)
        with self._lock:
            if own != self._own:  # most events change none of the items that count: the walks stay as they are
                self._own = own
                self._take_self(*own)

    def _take_self(self, items: Sequence[ItemOpinion], said: Sequence[Opinion], namespace: str) -> None:
        self._take_up()
        edges = {item_key(namespace, o.item): (o.level, o.day) for o in items[:64]}
        said = self.current(said)
        vouches = sorted((o for o in said if o.level > 0), key=lambda o: (-o.level, -o.at, o.peer))[:32]
        self._blocked = frozenset(PeerId(o.peer) for o in said if o.level == BLOCKED)
        self._walks.block(self._blocked)
        trust: dict[Hashable, tuple[float, int]] = {PeerId(o.peer): (LEVEL_WEIGHT[o.level], _UNDATED) for o in vouches}
        self._graph.replace(self._ego, AuthorEdges.dated(trust, _weighted(edges)))
        self._view = None

    def set_record(self, record: AdjacencyRecord) -> None:
        """Take the latest record of a peer; it replaces what the peer said before.

        Records wait until somebody looks: between two walks a hundred may come, and an author's newest one counts.
        """
        if record.author == self._ego:
            return  # what I published is less than what I know of myself
        with self._lock:
            self._pending.pop(record.author, None)
            self._pending[record.author] = record
            self._view = None
            if len(self._pending) >= _MOST_PENDING:
                self._take_up()

    def _take_up(self) -> None:
        pending, self._pending = self._pending, {}
        if pending:
            self._graph.replace_many({author: self._edges_of(record) for author, record in pending.items()})

    def _edges_of(self, record: AdjacencyRecord) -> AuthorEdges:
        if not self._successions:
            return self._stated(record)
        return stated_edges(record, self._successions.latest)

    def set_successor(self, peer: PeerId, successor: PeerId | None) -> frozenset[PeerId]:
        """Say whom a peer handed over to: who vouches for the peer vouches for the successor, and a block goes along.

        Returns:
            Keys that lead elsewhere now. Records that name them must be given again.
        """
        with self._lock:
            if self._successions.successor(peer) == successor:
                return frozenset()
            moved = self._successions.set(peer, successor)
            if self._own is not None:
                self._take_self(*self._own)
            return moved

    def drop(self, author: PeerId) -> None:
        """Forget a peer's record."""
        with self._lock:
            self._pending.pop(author, None)
            self._graph.remove(author)
            self._view = None

    def view(self) -> SocialView:
        """Return both rankings, walking again only if something changed."""
        with self._lock:
            if self._view is None:
                self._take_up()
                peers = self._walks.ranking()
                config = self._config
                items = rank_items(
                    self._graph, self._ego, peers, config.items, config.seed, accelerate=config.accelerate
                )
                self._view = SocialView(peers, items)
                self._hits = peers.hits()
                self._graph.set_hits(self._hits)
            return self._view

    def current(self, opinions: Iterable[Opinion]) -> list[Opinion]:
        """Return opinions under the keys that their peers have now, the latest of each peer."""
        with self._lock:
            renamed = [replace(o, peer=self._successions.latest(PeerId(o.peer))) for o in opinions]
        latest = {o.peer: o for o in sorted(renamed, key=lambda o: o.at)}
        return [o for o in latest.values() if o.peer != self._ego]

    def look_around(self) -> None:
        """Walk over the peers again, if something changed, so that `hits` and `visited` are up to date."""
        with self._lock:
            if self._view is None:
                self._take_up()
                self._hits = self._walks.ranking().hits()

    def hits(self, peer: PeerId) -> float:
        """Return how often the latest walks visited a peer: what a full record store keeps peers by."""
        return self._hits.get(peer, 0)

    def visited(self) -> list[PeerId]:
        """Return whom the latest walks visited, the most often visited first."""
        hits = self._hits
        return [PeerId(as_key(key)) for key in sorted(hits, key=hits.__getitem__, reverse=True)]

    def every_key(self, peers: Collection[PeerId]) -> frozenset[PeerId]:
        """Return peers and the person under every key that they had."""
        with self._lock:
            return frozenset(peers).union(*(self._successions.earlier(peer) for peer in peers), {self._ego})

    @property
    def n_bytes(self) -> int:
        """Memory of the stored walks, in bytes."""
        return self._walks.bytes

    @property
    def blocked(self) -> Collection[PeerId]:
        """Peers that the person cut off."""
        return self._blocked
