"""A network in one process with a clock of its own: latency, loss, reordering and partitions, all from one seed.

It drives `Gossip` cores directly, so a test of many peers takes moments and always runs the same way. A broadcast
floods: each peer passes it on once to its neighbours, as gossipsub does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from p2p.effects import Broadcast, Changed, Disconnect, Effect, Request
from p2p.gossip import Gossip
from p2p.identity import PeerId


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
    """

    def __init__(self, seed: int = 0, link: LinkConfig | None = None, start: float = 1_700_000_000.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._link = link or LinkConfig()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._nodes: dict[PeerId, Gossip] = {}
        self._links: set[frozenset[PeerId]] = set()
        self._cut: set[frozenset[PeerId]] = set()
        self.now = start
        self.changed: list[tuple[float, PeerId, frozenset[PeerId]]] = []

    def clock(self) -> float:
        """Return the virtual time; hand this to the `Gossip` cores."""
        return self.now

    def add(self, peer: PeerId, node: Gossip, tick_s: float = 0.25) -> None:
        """Add a peer and let it tick; a peer of the same name is replaced, and its links stay."""
        self._nodes[peer] = node

        def tick() -> None:
            if self._nodes[peer] is node:  # otherwise it was replaced: the device restarted
                self._perform(peer, node.tick())
                self._after(tick_s, tick)

        self._after(tick_s, tick)

    def connect(self, left: PeerId, right: PeerId) -> None:
        """Open a link between two peers."""
        self._links.add(frozenset((left, right)))
        self._perform(left, self._nodes[left].on_peer(right))
        self._perform(right, self._nodes[right].on_peer(left))

    def disconnect(self, left: PeerId, right: PeerId) -> None:
        """Close a link; both sides notice."""
        self._links.discard(frozenset((left, right)))
        self._perform(left, self._nodes[left].on_peer_gone(right))
        self._perform(right, self._nodes[right].on_peer_gone(left))

    def partition(self, *sides: Collection[PeerId]) -> None:
        """Lose everything between the sides, from now on."""
        side_of = {peer: number for number, side in enumerate(sides) for peer in side}
        self._cut = {link for link in self._links if len({side_of[peer] for peer in link}) > 1}

    def heal(self) -> None:
        """End every partition."""
        self._cut = set()

    def perform(self, peer: PeerId, effects: Iterable[Effect]) -> None:
        """Carry out the effects of a call made from outside, such as `publish`."""
        self._perform(peer, effects)

    def inject(self, source: PeerId, target: PeerId, data: bytes) -> None:
        """Let `target` receive a broadcast of arbitrary bytes from `source`."""
        self._send(source, target, partial(self._arrive, source, target, data, {source}))

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

    def _send(self, source: PeerId, target: PeerId, arrive: Callable[[], None]) -> bool:
        link = frozenset((source, target))
        if link in self._cut or self._rng.random() < self._link.loss:
            return False
        self._after(float(self._rng.uniform(*self._link.latency_s)), arrive)
        return True

    def _perform(self, peer: PeerId, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Broadcast(data):
                    self._flood(peer, data, {peer})
                case Request(target, data):
                    self._ask(peer, target, data)
                case Changed(authors):
                    self.changed.append((self.now, peer, authors))
                case Disconnect(target):
                    self.disconnect(peer, target)

    def _flood(self, forwarder: PeerId, data: bytes, reached: set[PeerId]) -> None:
        for target in self._neighbours(forwarder):
            self._send(forwarder, target, partial(self._arrive, forwarder, target, data, reached))

    def _arrive(self, forwarder: PeerId, target: PeerId, data: bytes, reached: set[PeerId]) -> None:
        if target not in reached:
            reached.add(target)
            self._perform(target, self._nodes[target].on_broadcast(forwarder, data))
            if self._nodes[target].relays(data):
                self._flood(target, data, reached)

    def _neighbours(self, peer: PeerId) -> list[PeerId]:
        return sorted(other for link in self._links if peer in link for other in link - {peer})

    def _ask(self, peer: PeerId, target: PeerId, data: bytes) -> None:
        def fail() -> None:
            self._perform(peer, self._nodes[peer].on_request_failed(target, data))

        def arrive() -> None:
            answer = self._nodes[target].on_request(peer, data)
            if not self._send(target, peer, lambda: respond(answer)):
                self._after(1.0, fail)

        def respond(answer: bytes) -> None:
            self._perform(peer, self._nodes[peer].on_response(target, data, answer))

        if not self._send(peer, target, arrive):
            self._after(1.0, fail)
