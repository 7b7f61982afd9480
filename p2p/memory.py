"""A network in one process with a clock of its own: latency, loss, reordering, partitions and churn, from one seed.

It drives `Gossip` cores directly, so a test of many peers takes moments and always runs the same way.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from p2p.effects import Broadcast, Changed, Disconnect, Effect, Request
from p2p.gossip import Gossip
from p2p.identity import PeerId

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How links behave: seconds of latency drawn evenly from a range, and the share of messages lost."""

    latency_s: tuple[float, float] = (0.01, 0.2)
    loss: float = 0.0


class MemoryNetwork:
    """Peers on a virtual clock.

    Args:
        seed: of latency and loss.
        link: how links behave.
        start: Unix seconds at which the clock begins.
        on_change: told whom which authors changed for.

    Attributes:
        now: virtual Unix seconds.
        sent, received: bytes of messages by peer, without transport overhead.
    """

    def __init__(
        self,
        seed: int = 0,
        link: LinkConfig | None = None,
        start: float = 1_700_000_000.0,
        on_change: Callable[[PeerId, frozenset[PeerId]], None] = lambda _, __: None,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._link = link or LinkConfig()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._nodes: dict[PeerId, Gossip] = {}
        self._links: dict[PeerId, dict[PeerId, None]] = {}
        self._away: dict[PeerId, tuple[PeerId, ...]] = {}
        self._cut: set[frozenset[PeerId]] = set()
        self.now = start
        self._on_change = on_change
        self.sent: Counter[PeerId] = Counter()
        self.received: Counter[PeerId] = Counter()

    def clock(self) -> float:
        """Return the virtual time; hand this to the `Gossip` cores."""
        return self.now

    def add(self, peer: PeerId, node: Gossip, tick_s: float = 0.25) -> None:
        """Add a peer and let it tick; a peer of the same name is replaced, and its links stay."""
        self._nodes[peer] = node
        self._links.setdefault(peer, {})

        def tick() -> None:
            if self._nodes.get(peer) is node:  # otherwise it was replaced, or left: the device restarted
                self._perform(peer, node.tick())
                self._after(tick_s, tick)

        self._after(tick_s, tick)

    def connect(self, left: PeerId, right: PeerId) -> None:
        """Open a link between two peers."""
        self._links[left][right] = self._links[right][left] = None
        self._perform(left, self._nodes[left].on_peer(right))
        self._perform(right, self._nodes[right].on_peer(left))

    def disconnect(self, left: PeerId, right: PeerId) -> None:
        """Close a link; both sides notice."""
        for one, other in ((left, right), (right, left)):
            self._links[one].pop(other, None)
            if one in self._nodes:
                self._perform(one, self._nodes[one].on_peer_gone(other))

    def leave(self, peer: PeerId) -> None:
        """Let a device go away without a word; its neighbours notice, and its own core is not asked any more."""
        del self._nodes[peer]
        self._away[peer] = tuple(self._links[peer])
        for other in self._away[peer]:
            self.disconnect(other, peer)

    def come_back(self, peer: PeerId, node: Gossip, tick_s: float = 0.25) -> None:
        """Let a device that left return, and meet those of its neighbours who are there."""
        self.add(peer, node, tick_s)
        for other in self._away.pop(peer):
            if other in self._nodes:
                self.connect(peer, other)
            elif peer not in self._away[other]:
                self._away[other] += (peer,)

    def partition(self, *sides: Collection[PeerId]) -> None:
        """Lose everything between the sides, from now on."""
        side_of = {peer: number for number, side in enumerate(sides) for peer in side}
        links = (frozenset((one, other)) for one, others in self._links.items() for other in others)
        self._cut = {link for link in links if len({side_of[peer] for peer in link}) > 1}

    def heal(self) -> None:
        """End every partition."""
        self._cut = set()

    def perform(self, peer: PeerId, effects: Iterable[Effect]) -> None:
        """Carry out the effects of a call made from outside, such as `publish`."""
        self._perform(peer, effects)

    def inject(self, source: PeerId, target: PeerId, data: bytes) -> None:
        """Let `target` receive a broadcast of arbitrary bytes from `source`."""

        def arrive() -> None:
            self._perform(target, self._nodes[target].on_broadcast(source, data))

        self._send(source, target, data, arrive)

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Call something at a virtual time; at once, if that is past."""
        self._after(max(0.0, time - self.now), event)

    def run_until(self, done: Callable[[], bool], within_s: float) -> bool:
        """Advance the clock until `done()`, at most `within_s`; return whether it was reached."""
        end = self.now + within_s
        while not done():
            if not self._events or self._events[0][0] > end:
                self.now = end
                return done()
            self.now, _, event = heapq.heappop(self._events)
            event()
        return True

    def _after(self, delay_s: float, event: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.now + delay_s, self._order, event))

    def _send(self, source: PeerId, target: PeerId, data: bytes, arrive: Callable[[], None]) -> bool:
        self.sent[source] += len(data)
        if self._cut and frozenset((source, target)) in self._cut:
            return False
        if self._link.loss and self._rng.random() < self._link.loss:
            return False

        def delivered() -> None:
            if target in self._nodes:
                self.received[target] += len(data)
                arrive()

        self._after(float(self._rng.uniform(*self._link.latency_s)), delivered)
        return True

    def _perform(self, peer: PeerId, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Broadcast(data):
                    for target in tuple(self._links[peer]):
                        self.inject(peer, target, data)
                case Request(target, data):
                    self._ask(peer, target, data)
                case Changed(authors):
                    self._on_change(peer, authors)
                case Disconnect(target):
                    self.disconnect(peer, target)

    def _ask(self, peer: PeerId, target: PeerId, data: bytes) -> None:
        asker = self._nodes[peer]
        done = False

        def time_out() -> None:
            nonlocal done
            if not done and self._nodes.get(peer) is asker:
                done = True
                self._perform(peer, asker.on_request_failed(target, data))

        def arrive() -> None:
            answer = self._nodes[target].on_request(peer, data)
            self._send(target, peer, answer, lambda: respond(answer))

        def respond(answer: bytes) -> None:
            nonlocal done
            if not done and self._nodes.get(peer) is asker:
                done = True
                self._perform(peer, asker.on_response(target, data, answer))

        self._send(peer, target, data, arrive)
        self._after(_TIMEOUT_S, time_out)
