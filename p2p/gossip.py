"""The gossip protocol as a state machine: messages and time in, effects out. No sockets, no threads, no clock.

Three flows keep stores equal:
- push: who publishes announces (author, version, digest); whoever lacks the body pulls it;
- anti-entropy: at every new connection, and then now and then with a random peer, 256 bucket digests are compared and
  what is missing is pulled; this repairs whatever push lost;
- own version: a device that was restored from a backup learns its latest version from its peers before it publishes,
  so that it never signs two records with one version.

Nothing that a peer sends raises: it is counted by `Rejected` reason and dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from p2p import messages
from p2p.buckets import bucket_digests, bucket_of, differing
from p2p.counters import Counters
from p2p.errors import RecordInvalid, Rejected
from p2p.identity import PeerId
from p2p.messages import MAX_ANNOUNCED, MAX_BODIES, MAX_ENTRIES, Announce, AskBodies, AskEntries, AskOwn
from p2p.quota import Quota, Rate
from p2p.record import SignedRecord, open_record
from p2p.store import Entry, RecordStore


@dataclass(frozen=True, slots=True)
class GossipConfig:
    """Pace and limits.

    Attributes:
        anti_entropy_s: time between comparisons with a random peer.
        request_timeout_s: after this an unanswered pull may be asked of someone else.
        max_ahead_s: records issued further in the future are refused.
        messages: what one peer may send.
        updates: how often one author may publish.
        announced_per_tick: entries announced per tick at most, because bursts get lost.
        max_wanted: pulls remembered at once.
    """

    anti_entropy_s: float = 2.0
    request_timeout_s: float = 10.0
    max_ahead_s: float = 600.0
    messages: Rate = field(default_factory=lambda: Rate(burst=400, per_s=50))
    updates: Rate = field(default_factory=lambda: Rate(burst=5, per_s=1 / 60))
    announced_per_tick: int = 4 * MAX_ANNOUNCED
    max_wanted: int = 20_000


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to everyone."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a peer; its answer comes back by `Gossip.on_response`, a failure by `Gossip.on_request_failed`."""

    peer: PeerId
    data: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """The records of these authors changed or went away."""

    authors: frozenset[PeerId]


Effect = Broadcast | Request | Changed


@dataclass(slots=True)
class _Wanted:
    """A record that someone has and this device lacks."""

    version: int
    pushed: bool
    asked_at: float
    tries: int = 0


class Gossip:
    """One device's part in the protocol. Not thread-safe; the caller holds a lock.

    Args:
        me: this device.
        store: its records.
        clock: Unix seconds.
        rng: chooses peers.
        config: pace and limits.
        admit: how welcome an author is; 0 refuses.
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
        self._peers: dict[PeerId, None] = {}
        self._told_own: set[PeerId] = set()
        self._wanted: dict[PeerId, _Wanted] = {}
        self._to_announce: deque[Entry] = deque()
        self._from_peer = Quota(self._config.messages)
        self._from_author = Quota(self._config.updates)
        self._compared_at = clock()
        self._digests: bytes | None = None
        self.counters = Counters()

    # -- peers -----------------------------------------------------------------------------------

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers connected now."""
        return tuple(self._peers)

    def on_peer(self, peer: PeerId) -> list[Effect]:
        """A peer connected: ask for my own latest version, and compare stores."""
        self._peers[peer] = None
        return [self._request(peer, AskOwn()), self._request(peer, AskEntries(self._bucket_digests()))]

    def on_peer_gone(self, peer: PeerId) -> list[Effect]:
        """A peer is gone."""
        self._peers.pop(peer, None)
        self._told_own.discard(peer)
        return []

    # -- publishing ------------------------------------------------------------------------------

    @property
    def ready_to_publish(self) -> bool:
        """Whether a peer has said which of my versions it knows, or there is nobody to ask."""
        return not self._peers or bool(self._told_own)

    def next_version(self) -> int:
        """Return the version that my next record must have: above everything seen of me."""
        known = self._store.entry(self._me)
        return max(self._store.own_version(), known[0] if known else 0) + 1

    def publish(self, signed: SignedRecord) -> list[Effect]:
        """Store and announce my next record.

        Raises:
            ValueError: it is not mine, or its version is below `next_version`.
        """
        if signed.record.author != self._me or signed.record.version < self.next_version():
            raise ValueError(f"only an own record of version {self.next_version()} or above can be published")
        self._store.raise_own_version(signed.record.version)
        return self.relay([signed])

    def relay(self, records: Sequence[SignedRecord]) -> list[Effect]:
        """Store verified records of any author and announce those that are new, as a gateway does."""
        outcomes = self._store.put_many(records)
        new = [signed for signed, refused in zip(records, outcomes, strict=True) if refused is None]
        self._announce(new)
        return self._changed(new, [])

    # -- messages in -----------------------------------------------------------------------------

    def on_broadcast(self, peer: PeerId, data: bytes) -> list[Effect]:
        """An announcement arrived by way of `peer`: pull what is missing from there."""
        if not self._welcome(peer, data):
            return []
        try:
            announced = messages.decode_announce(data)
        except RecordInvalid as error:
            return self._refuse(error.reason)
        return self._pull(peer, announced.entries, pushed=True)

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """Answer a request; nothing, when it is malformed or too much."""
        if not self._welcome(peer, data):
            return b""
        try:
            request = messages.decode_request(data)
        except RecordInvalid as error:
            self._refuse(error.reason)
            return b""
        answer = self._answer(peer, request)
        self.counters.sent(answer)
        return answer

    def _answer(self, peer: PeerId, request: messages.Request) -> bytes:
        match request:
            case AskEntries(buckets):
                differ = differing(self._bucket_digests(), buckets)
                entries = [entry for entry in self._store.summary() if bucket_of(entry[0]) in differ]
                return messages.encode_entries(entries[:MAX_ENTRIES])
            case AskBodies(authors):
                found = (self._store.get(author) for author in authors)
                return messages.encode_bodies([signed.to_bytes() for signed in found if signed is not None])
            case AskOwn():
                own = self._store.get(peer)
                return messages.encode_bodies([own.to_bytes()] if own else [])

    def on_response(self, peer: PeerId, request: bytes, data: bytes) -> list[Effect]:
        """`peer` answered `request`."""
        self.counters.received(data)
        asked = messages.decode_request(request)
        try:
            match asked:
                case AskEntries():
                    return self._pull(peer, messages.decode_entries(data).entries, pushed=False)
                case AskOwn():
                    self._told_own.add(peer)
                    return self._take(messages.decode_bodies(data).records, {self._me})
                case AskBodies(authors):
                    return self._take(messages.decode_bodies(data).records, set(authors))
        except RecordInvalid as error:
            return self._refuse(error.reason)

    def on_request_failed(self, _peer: PeerId, request: bytes) -> list[Effect]:
        """A peer did not answer; pulls are asked of someone else at the next tick."""
        self.counters.requests_failed += 1
        asked = messages.decode_request(request)
        if isinstance(asked, AskBodies):
            for author in asked.authors:
                if author in self._wanted:
                    self._wanted[author].asked_at = -np.inf
        return []

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> list[Effect]:
        """Do what is due: announce, ask again, compare stores."""
        now = self._clock()
        effects = [*self._announcements(), *self._ask_again(now)]
        # A clock that ran backwards must not silence anti-entropy.
        if self._peers and not 0 <= now - self._compared_at < self._config.anti_entropy_s:
            self._compared_at = now
            effects.append(self._request(self._random_peer(), AskEntries(self._bucket_digests())))
        return effects

    def _announcements(self) -> list[Effect]:
        if not self._peers:
            return []
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

    def _ask_again(self, now: float) -> list[Effect]:
        if not self._peers:
            return []
        due = [a for a, w in self._wanted.items() if not 0 <= now - w.asked_at < self._config.request_timeout_s]
        for author in due:
            if self._wanted[author].tries >= 5:
                del self._wanted[author]  # anti-entropy finds it again if it exists
        still = [author for author in due if author in self._wanted][:MAX_BODIES]
        return self._ask(self._random_peer(), still, now)

    # -- inside ----------------------------------------------------------------------------------

    def _random_peer(self) -> PeerId:
        return list(self._peers)[int(self._rng.integers(len(self._peers)))]

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

    def _refuse(self, reason: Rejected) -> list[Effect]:
        self.counters.rejected[reason] += 1
        return []

    def _bucket_digests(self) -> bytes:
        if self._digests is None:
            self._digests = bucket_digests(self._store.summary())
        return self._digests

    def _pull(self, peer: PeerId, entries: Iterable[Entry], *, pushed: bool) -> list[Effect]:
        now = self._clock()
        distrusted = self._store.distrusted()
        asked = []
        for author, version, digest in entries:
            known = self._store.entry(author)
            if known is not None and (version < known[0] or (version, digest) == known):
                continue  # the same version with another digest is pulled: it is a proof of equivocation
            wanted = self._wanted.get(author)
            if author in distrusted or (wanted is not None and wanted.version >= version):
                continue
            if len(self._wanted) >= self._config.max_wanted or self._admit(author) <= 0:
                self._refuse(Rejected.FULL)
                continue
            self._wanted[author] = _Wanted(version, pushed, now)
            asked.append(author)
        return self._ask(peer, asked, now)

    def _ask(self, peer: PeerId, authors: Sequence[PeerId], now: float) -> list[Effect]:
        for author in authors:
            self._wanted[author].asked_at = now
            self._wanted[author].tries += 1
        chunks = (authors[i : i + MAX_BODIES] for i in range(0, len(authors), MAX_BODIES))
        return [self._request(peer, AskBodies(tuple(chunk))) for chunk in chunks]

    def _take(self, bodies: Iterable[bytes], asked: set[PeerId]) -> list[Effect]:
        opened = [signed for signed in (self._opened(body, asked) for body in bodies) if signed is not None]
        for author in asked - {signed.record.author for signed in opened}:
            if author in self._wanted:
                self._wanted[author].asked_at = -np.inf  # this peer did not have it: ask another at the next tick
        outcomes = self._store.put_many(opened)
        accepted, convicted, missed_by_push = [], [], []
        for signed, refused in zip(opened, outcomes, strict=True):
            author = signed.record.author
            wanted = self._wanted.pop(author, None)
            if author == self._me:
                self._store.raise_own_version(signed.record.version)
            if refused is None:
                accepted.append(signed)
                self.counters.accepted += 1
                if wanted is not None and not wanted.pushed:
                    missed_by_push.append(signed)
            elif refused is Rejected.EQUIVOCATION:
                convicted.append(author)
                self._refuse(refused)
            else:
                self._refuse(refused)
        self._announce(missed_by_push)
        return self._changed(accepted, convicted)

    def _opened(self, body: bytes, asked: set[PeerId]) -> SignedRecord | None:
        """Check everything about a record that came in: size, schema, signature, freshness, quota."""
        try:
            signed = open_record(body)
        except RecordInvalid as error:
            self._refuse(error.reason)
            return None
        author, now = signed.record.author, self._clock()
        reason = None
        if author not in asked:
            reason = Rejected.UNASKED
        elif signed.record.issued_at > now + self._config.max_ahead_s:
            reason = Rejected.FUTURE
        elif not self._from_author.take(author, now):
            reason = Rejected.RATE
        if reason is not None:
            self._refuse(reason)
            self._wanted.pop(author, None)
            return None
        return signed

    def _announce(self, records: Iterable[SignedRecord]) -> None:
        self._to_announce.extend((s.record.author, s.record.version, s.digest) for s in records)

    def _changed(self, accepted: Sequence[SignedRecord], convicted: Sequence[PeerId]) -> list[Effect]:
        authors = frozenset([*(signed.record.author for signed in accepted), *convicted])
        if not authors:
            return []
        self._digests = None
        return [Changed(authors)]
