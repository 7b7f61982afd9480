"""The gossip protocol as a state machine: messages and time in, effects out. No sockets, no threads, no clock.

Three flows keep stores equal:
- push: who publishes announces (author, version, digest) to its peers; whoever lacks the record pulls it, checks it and
  announces it in turn. Nothing is passed on unchecked, and whoever announces can be asked at once;
- anti-entropy: at every new connection, after news that push did not bring, and now and then with a random peer, stores
  are compared (`p2p.comparing`) and what is missing is pulled;
- own version: a device that was restored from a backup learns its latest version from its peers before it publishes,
  so that it never signs two records with one version.

A proof of equivocation travels like a record, under the version `EQUIVOCATED`: the two records that make it.
Which authors count is for the caller to say: `frontier` names those whose records are wanted, `admit` in which order.
Nothing that a peer sends raises: it is counted by `Rejected` reason and dropped, and who sends such things too often is
shut out for a while (`p2p.standing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from p2p import messages
from p2p.comparing import Comparing, Frontier, passed
from p2p.counters import Counters
from p2p.effects import Broadcast, Changed, Disconnect, Effect, Request
from p2p.errors import RecordInvalid, Rejected, StoreUnavailable
from p2p.gossip_config import GossipConfig
from p2p.holdings import Holdings
from p2p.identity import PeerId
from p2p.intake import Intake
from p2p.messages import MAX_ANNOUNCED, Announce, AskBodies, AskOwn, Compare, TellInterest
from p2p.pulls import Pulls
from p2p.quota import Quota
from p2p.reconcile import CELL_BYTES, Toggle, toggled
from p2p.record import EQUIVOCATED, SignedRecord
from p2p.standing import Standings
from p2p.statement import Opener, Statement, open_statement
from p2p.store import Entry, RecordStore

_MOST_ASKED = 64
_CELLS_A_MESSAGE = 64  # to peel a large table that somebody made up takes as long as many messages


@dataclass(slots=True)
class _Asked:
    """A peer that has not said yet which of my versions it knows: when it was asked, and how long until it is again."""

    at: float
    wait_s: float


class Gossip:
    """One device's part in the protocol. Not thread-safe; the caller holds a lock.

    Args:
        me: this device.
        store: its records.
        clock: Unix seconds, for what records say of time.
        rng: chooses peers.
        config: pace and limits.
        admit: how welcome an author is: the higher, the sooner pulled; 0 or less is neither pulled nor passed on.
        frontier: the authors whose records are wanted; None for everyone's.
        opener, reader: read and verify statements, and read announcements; a simulation hands in such as remember their
            answers.
        toggle: fills the tables that stores are compared by; a simulation hands in a compiled one.
        timer: seconds since whenever, for pauses, tries and quotas: they should pass though the clock be set; `clock`
            if not given.
    """

    def __init__(
        self,
        me: PeerId,
        store: RecordStore,
        clock: Callable[[], float],
        rng: np.random.Generator,
        config: GossipConfig | None = None,
        admit: Callable[[PeerId], float] = lambda _: 1.0,
        frontier: Frontier = lambda: None,
        opener: Opener = open_statement,
        reader: Callable[[bytes], Announce] = messages.decode_announce,
        toggle: Toggle = toggled,
        timer: Callable[[], float] | None = None,
    ) -> None:
        self._me = me
        self._store = store
        self._timer = timer = timer or clock
        self._read = reader
        self._rng = rng
        self._config = config or GossipConfig()
        self._admit = admit
        self._peers: dict[PeerId, None] = {}
        self._untold: dict[PeerId, _Asked] = {}
        self.counters = Counters()
        self._intake = Intake(me, store, clock, self._config, self.counters, opener)
        pace = self._config
        self._pulls = Pulls(self._intake.is_news, pace.max_claims, pace.max_tries, pace.retry_s, pace.pull_gap_s)
        self._to_announce: dict[PeerId, None] = {}
        self._announces_at = math.inf
        self._from_peer = Quota(self._config.messages)
        self._to_peer = Quota(self._config.served)
        self._holdings = Holdings(store.entries())
        self._comparing = Comparing(self._holdings, frontier, rng, self._config, timer(), toggle)
        self._standings = Standings(self._config.standing)
        self._asked: dict[bytes, messages.Request] = {}  # what the latest requests say, to be read but once
        store.pin(me)

    # -- peers -----------------------------------------------------------------------------------

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers connected now."""
        return tuple(self._peers)

    @property
    def shut_out(self) -> tuple[PeerId, ...]:
        """Peers that are not listened to now."""
        return self._standings.shut_out(self._timer())

    def on_peer(self, peer: PeerId) -> list[Effect]:
        """A peer connected: ask for my own latest version, and compare stores."""
        if peer in self._peers or peer == self._me:
            return []
        now = self._timer()
        if self._standings.is_shut_out(peer, now):
            self._refuse(Rejected.SHUT_OUT)
            return [Disconnect(peer)]
        self._peers[peer] = None
        self._untold[peer] = _Asked(now, self._config.own_retry_s)
        return [self._request(peer, AskOwn()), self._request(peer, self._comparing.meet(peer, now))]

    def on_peer_gone(self, peer: PeerId) -> list[Effect]:
        """A peer is gone."""
        self._peers.pop(peer, None)
        self._untold.pop(peer, None)
        self._comparing.part(peer)
        self._pulls.forget(peer)
        return []

    # -- publishing ------------------------------------------------------------------------------

    @property
    def ready_to_publish(self) -> bool:
        """Whether a peer has said which of my versions it knows, or there is nobody to ask."""
        return not self._peers or len(self._untold) < len(self._peers)

    def next_version(self) -> int:
        """Return the version that my next record must have: above everything seen of me."""
        known = self._store.get(self._me)
        return max(self._store.own_version(), known.record.version if known else 0) + 1

    def publish(self, signed: SignedRecord) -> list[Effect]:
        """Store and announce my next record.

        Raises:
            ValueError: it is not mine, or its version is below `next_version`.
            RecordInvalid: this identity was convicted of equivocation or handed over, so nobody takes its records any
                more.
        """
        if signed.author != self._me or signed.version < self.next_version():
            raise ValueError(f"only an own record of version {self.next_version()} or above can be published")
        (refused,) = self._store.put_many([signed])
        if refused is not None:
            advice = "use the key it was handed over to" if refused is Rejected.HANDED_OVER else "make a new identity"
            raise RecordInvalid(refused, f"the record was not published: {refused.value}; {advice}")
        self._store.raise_own_version(signed.version)
        return self._spread([signed], [])

    def relay(self, records: Sequence[Statement]) -> list[Effect]:
        """Store verified records of any author and announce those that are new, as a gateway does."""
        new, convicted = self._intake.relay(records)
        return self._spread(new, convicted)

    def _spread(self, new: Sequence[Statement], convicted: Sequence[PeerId]) -> list[Effect]:
        effects = self._changed(new, convicted)
        self._announce(_authors(new, convicted))
        self._comparing.poke(self._timer(), self._config.poke_after_s)
        return effects

    # -- messages in -----------------------------------------------------------------------------

    def lacks(self, entries: Iterable[Entry]) -> bool:
        """Return whether any of these would be news, wanted or not."""
        return any(map(self._intake.is_news, entries))

    def on_broadcast(self, peer: PeerId, data: bytes) -> list[Effect]:
        """`peer` announced records: pull what is missing."""
        if not self._welcome(peer, data):
            return []
        try:
            announced = self._read(data)
        except RecordInvalid as error:
            self._blame(peer, error.reason)
            return []
        self._claim(peer, announced.entries, pushed=True)
        return self._pull(peer)

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """Answer a request; nothing, when it is malformed or too much."""
        if not self._welcome(peer, data):
            return b""
        try:
            answer = self._answer(peer, messages.decode_request(data))
        except (RecordInvalid, ValueError) as error:
            self._blame(peer, _reason(error))
            return b""
        if not self._to_peer.take(peer, self._timer(), len(answer)):
            self._blame(peer, Rejected.QUOTA)
            return b""
        self.counters.sent(answer)
        return answer

    def _answer(self, peer: PeerId, request: messages.Request) -> bytes:
        match request:
            case Compare():
                now, cells = self._timer(), len(request.cells) // CELL_BYTES
                if not self._from_peer.take(peer, now, cells / _CELLS_A_MESSAGE):
                    raise RecordInvalid(Rejected.QUOTA, "more tables than its share")
                return messages.encode_comparison(self._comparing.answer(peer, request, now))
            case TellInterest():
                return messages.encode_interest(self._comparing.take_interest(peer, request))
            case AskBodies(wanted):
                held = [author for author, version in dict(wanted).items() if self._has(author, version)]
                return messages.encode_bodies([body for author in held for body in self._store.wire(author)])
            case AskOwn():
                return messages.encode_bodies(self._store.wire(peer))

    def _has(self, author: PeerId, version: int) -> bool:
        entry = self._store.entry(author)
        return entry is not None and entry[0] >= version

    def on_response(self, peer: PeerId, request: bytes, data: bytes) -> list[Effect]:
        """`peer` answered `request`."""
        self.counters.received(data)
        if not data or peer not in self._peers:  # it declined, or it is gone meanwhile
            return self.on_request_failed(peer, request)
        asked = self._said(request)
        try:
            effects = self._on_answer(peer, asked, data)
        except (RecordInvalid, ValueError) as error:
            self._blame(peer, _reason(error))
            self._ended(peer, asked)
            return []
        return [*effects, *self._pull(peer)]

    def _on_answer(self, peer: PeerId, asked: messages.Request, data: bytes) -> list[Effect]:
        match asked:
            case Compare():
                entries, following = self._comparing.on_comparison(peer, messages.decode_comparison(data))
                self._claim(peer, entries, pushed=False)
                return [self._request(peer, following)] if following else []
            case TellInterest():
                compare = self._comparing.on_told(peer, asked, messages.decode_interest(data))
                return [self._request(peer, compare)] if compare else []
            case AskOwn():
                bodies = messages.decode_bodies(data).records
                self._untold.pop(peer, None)
                return self._take(peer, bodies, [self._me])
            case AskBodies(wanted):
                bodies = messages.decode_bodies(data).records
                effects = self._take(peer, bodies, dict(wanted))
                given_up = self._pulls.ended(peer, self._timer())
                if len(bodies) < len(wanted):
                    self._reproach(peer, given_up)
                return effects

    def on_request_failed(self, peer: PeerId, request: bytes) -> list[Effect]:
        """A peer did not answer; what is still wanted is asked again later."""
        self.counters.requests_failed += 1
        self._ended(peer, self._said(request))
        return []

    def _said(self, request: bytes) -> messages.Request:
        return self._asked.pop(request, None) or messages.decode_request(request)

    def _ended(self, peer: PeerId, asked: messages.Request) -> None:
        match asked:
            case AskBodies():
                self._pulls.ended(peer, self._timer())
            case Compare() | TellInterest():
                self._comparing.failed(peer, self._timer())

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> list[Effect]:
        """Do what is due: hang up, announce, pull, compare stores, ask for the own version."""
        now = self._timer()
        effects: list[Effect] = [Disconnect(p) for p in self._standings.shut_out(now) if p in self._peers]
        effects += self._announcements()
        effects += [self._request(peer, request) for peer, request in self._comparing.due(now)]
        for peer, asked in self._untold.items():
            if passed(now, asked.at, asked.wait_s):
                asked.at, asked.wait_s = now, min(2 * asked.wait_s, self._config.anti_entropy_max_s)
                effects.append(self._request(peer, AskOwn()))
        return effects + self._overdue_pulls(now)

    def exchange(self) -> list[Effect]:
        """Announce, and ask for what is lacking, as far as it was put off until now; `tick` does so too."""
        now = self._timer()
        announcements = self._announcements() if now >= self._announces_at else []
        return announcements + self._overdue_pulls(now)

    def exchanges_at(self) -> float:
        """Return when `exchange` has something to do next; infinity when there is nothing to announce or to pull."""
        return min(self._announces_at, self._pulls.due_at())

    def _overdue_pulls(self, now: float) -> list[Effect]:
        return [effect for peer in self._pulls.due(now) for effect in self._pull(peer)]

    def due_at(self) -> float:
        """Return when `tick` has something to do next, as far as is known now: until then it may be left out."""
        now = self._timer()
        if any(peer in self._peers for peer in self._standings.shut_out(now)):
            return now
        at = min(self._comparing.due_at(now), self.exchanges_at())
        return min(at, *(asked.at + asked.wait_s for asked in self._untold.values())) if self._untold else at

    def _announcements(self) -> list[Effect]:
        if not self._peers:
            self._to_announce.clear()  # whoever connects compares stores anyway
        authors = list(islice(self._to_announce, self._config.announced_at_once))
        for author in authors:
            del self._to_announce[author]
        self._announces_at = self._timer() + self._config.announce_gap_s if self._to_announce else math.inf
        known = ((author, self._store.entry(author)) for author in authors)
        entries = [(author, *entry) for author, entry in known if entry is not None]
        parts = (entries[at : at + MAX_ANNOUNCED] for at in range(0, len(entries), MAX_ANNOUNCED))
        return [self._announcement(tuple(part)) for part in parts]

    def _announcement(self, entries: tuple[Entry, ...]) -> Effect:
        data = messages.encode(Announce(entries))
        self.counters.sent(data)
        return Broadcast(data)

    # -- pulling ---------------------------------------------------------------------------------

    def _claim(self, peer: PeerId, entries: Iterable[Entry], *, pushed: bool) -> None:
        """Note what a peer says that it has, as far as it is news."""
        if peer not in self._peers:
            return
        now = self._timer()
        for entry in entries:
            if not self._intake.is_wanted(entry):
                continue  # a later comparison brings what has to wait
            welcome = self._admit(entry[0])
            if welcome <= 0 and entry[0] != self._me:
                self._refuse(Rejected.UNWANTED)
            elif not self._pulls.add(peer, entry, welcome, now, pushed=pushed):
                self._refuse(Rejected.FULL)

    def _pull(self, peer: PeerId) -> list[Effect]:
        wanted = self._pulls.next_batch(peer, self._timer())
        return [self._request(peer, AskBodies(wanted))] if wanted else []

    def _take(self, peer: PeerId, bodies: Iterable[bytes], asked: Iterable[PeerId]) -> list[Effect]:
        """Check and store records that came as the answer to a pull."""
        claims = self._pulls.claimed(peer, asked)
        try:
            taken = self._intake.take(bodies, claims.keys())
        except StoreUnavailable:  # the disk is full, say: what was asked for is asked for again later
            self._refuse(Rejected.UNSTORED)
            return []
        for reason in taken.refused:
            self._standings.blame(peer, reason, self._timer())
        new, convicted = taken.new, taken.convicted
        self.counters.accepted += len(new)
        effects = self._changed(new, convicted)
        authors = _authors(new, convicted)
        pushed = [author for author in authors if claims[author][1]]
        if len(self._peers) > 1:  # the only peer holds what it sent
            self._announce(pushed)
        # Whoever sent one of two records may not know the other, and what the two prove.
        self._announce(a for a in convicted if claims[a][0] != EQUIVOCATED)
        if len(pushed) < len(authors):
            self._comparing.found(self._timer(), self._config.poke_after_s)
        return effects

    # -- inside ----------------------------------------------------------------------------------

    def _request(self, peer: PeerId, request: messages.Request) -> Effect:
        data = messages.encode(request)
        self.counters.sent(data)
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[data] = request
        return Request(peer, data)

    def _welcome(self, peer: PeerId, data: bytes) -> bool:
        self.counters.received(data)
        now = self._timer()
        if self._standings.is_shut_out(peer, now):
            self._refuse(Rejected.SHUT_OUT)
            return False
        if self._from_peer.take(peer, now):
            return True
        self._blame(peer, Rejected.QUOTA)
        return False

    def _reproach(self, peer: PeerId, given_up: Iterable[tuple[PeerId, bool]]) -> None:
        """Count what a peer named and never sent. Who passed on another's announcement did not promise anything."""
        for author, pushed in given_up:
            if pushed and author != peer:
                self._refuse(Rejected.BROKEN_PROMISE)
            else:
                self._blame(peer, Rejected.BROKEN_PROMISE)

    def _blame(self, peer: PeerId, reason: Rejected) -> None:
        """Count a refusal, and hold it against the sender."""
        self._refuse(reason)
        self._standings.blame(peer, reason, self._timer())

    def _refuse(self, reason: Rejected) -> None:
        self.counters.rejected[reason] += 1

    def _announce(self, authors: Iterable[PeerId]) -> None:
        """Announce what is held of some authors, with whatever else there is to announce shortly after."""
        self._to_announce.update(dict.fromkeys(authors))
        if self._to_announce:
            self._announces_at = min(self._announces_at, self._timer() + self._config.announce_gap_s)

    def _changed(self, new: Sequence[Statement], convicted: Sequence[PeerId]) -> list[Effect]:
        evicted = self._store.take_evicted()
        for author, version in evicted.items():
            self._intake.remember_refused(author, version)
        # In the order they came, not a set's: equal runs must hold equal tables.
        authors = dict.fromkeys([*_authors(new, convicted), *evicted])
        for author in authors:
            entry = self._store.entry(author)
            if entry is None:
                self._holdings.drop(author)
            else:
                self._holdings.put((author, *entry))
        return [Changed(frozenset(authors))] if authors else []


def _reason(error: RecordInvalid | ValueError) -> Rejected:
    return error.reason if isinstance(error, RecordInvalid) else Rejected.MALFORMED


def _authors(new: Iterable[Statement], convicted: Iterable[PeerId]) -> list[PeerId]:
    return [*(signed.author for signed in new), *convicted]
