"""One community of devices on a virtual clock: events in, messages for other communities out.

Everything that happens is a plain tuple in one queue, ordered by time, then by who caused it: so a community can be
stopped between two events, copied, and continued elsewhere with the same result. Messages to devices of another
community leave through `outbox`; the engine delivers them at the next multiple of the batch.

A connection is made by a greeting and its answer; who goes away says so, as a closing socket does, and what is sent to
it afterwards is lost. A broadcast floods: each device passes it on once, as gossipsub does in its mesh.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from p2p import Broadcast, Changed, Effect, Request
from p2p.effects import Disconnect
from sdk.simulation.device import Device
from sdk.simulation.scenario import NetworkConfig

START = 1_700_006_400.0  # virtual Unix seconds at which every simulation begins: on the hour
_TIMEOUT_S = 10.0
_SETTLED_S = 60.0  # a device that came online publishes what is new when its peers had time to tell its own version
_REMEMBERED_S = 120.0  # for how long a broadcast is recognised when it comes again, as in gossipsub


class Event(NamedTuple):
    """Something that happens to one device.

    Attributes:
        at: virtual Unix seconds.
        cause: number of the device that caused it.
        order: counts what that device caused, so that equal times have one order.
        target: number of the device that it happens to.
        kind: name of the handler.
        data: what comes with it.
    """

    at: float
    cause: int
    order: int
    target: int
    kind: str
    data: Any


class Present:
    """A device that is there, and its side of the network.

    Attributes:
        device: the device.
        online: whether it is reachable.
        session: counts the times that it came online; what was to happen in an earlier one does not.
        wanted: numbers of those whom it connects to.
        connected: numbers of those whom it is connected to.
        asked: requests that await an answer, by number: whom, and what.
        seen: hashes of broadcasts that came, those of the time before last as well.
        draw: of latencies and losses.
    """

    def __init__(self, device: Device, wanted: Sequence[int], seed: int) -> None:
        self.device = device
        self.online = False
        self.session = 0
        self.wanted = tuple(wanted)
        self.connected: dict[int, None] = {}
        self.asked: dict[int, tuple[int, bytes]] = {}
        self.requests = 0
        self.order = 0
        self.seen: tuple[set[int], set[int]] = (set(), set())
        self.seen_since = 0.0
        self.draw = random.Random(f"{seed}/{device.number}")


class Shard:
    """Devices of one community.

    Args:
        network: how links behave.
        seed: of the scenario.
        home: community of each device by number.
        number: of this community.
        apart: numbers of devices on the smaller side of each partition.
    """

    def __init__(
        self, network: NetworkConfig, seed: int, home: Sequence[int], number: int, apart: Sequence[frozenset[int]]
    ) -> None:
        self._network, self._seed, self._home, self._number, self._apart = network, seed, home, number, apart
        self._latency = (network.latency_ms[0] / 1e3, (network.latency_ms[1] - network.latency_ms[0]) / 1e3)
        self._events: list[Event] = []
        self.now = START
        self.present: dict[int, Present] = {}
        self.outbox: list[Event] = []
        self.sent: Counter[int] = Counter()
        self.received: Counter[int] = Counter()
        self.lost = 0

    def clock(self) -> float:
        """Return the virtual time; devices hold this."""
        return self.now

    def add(self, device: Device, wanted: Sequence[int], joins_at: float) -> None:
        """Add a device that comes online at a time."""
        present = Present(device, wanted, self._seed)
        self.present[device.number] = present
        self._later(present, joins_at - self.now, device.number, "join", None)

    # -- time ------------------------------------------------------------------------------------

    def next_time(self) -> float:
        """Return when something happens next; infinity if nothing will."""
        return self._events[0].at if self._events else float("inf")

    def deliver(self, events: Iterable[Event], earliest: float) -> None:
        """Take messages of other communities; none happens before `earliest`."""
        for event in events:
            heapq.heappush(self._events, event._replace(at=max(event.at, earliest)))

    def run(self, until: float) -> None:
        """Let everything happen that happens before `until`."""
        while self._events and self._events[0].at < until:
            event = heapq.heappop(self._events)
            self.now = event.at
            present = self.present[event.target]
            _HANDLERS[event.kind](self, present, event.cause, event.data)
        self.now = until

    def publish_at(self, number: int, at: float) -> None:
        """Let a device publish at a time, or, if it is away then, soon after it is back."""
        self._later(self.present[number], at - self.now, number, "publish", None)

    def perform(self, number: int, effects: Iterable[Effect]) -> None:
        """Carry out what a call from outside led to."""
        self._perform(self.present[number], effects)

    def _later(self, cause: Present, delay_s: float, target: int, kind: str, data: Any) -> None:
        cause.order += 1
        event = Event(self.now + max(0.0, delay_s), cause.device.number, cause.order, target, kind, data)
        if self._home[target] == self._number:
            heapq.heappush(self._events, event)
        else:
            self.outbox.append(event)

    # -- messages --------------------------------------------------------------------------------

    def _send(self, source: Present, target: int, kind: str, data: Any, size: int) -> None:
        self.sent[source.device.number] += size
        if self._apart and self._is_cut(source.device.number, target):
            self.lost += 1
            return
        if self._network.loss and source.draw.random() < self._network.loss:
            self.lost += 1
            return
        delay = self._latency[0] + self._latency[1] * source.draw.random()
        self._later(source, delay, target, kind, data)

    def _is_cut(self, one: int, other: int) -> bool:
        hour = (self.now - START) / 3600.0
        return any(
            cut.start_h <= hour < cut.start_h + cut.hours and (one in side) != (other in side)
            for cut, side in zip(self._network.partitions, self._apart, strict=True)
        )

    def _perform(self, present: Present, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Broadcast(data):
                    name = fingerprint(data)
                    self._first_time(present, name)
                    self._flood(present, name, data, but=-1)
                case Request(peer, data):
                    self._ask(present, present.device.number_of(peer), data)
                case Changed(authors):
                    present.device.take(authors)
                case Disconnect(peer):
                    self._hang_up(present, present.device.number_of(peer))

    def _flood(self, present: Present, name: int, data: bytes, but: int) -> None:
        named, size = (name, data), len(data)
        for target in present.connected:
            if target != but:
                self._send(present, target, "cast", named, size)

    def _first_time(self, present: Present, name: int) -> bool:
        if self.now - present.seen_since > _REMEMBERED_S:
            present.seen, present.seen_since = (set(), present.seen[0]), self.now
        if name in present.seen[0] or name in present.seen[1]:
            return False
        present.seen[0].add(name)
        return True

    def _ask(self, present: Present, target: int, data: bytes) -> None:
        present.requests += 1
        present.asked[present.requests] = (target, data)
        self._send(present, target, "ask", (present.requests, data), len(data))
        self._later(present, _TIMEOUT_S, present.device.number, "late", present.requests)

    def _hang_up(self, present: Present, target: int) -> None:
        if target in present.connected:
            del present.connected[target]
            self._send(present, target, "bye", None, 0)
            self._perform(present, present.device.core.on_peer_gone(present.device.peer_of(target)))

    # -- what happens ----------------------------------------------------------------------------

    def _on_join(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        if present.online:
            return
        present.online = True
        present.session += 1
        for target in present.wanted:
            self._send(present, target, "hello", None, 0)
        first = self._network.tick_s * present.draw.random()  # not everyone at once
        self._later(present, first, present.device.number, "tick", present.session)
        self._later(present, _SETTLED_S, present.device.number, "publish", None)
        if self._network.online < 1.0:
            away = self._network.session_h * 3600.0
            stay = away * self._network.online / (1.0 - self._network.online)
            self._later(present, present.draw.expovariate(1.0 / stay), present.device.number, "leave", None)

    def _on_publish(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        if present.online:
            self._perform(present, present.device.publish())

    def _on_leave(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        present.online = False
        for target in list(present.connected):
            self._hang_up(present, target)
        present.asked.clear()
        away = present.draw.expovariate(1.0 / (self._network.session_h * 3600.0))
        self._later(present, away, present.device.number, "join", None)

    def _on_tick(self, present: Present, cause: int, data: int) -> None:
        del cause
        if not present.online or data != present.session:
            return
        self._perform(present, present.device.core.tick())
        for garbage in present.device.garbage():
            self._flood(present, fingerprint(garbage), garbage, but=-1)
        for target in present.wanted:  # whoever was away, or lost the greeting, is tried again
            if target not in present.connected:
                self._send(present, target, "hello", None, 0)
        self._later(present, self._network.tick_s, present.device.number, "tick", present.session)

    def _on_hello(self, present: Present, cause: int, data: object) -> None:
        del data
        if present.online:
            self._meet(present, cause)
            self._send(present, cause, "welcome", None, 0)

    def _on_welcome(self, present: Present, cause: int, data: object) -> None:
        del data
        if present.online:
            self._meet(present, cause)

    def _meet(self, present: Present, other: int) -> None:
        if other not in present.connected:
            present.connected[other] = None
            self._perform(present, present.device.core.on_peer(present.device.peer_of(other)))

    def _on_bye(self, present: Present, cause: int, data: object) -> None:
        del data
        if cause in present.connected:
            del present.connected[cause]
            self._perform(present, present.device.core.on_peer_gone(present.device.peer_of(cause)))

    def _on_cast(self, present: Present, cause: int, named: tuple[int, bytes]) -> None:
        name, data = named
        if not present.online or cause not in present.connected:
            return
        self.received[present.device.number] += len(data)
        if not self._first_time(present, name):
            return
        peer = present.device.peer_of(cause)
        self._perform(present, present.device.core.on_broadcast(peer, data))
        if present.device.relays(cause, data):
            self._flood(present, name, data, but=cause)

    def _on_ask(self, present: Present, cause: int, data: tuple[int, bytes]) -> None:
        request, question = data
        if present.online and cause in present.connected:
            self.received[present.device.number] += len(question)
            answer = present.device.answer(cause, question)
            self._send(present, cause, "answer", (request, answer), len(answer))

    def _on_answer(self, present: Present, cause: int, data: tuple[int, bytes]) -> None:
        request, answer = data
        if present.online and request in present.asked:
            _, question = present.asked.pop(request)
            self.received[present.device.number] += len(answer)
            peer = present.device.peer_of(cause)
            self._perform(present, present.device.core.on_response(peer, question, answer))

    def _on_late(self, present: Present, cause: int, data: int) -> None:
        del cause
        if data in present.asked:
            target, question = present.asked.pop(data)
            self._perform(present, present.device.core.on_request_failed(present.device.peer_of(target), question))


def fingerprint(data: bytes) -> int:
    """Name a broadcast; the same in every process, as `hash` is not."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


_HANDLERS: dict[str, Any] = {
    name.removeprefix("_on_"): getattr(Shard, name)
    for name in ("_on_join", "_on_leave", "_on_tick", "_on_hello", "_on_welcome", "_on_bye", "_on_cast", "_on_ask")
} | {"answer": Shard._on_answer, "late": Shard._on_late, "publish": Shard._on_publish}
