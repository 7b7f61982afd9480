"""The gossip protocol as a state machine: messages and time in, effects out. No sockets, no threads, no clock.

Three flows keep stores equal:
- push: who publishes announces (author, version, digest); whoever lacks the body pulls it from the peer that passed the
  announcement on;
- anti-entropy: at every new connection, after news that push did not bring, and now and then with a random peer, 256
  bucket digests are compared and what is missing is pulled. Whoever is asked with other digests than its own asks back,
  so both sides end up equal;
- own version: a device that was restored from a backup learns its latest version from its peers before it publishes,
  so that it never signs two records with one version.

A proof of equivocation travels like a record, under the version `EQUIVOCATED`: the two records that make it.
Nothing that a peer sends raises: it is counted by `Rejected` reason and dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from p2p import messages
from p2p.buckets import bucket_digests, bucket_of, differing
from p2p.counters import Counters
from p2p.effects import Broadcast, Changed, Effect, Request
from p2p.errors import RecordInvalid, Rejected
from p2p.gossip_config import GossipConfig
from p2p.identity import PeerId
from p2p.intake import Intake
from p2p.messages import MAX_ANNOUNCED, MAX_ENTRIES, Announce, AskBodies, AskEntries, AskOwn
from p2p.pulls import Pulls
from p2p.quota import Quota
from p2p.record import SignedRecord
from p2p.store import EQUIVOCATED, Entry, RecordStore

_POKED_PEERS = 3  # news spread exponentially, so few are enough


@dataclass(slots=True)
class _Peer:
    """What is under way with a connected peer.

    Attributes:
        told_own: whether it said which of my versions it knows.
        own_asked_at: when it was asked that.
        comparing: whether an answer with entries is awaited.
        compared_at: when the last comparison was asked for.
        compare: whether another one is wanted, as soon as `compare_gap_s` allows.
        last_difference: stands for its digests and mine when they differed last; the same difference needs no answer.
    """

    told_own: bool
    own_asked_at: float
    comparing: bool
    compared_at: float
    compare: bool = False
    last_difference: int = 0


class Gossip:
    """One device's part in the protocol. Not thread-safe; the caller holds a lock.

    Args:
        me: this device.
        store: its records.
        clock: Unix seconds.
        rng: chooses peers.
        config: pace and limits.
        admit: how welcome an author is: the higher, the sooner pulled; 0 or less is not pulled at all.
    """

    def __init__(
        self,
        me: PeerId,
        store: RecordStore,
        clock: Callable[[], float],
        rng: np.random.Generator,
        config: GossipConfig | None = None,
        admit: Callable[[PeerId], float] = lambda _: 1.0,
    ) -> None:
        self._me = me
        self._store = store
        self._clock = clock
        self._rng = rng
        self._config = config or GossipConfig()
        self._admit = admit
        self._peers: dict[PeerId, _Peer] = {}
        self.counters = Counters()
        self._intake = Intake(me, store, clock, self._config, self.counters)
        self._pulls = Pulls(self._intake.is_news, self._config.max_claims, self._config.max_tries, self._config.retry_s)
        self._to_announce: deque[Entry] = deque()
        self._from_peer = Quota(self._config.messages)
        self._to_peer = Quota(self._config.served)
        self._compared_at = clock()
        self._digests: bytes | None = None
        store.pin(me)

    # -- peers -----------------------------------------------------------------------------------

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers connected now."""
        return tuple(self._peers)

    def on_peer(self, peer: PeerId) -> list[Effect]:
        """A peer connected: ask for my own latest version, and compare stores."""
        if peer in self._peers or peer == self._me:
            return []
        now = self._clock()
        self._peers[peer] = _Peer(told_own=False, own_asked_at=now, comparing=True, compared_at=now)
        return [self._request(peer, AskOwn()), self._request(peer, AskEntries(self._bucket_digests()))]

    def on_peer_gone(self, peer: PeerId) -> list[Effect]:
        """A peer is gone."""
        self._peers.pop(peer, None)
        self._pulls.forget(peer)
        return []

    # -- publishing ------------------------------------------------------------------------------

    @property
    def ready_to_publish(self) -> bool:
        """Whether a peer has said which of my versions it knows, or there is nobody to ask."""
        return not self._peers or any(peer.told_own for peer in self._peers.values())

    def next_version(self) -> int:
        """Return the version that my next record must have: above everything seen of me."""
        known = self._store.get(self._me)
        return max(self._store.own_version(), known.record.version if known else 0) + 1

    def publish(self, signed: SignedRecord) -> list[Effect]:
        """Store and announce my next record.

        Raises:
            ValueError: it is not mine, or its version is below `next_version`.
            RecordInvalid: this identity was convicted of equivocation, so nobody takes its records any more.
        """
        if signed.record.author != self._me or signed.record.version < self.next_version():
            raise ValueError(f"only an own record of version {self.next_version()} or above can be published")
        (refused,) = self._store.put_many([signed])
        if refused is not None:
            raise RecordInvalid(refused, f"the record was not published: {refused.value}; make a new identity")
        self._store.raise_own_version(signed.record.version)
        return self._spread([signed], [])

    def relay(self, records: Sequence[SignedRecord]) -> list[Effect]:
        """Store verified records of any author and announce those that are new, as a gateway does."""
        new, convicted = self._intake.relay(records)
        return self._spread(new, convicted)

    def _spread(self, new: Sequence[SignedRecord], convicted: Sequence[PeerId]) -> list[Effect]:
        self._announce(new, convicted)
        self._poke()
        return self._changed(new, convicted)

    # -- messages in -----------------------------------------------------------------------------

    def on_broadcast(self, peer: PeerId, data: bytes) -> list[Effect]:
        """An announcement arrived by way of `peer`: pull what is missing from there."""
        if not self._welcome(peer, data):
            return []
        try:
            announced = messages.decode_announce(data)
        except RecordInvalid as error:
            self._refuse(error.reason)
            return []
        self._claim(peer, announced.entries, pushed=True)
        return self._pull(peer)

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """Answer a request; nothing, when it is malformed or too much."""
        if not self._welcome(peer, data):
            return b""
        try:
            answer = self._answer(peer, messages.decode_request(data))
        except RecordInvalid as error:
            self._refuse(error.reason)
            return b""
        if not self._to_peer.take(peer, self._clock(), len(answer)):
            self._refuse(Rejected.QUOTA)
            return b""
        self.counters.sent(answer)
        return answer

    def _answer(self, peer: PeerId, request: messages.Request) -> bytes:
        match request:
            case AskEntries(theirs):
                ours = self._bucket_digests()
                differ = differing(ours, theirs)
                self._compare_back(peer, hash((ours, theirs)) if differ else 0)
                entries = [entry for entry in self._store.entries() if bucket_of(entry[0]) in differ]
                return messages.encode_entries(entries[:MAX_ENTRIES])
            case AskBodies(authors):
                found = (self._store.wire(author) for author in dict.fromkeys(authors))
                return messages.encode_bodies([body for bodies in found for body in bodies])
            case AskOwn():
                return messages.encode_bodies(self._store.wire(peer))

    def _compare_back(self, peer: PeerId, difference: int) -> None:
        state = self._peers.get(peer)
        if state is not None and difference not in (0, state.last_difference):
            state.last_difference = difference
            state.compare = True

    def on_response(self, peer: PeerId, request: bytes, data: bytes) -> list[Effect]:
        """`peer` answered `request`."""
        self.counters.received(data)
        if not data or peer not in self._peers:  # it declined, or it is gone meanwhile
            return self.on_request_failed(peer, request)
        asked = messages.decode_request(request)
        effects: list[Effect] = []
        try:
            match asked:
                case AskEntries():
                    self._peers[peer].comparing = False
                    self._claim(peer, messages.decode_entries(data).entries, pushed=False)
                case AskOwn():
                    bodies = messages.decode_bodies(data).records
                    self._peers[peer].told_own = True
                    effects = self._take(peer, bodies, [self._me])
                case AskBodies(authors):
                    effects = self._take(peer, messages.decode_bodies(data).records, authors)
        except RecordInvalid as error:
            self._refuse(error.reason)
        finally:
            if isinstance(asked, AskBodies):
                self._pulls.ended(peer, self._clock())
        return [*effects, *self._pull(peer)]

    def on_request_failed(self, peer: PeerId, request: bytes) -> list[Effect]:
        """A peer did not answer; what is still wanted is asked again later."""
        self.counters.requests_failed += 1
        match messages.decode_request(request):
            case AskBodies():
                self._pulls.ended(peer, self._clock())
            case AskEntries() if peer in self._peers:
                self._peers[peer].comparing = False
                self._peers[peer].compare = True
        return []

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> list[Effect]:
        """Do what is due: announce, pull, compare stores, ask for the own version."""
        now = self._clock()
        if self._peers and self._passed(now, self._compared_at, self._config.anti_entropy_s):
            self._compared_at = now
            self._peers[self._random_peers(1)[0]].compare = True
        effects = self._announcements()
        for peer, state in self._peers.items():
            may_compare = not state.comparing and self._passed(now, state.compared_at, self._config.compare_gap_s)
            if state.compare and may_compare:
                state.compare, state.comparing, state.compared_at = False, True, now
                effects.append(self._request(peer, AskEntries(self._bucket_digests())))
            if not state.told_own and self._passed(now, state.own_asked_at, self._config.own_retry_s):
                state.own_asked_at = now
                effects.append(self._request(peer, AskOwn()))
            effects.extend(self._pull(peer))
        return effects

    @staticmethod
    def _passed(now: float, since: float, seconds: float) -> bool:
        return not 0 <= now - since < seconds  # a clock that ran backwards must not silence anything

    def _announcements(self) -> list[Effect]:
        if not self._peers:
            self._to_announce.clear()  # whoever connects compares stores anyway
        effects: list[Effect] = []
        left = self._config.announced_per_tick
        while self._to_announce and left > 0:
            size = min(MAX_ANNOUNCED, len(self._to_announce), left)
            entries = tuple(self._to_announce.popleft() for _ in range(size))
            data = messages.encode(Announce(entries))
            self.counters.sent(data)
            effects.append(Broadcast(data))
            left -= size
        return effects

    # -- pulling ---------------------------------------------------------------------------------

    def _claim(self, peer: PeerId, entries: Iterable[Entry], *, pushed: bool) -> None:
        """Note what a peer says that it has, as far as it is news."""
        if peer not in self._peers:
            return
        now = self._clock()
        for entry in entries:
            if not self._intake.is_news(entry) or not self._intake.may_update(entry):
                continue  # a later comparison brings what has to wait
            welcome = self._admit(entry[0])
            if welcome <= 0 or not self._pulls.add(peer, entry, welcome, now, pushed=pushed):
                self._refuse(Rejected.FULL)

    def _pull(self, peer: PeerId) -> list[Effect]:
        authors = self._pulls.next_batch(peer, self._clock())
        return [self._request(peer, AskBodies(authors))] if authors else []

    def _take(self, peer: PeerId, bodies: Iterable[bytes], asked: Iterable[PeerId]) -> list[Effect]:
        """Check and store records that came as the answer to a pull."""
        claims = {author: self._pulls.claimed(peer, author) or (0, False) for author in asked}
        new, convicted = self._intake.take(bodies, claims.keys())
        self.counters.accepted += len(new)
        self._announce([], [author for author in convicted if claims[author][0] != EQUIVOCATED])
        if any(not claims[author][1] for author in [*convicted, *(signed.record.author for signed in new)]):
            self._poke()
        return self._changed(new, convicted)

    # -- inside ----------------------------------------------------------------------------------

    def _random_peers(self, count: int) -> list[PeerId]:
        peers = list(self._peers)
        chosen = self._rng.choice(len(peers), size=min(count, len(peers)), replace=False)
        return [peers[int(index)] for index in chosen]

    def _poke(self) -> None:
        """Compare soon with a few peers: they see what is new here and ask back."""
        if self._peers:
            for peer in self._random_peers(_POKED_PEERS):
                self._peers[peer].compare = True

    def _request(self, peer: PeerId, request: messages.Request) -> Effect:
        data = messages.encode(request)
        self.counters.sent(data)
        return Request(peer, data)

    def _welcome(self, peer: PeerId, data: bytes) -> bool:
        self.counters.received(data)
        if self._from_peer.take(peer, self._clock()):
            return True
        self._refuse(Rejected.QUOTA)
        return False

    def _refuse(self, reason: Rejected) -> None:
        self.counters.rejected[reason] += 1

    def _bucket_digests(self) -> bytes:
        if self._digests is None:
            self._digests = bucket_digests(self._store.entries())
        return self._digests

    def _announce(self, records: Iterable[SignedRecord], convicted: Iterable[PeerId]) -> None:
        authors = [*(signed.record.author for signed in records), *convicted]
        known = ((author, self._store.entry(author)) for author in authors)
        self._to_announce.extend((author, *entry) for author, entry in known if entry is not None)

    def _changed(self, new: Sequence[SignedRecord], convicted: Sequence[PeerId]) -> list[Effect]:
        evicted = self._store.take_evicted()
        for author, version in evicted.items():
            self._intake.remember_refused(author, version)
        authors = frozenset([*(signed.record.author for signed in new), *convicted, *evicted])
        if not authors:
            return []
        self._digests = None
        return [Changed(authors)]
