"""One simulated device: the SDK's own parts without files, threads and sockets.

What is the same as on a real device: the gossip core, the record store's rules, the trust graph, both walks, the choice
of whose records to take, and what a sharing policy publishes. What differs: rows live in memory, what a record says is
verified and read once for all devices (`keys.remembered`), and the peers are walked over again a few times a day
instead of after every change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from p2p import (
    AdjacencyRecord,
    Effect,
    Gossip,
    Identity,
    ItemEdge,
    MemoryTables,
    PeerId,
    RecordInvalid,
    RecordStore,
    SignedRecord,
    TrustEdge,
    messages,
    round_issued_at,
    sign_record,
)
from p2p.messages import DIGEST_BYTES, Announce
from p2p.node import first_version_at
from sdk.interest import Interest, InterestConfig
from sdk.item_opinion import ItemOpinion
from sdk.simulation.fast_cells import toggle
from sdk.simulation.keys import NAMESPACE, Keys, remembered, remembered_announcement, remembered_edges
from sdk.simulation.scenario import TrustConfig
from sdk.simulation.world import Misbehaviour, Statement
from sdk.social import SocialConfig, SocialGraph
from sdk.store import Opinion
from trust import MeritRankConfig, SalsaConfig

DAY_S = 86_400
_FLOOD = 200  # broadcasts that a flooding device sends to each neighbour per tick
_MOST_BYTES = 1 << 30  # bounds by bytes are for phones; authors are bounded as there


def social_config(trust: TrustConfig) -> SocialConfig:
    """Return the walks that a scenario asks for."""
    peers = MeritRankConfig(alpha=trust.alpha, beta=trust.beta, walks=trust.walks)
    items = SalsaConfig(alpha=trust.item_alpha, beta=trust.beta, walks=trust.walks, trust_weighted=trust.trust_weighted)
    return SocialConfig(peers, items)


def signed_statement(
    statement: Statement, identity: Identity, keys: Keys, version: int, now: float, *, trust: bool = True
) -> SignedRecord:
    """Return a statement as its author's record.

    Args:
        statement: whom the author trusts and what it likes.
        identity: the author's.
        keys: of the simulation.
        version: of the record.
        now: virtual Unix seconds.
        trust: whether the vouches go out too.
    """
    vouches = statement.trust.items() if trust else ()
    edges = sorted(TrustEdge(keys.peers[peer], level) for peer, level in vouches)
    day = int(now) // DAY_S
    items = sorted((keys.items[item], level) for item, level in statement.items.items())
    record = AdjacencyRecord(
        identity.peer_id,
        version,
        round_issued_at(int(now)),
        tuple(edges),
        tuple(ItemEdge(key, level, day) for key, level in items),
    )
    return sign_record(record, identity)


class Device:
    """A device.

    Args:
        number: of its person, or of an attacker's identity.
        keys: of the simulation.
        trust: the walks.
        clock: virtual Unix seconds.
        seed: of the scenario.
        publishes: `private`, `items` or `network`.
    """

    def __init__(
        self, number: int, keys: Keys, trust: TrustConfig, clock: Callable[[], float], seed: int, publishes: str
    ) -> None:
        self.number = number
        self.peer = keys.peers[number]
        self.publishes = publishes
        self._keys, self._clock = keys, clock
        self.social = SocialGraph(self.peer, social_config(trust), remembered_edges)
        self.store = RecordStore(MemoryTables(), max_bytes=_MOST_BYTES, hits=self.social.hits, opener=remembered)
        # A device that does not tell whom it trusts takes everyone's records, see `sdk.interest`.
        interest = InterestConfig() if publishes == "network" else InterestConfig(everyone_up_to=1 << 40)
        self.interest = Interest(self.social, self._held, interest)
        self.rng = np.random.default_rng((seed, 3, number))
        self.core = Gossip(
            self.peer,
            self.store,
            clock,
            self.rng,
            admit=self.interest.admit,
            frontier=self.interest.frontier,
            opener=remembered,
            reader=remembered_announcement,
            toggle=toggle,
        )
        self.misbehaviour: Misbehaviour | None = None
        self._known: Statement | None = None
        self._stated: Statement | None = None
        self._published: Statement | None = None
        self._dirty = True

    def _held(self) -> int:
        return len(self.store)

    def know(self, known: Statement, stated: Statement) -> bool:
        """Take what the person does and thinks today, and what the device would tell; return whether that is news."""
        if known != self._known:
            self._known = known
            day = int(self._clock()) // DAY_S
            vouches = [Opinion(self._keys.peers[peer], level, 0) for peer, level in known.trust.items()]
            items = [ItemOpinion(str(item), level, day) for item, level in known.items.items()]
            self.social.set_self(items, vouches, NAMESPACE)
            self._dirty = True
        self._stated = stated
        return self.publishes != "private" and stated != self._published

    def publish(self) -> list[Effect]:
        """Publish what there is to tell, if it is news."""
        if self.publishes == "private" or self._stated is None or self._stated == self._published:
            return []
        self._published = self._stated
        version = max(self.core.next_version(), first_version_at(self._clock()))
        signed = signed_statement(
            self._stated,
            self._keys.identity(self.number),
            self._keys,
            version,
            self._clock(),
            trust=self.publishes == "network",
        )
        return self.core.publish(signed)

    def take(self, authors: Sequence[PeerId] | frozenset[PeerId]) -> None:
        """Bring the trust graph up to date with the store."""
        for author in sorted(authors):
            signed = self.store.get(author)
            if signed is None:
                self.social.drop(author)
            else:
                self.social.set_record(signed.record)
        self._dirty = True

    def peer_of(self, number: int) -> PeerId:
        """Return another device's key."""
        return self._keys.peers[number]

    def number_of(self, peer: PeerId) -> int:
        """Return another device's number."""
        return self._keys.number[peer]

    def answer(self, asker: int, question: bytes) -> bytes:
        """Answer another device's request; who eclipses others answers nothing."""
        return b"" if self.misbehaviour == "eclipse" else self.core.on_request(self._keys.peers[asker], question)

    def heeds(self, data: bytes) -> bool:
        """Return whether an announcement, or what claims to be one, may change anything here."""
        try:
            entries = remembered_announcement(data).entries
        except RecordInvalid:
            return True
        return self.core.lacks(entries)

    def garbage(self) -> list[bytes]:
        """Return what a flooding device sends to everybody at each tick: announcements, half of them malformed."""
        if self.misbehaviour != "flood":
            return []
        made_up = [(PeerId(self.rng.bytes(32)), 1, self.rng.bytes(DIGEST_BYTES)) for _ in range(_FLOOD // 2)]
        return [messages.encode(Announce((entry,))) for entry in made_up] + [
            self.rng.bytes(64) for _ in range(_FLOOD // 2)
        ]

    def look_around(self) -> None:
        """Walk over the peers again if anything changed, and decide anew whose records are wanted."""
        if self._dirty:
            self._dirty = False
            self.social.look_around()
            self.interest.refresh()
