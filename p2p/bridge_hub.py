"""Joins bridges of one process, so that whole nodes run without a network: for tests, simulations and examples."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from p2p.bridge import BridgeTransport
from p2p.identity import Signer

Meddle = Callable[[bytes], bytes | None]
"""What becomes of a frame on its way; None loses it."""


class BridgeHub:
    """A host for any number of bridges, which are addressed by the names that they are made with.

    Args:
        meddle: does to each frame what a hostile link might.
    """

    def __init__(self, meddle: Meddle = lambda frame: frame) -> None:
        self._meddle = meddle
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._bridges: dict[str, BridgeTransport] = {}
        self._ends: dict[str, tuple[BridgeTransport, str]] = {}  # where a link's frames come out

    def bridge(self, name: str, signer: Signer) -> BridgeTransport:
        """Make a bridge that others reach under a name."""
        self._bridges[name] = made = BridgeTransport(signer, _End(self, name))
        return made

    def open(self, caller: str, address: str) -> str:
        """Open a link between two bridges; see `BridgeHost.open`."""
        if address not in self._bridges:
            raise ConnectionRefusedError(f"nobody is called {address}")
        number = next(self._numbers)
        near, far = f"{caller}>{number}", f"{address}<{number}"
        with self._lock:
            self._ends[near], self._ends[far] = (self._bridges[address], far), (self._bridges[caller], near)
        self._bridges[address].link_opened(far)
        return near

    def send(self, link: str, frame: bytes) -> None:
        """Carry a frame; see `BridgeHost.send`."""
        with self._lock:
            end = self._ends.get(link)
        if end is None:
            raise BrokenPipeError("the link is closed")
        carried = self._meddle(frame)
        if carried is not None:
            bridge, far = end
            bridge.received(far, carried)

    def close(self, link: str) -> None:
        """Close a link at both ends; see `BridgeHost.close`."""
        with self._lock:
            end = self._ends.pop(link, None)
            if end is not None:
                self._ends.pop(end[1], None)
        if end is not None:
            end[0].link_closed(end[1])


class _End:
    """The host of one bridge."""

    def __init__(self, hub: BridgeHub, name: str) -> None:
        self._hub = hub
        self._name = name
        self.send = hub.send
        self.close = hub.close

    def open(self, address: str) -> str:
        return self._hub.open(self._name, address)
