"""One community of devices on a virtual clock: events in, messages for other communities out.

Everything that happens is a plain tuple in one queue, ordered by time, then by who caused it: so a community can be
stopped between two events, copied, and continued elsewhere with the same result. Messages to devices of another
community leave through `outbox`; the engine delivers them at the next multiple of the batch.

A connection is made by a greeting and its answer; who goes away says so, as a closing socket does, and what is sent to
it afterwards is lost. Nothing is queued that could change nothing: an announcement of what the other side holds already
is counted when it is sent, one timer per device stands for all answers that it awaits, and a device with nothing to do
does not tick.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from p2p import Broadcast, Changed, Effect, Request
from p2p.effects import Disconnect
from sdk.simulation.device import Device
from sdk.simulation.scenario import NetworkConfig

START = 1_700_006_400.0  # virtual Unix seconds at which every simulation begins: on the hour
_TIMEOUT_S = 10.0
_SETTLED_S = 60.0  # a device that came online publishes what is new when its peers had time to tell its own version
_NEVER = float("inf")


Event = tuple[float, int, int, int, str, Any]
"""Something that happens to one device: when, in virtual Unix seconds; the number of the device that caused it; a count
of what that device caused, so that equal times have one order; the number of the device that it happens to; the name of
the handler; what comes with it."""


class Present:
    """A device that is there, and its side of the network.

    Attributes:
        device, number: the device, and which it is.
        online: whether it is reachable.
        wanted: numbers of those whom it connects to, in this order.
        connected: numbers of those whom it is connected to.
        asked: requests that await an answer, by number: whom, what, and until when; in the order of that time.
        timed: whether a timer for them runs.
        ticks_from: when the first tick of this session is; the others follow at whole multiples of `tick_s`.
        ticks_at: when the next tick is.
        exchanges_at: when the next announcement or pull is that was put off; infinity when none was.
        draw: of latencies and losses.
    """

    __slots__ = (
        "asked",
        "connected",
        "device",
        "draw",
        "exchanges_at",
        "number",
        "online",
        "order",
        "requests",
        "ticks_at",
        "ticks_from",
        "timed",
        "wanted",
    )

    def __init__(self, device: Device, wanted: Sequence[int], seed: int) -> None:
        self.device, self.number = device, device.number
        self.online = False
        self.wanted: dict[int, None] = dict.fromkeys(wanted)
        self.connected: dict[int, None] = {}
        self.asked: dict[int, tuple[int, bytes, float]] = {}
        self.timed = False
        self.ticks_from = self.ticks_at = self.exchanges_at = _NEVER
        self.requests = 0
        self.order = 0
        self.draw = random.Random(f"{seed}/{device.number}")


class Shard:
    """Devices of one community.

    Args:
        network: how links behave.
        seed: of the scenario.
        apart: numbers of devices on the smaller side of each partition.
    """

    def __init__(self, network: NetworkConfig, seed: int, apart: Sequence[frozenset[int]]) -> None:
        self._network, self._seed, self._apart = network, seed, apart
        self._latency = (network.latency_ms[0] / 1e3, (network.latency_ms[1] - network.latency_ms[0]) / 1e3)
        self._can_lose = bool(network.loss or apart)
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
        return self._events[0][0] if self._events else _NEVER

    def deliver(self, events: Iterable[Event], earliest: float) -> None:
        """Take messages of other communities; none happens before `earliest`."""
        for at, *rest in events:
            heapq.heappush(self._events, (max(at, earliest), *rest))

    def run(self, until: float) -> None:
        """Let everything happen that happens before `until`."""
        events, everyone = self._events, self.present
        while events and events[0][0] < until:
            self.now, cause, _, target, kind, data = heapq.heappop(events)
            _HANDLERS[kind](self, everyone[target], cause, data)
        self.now = until

    def publish_at(self, number: int, at: float) -> None:
        """Let a device publish at a time, or, if it is away then, soon after it is back."""
        self._later(self.present[number], at - self.now, number, "publish", None)

    def perform(self, number: int, effects: Iterable[Effect]) -> None:
        """Carry out what a call from outside led to."""
        self._perform(self.present[number], effects)

    def _later(self, cause: Present, delay_s: float, target: int, kind: str, data: Any) -> None:
        cause.order += 1
        event = (self.now + max(0.0, delay_s), cause.number, cause.order, target, kind, data)
        if target in self.present:
            heapq.heappush(self._events, event)
        else:
            self.outbox.append(event)

    def _at(self, present: Present, at: float, kind: str, data: Any = None) -> None:
        """Let something happen to a device of its own accord; at the earliest now."""
        present.order += 1
        number, at = present.number, max(self.now, at)
        heapq.heappush(self._events, (at, number, present.order, number, kind, data))

    # -- messages --------------------------------------------------------------------------------

    def _send(self, source: Present, target: int, kind: str, data: Any, size: int) -> None:
        self.sent[source.number] += size
        if not (self._can_lose and self._loses(source, target)):
            self._later(source, self._latency_of(source), target, kind, data)

    def _loses(self, source: Present, target: int) -> bool:
        is_cut = self._apart and self._is_cut(source.number, target)
        if is_cut or (self._network.loss and source.draw.random() < self._network.loss):
            self.lost += 1
            return True
        return False

    def _is_cut(self, one: int, other: int) -> bool:
        hour = (self.now - START) / 3600.0
        return any(
            cut.start_h <= hour < cut.start_h + cut.hours and (one in side) != (other in side)
            for cut, side in zip(self._network.partitions, self._apart, strict=True)
        )

    def _perform(self, present: Present, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Request(peer, data):
                    self._ask(present, present.device.number_of(peer), data)
                case Changed(authors):
                    present.device.take(authors)
                case Broadcast(data) if present.device.misbehaviour != "eclipse":
                    self._broadcast(present, data)
                case Disconnect(peer):
                    self._hang_up(present, present.device.number_of(peer))
        self._rouse(present)

    def _broadcast(self, present: Present, data: bytes) -> None:
        """Send to all whom a device is connected to; to whom it brings no news, it is counted and not queued."""
        number, size = present.number, len(data)
        for target in present.connected:
            self.sent[number] += size
            if self._can_lose and self._loses(present, target):
                continue
            other = self.present.get(target)
            if other is None or other.device.heeds(data):
                self._later(present, self._latency_of(present), target, "cast", data)
            elif other.online and number in other.connected:
                self.received[target] += size

    def _latency_of(self, source: Present) -> float:
        return self._latency[0] + self._latency[1] * source.draw.random()

    def _ask(self, present: Present, target: int, data: bytes) -> None:
        present.requests += 1
        until = self.now + _TIMEOUT_S
        present.asked[present.requests] = (target, data, until)
        self._send(present, target, "ask", (present.requests, data), len(data))
        if not present.timed:
            present.timed = True
            self._at(present, until, "late")

    def _hang_up(self, present: Present, target: int) -> None:
        if target in present.connected:
            del present.connected[target]
            self._send(present, target, "bye", None, 0)
            self._perform(present, present.device.core.on_peer_gone(present.device.peer_of(target)))

    # -- rest ------------------------------------------------------------------------------------

    def _rouse(self, present: Present) -> None:
        """See to it that a device does what it put off, and ticks, when there is something to do; it may be asleep."""
        if not present.online:
            return
        exchanges_at = max(self.now, present.device.core.exchanges_at())
        if exchanges_at < present.exchanges_at:
            present.exchanges_at = exchanges_at
            self._at(present, exchanges_at, "exchange")
        if present.ticks_at > self.now + self._network.tick_s:
            self._tick_at(present, self._needed_at(present))

    def _needed_at(self, present: Present) -> float:
        """Return from when on a tick has something to do."""
        if present.device.misbehaviour == "flood" or not present.connected.keys() >= present.wanted.keys():
            return self.now
        return present.device.core.due_at()

    def _tick_at(self, present: Present, needed_at: float) -> None:
        """Let a device tick at its first time from then on, unless it does so earlier."""
        if needed_at == _NEVER:
            return
        tick_s, since = self._network.tick_s, max(self.now, needed_at) - present.ticks_from
        at = present.ticks_from + tick_s * max(0, math.ceil(since / tick_s))
        if at <= self.now:
            at += tick_s
        if at < present.ticks_at:
            present.ticks_at = at
            self._at(present, at, "tick")

    # -- what happens ----------------------------------------------------------------------------

    def _on_join(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        if present.online:
            return
        present.online = True
        for target in present.wanted:
            self._send(present, target, "hello", None, 0)
        # Not everyone at once; the first tick finds out who lost the greeting.
        present.ticks_from = present.ticks_at = self.now + self._network.tick_s * present.draw.random()
        self._at(present, present.ticks_at, "tick")
        self._later(present, _SETTLED_S, present.number, "publish", None)
        if self._network.online < 1.0:
            away = self._network.session_h * 3600.0
            stay = away * self._network.online / (1.0 - self._network.online)
            self._later(present, present.draw.expovariate(1.0 / stay), present.number, "leave", None)

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
        present.ticks_at = present.exchanges_at = _NEVER
        away = present.draw.expovariate(1.0 / (self._network.session_h * 3600.0))
        self._later(present, away, present.number, "join", None)

    def _on_tick(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        if self.now != present.ticks_at:  # it was put forward, or the device is away
            return
        present.ticks_at = _NEVER
        self._perform(present, present.device.core.tick())
        for garbage in present.device.garbage():
            self._broadcast(present, garbage)
        for target in present.wanted:  # whoever was away, or lost the greeting, is tried again
            if target not in present.connected:
                self._send(present, target, "hello", None, 0)

    def _on_exchange(self, present: Present, cause: int, data: object) -> None:
        del cause, data
        if self.now == present.exchanges_at:
            present.exchanges_at = _NEVER
            self._perform(present, present.device.core.exchange())

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

    def _on_cast(self, present: Present, cause: int, data: bytes) -> None:
        if present.online and cause in present.connected:
            self.received[present.number] += len(data)
            self._perform(present, present.device.core.on_broadcast(present.device.peer_of(cause), data))

    def _on_ask(self, present: Present, cause: int, data: tuple[int, bytes]) -> None:
        request, question = data
        if present.online and cause in present.connected:
            self.received[present.number] += len(question)
            answer = present.device.answer(cause, question)
            self._send(present, cause, "answer", (request, answer), len(answer))
            self._rouse(present)

    def _on_answer(self, present: Present, cause: int, data: tuple[int, bytes]) -> None:
        request, answer = data
        if present.online and request in present.asked:
            _, question, _ = present.asked.pop(request)
            self.received[present.number] += len(answer)
            peer = present.device.peer_of(cause)
            self._perform(present, present.device.core.on_response(peer, question, answer))

    def _on_late(self, present: Present, cause: int, data: object) -> None:
        """Give up the requests whose time is over, and wait for the next one's."""
        del cause, data
        while present.asked:
            request, (target, question, until) = next(iter(present.asked.items()))
            if until > self.now:
                self._at(present, until, "late")
                return
            del present.asked[request]
            self._perform(present, present.device.core.on_request_failed(present.device.peer_of(target), question))
        present.timed = False


_HANDLERS: dict[str, Any] = {
    name.removeprefix("_on_"): getattr(Shard, name)
    for name in ("_on_join", "_on_leave", "_on_tick", "_on_hello", "_on_welcome", "_on_bye", "_on_cast")
} | {
    "answer": Shard._on_answer,
    "ask": Shard._on_ask,
    "exchange": Shard._on_exchange,
    "late": Shard._on_late,
    "publish": Shard._on_publish,
}
