"""What transports are tested with: handlers that remember what came, and real libp2p peers on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable

from p2p.identity import Identity, PeerId
from p2p.libp2p_transport import Libp2pTransport

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
PATIENCE_S = 20.0


def _answer(data: bytes) -> bytes:
    return b"answer to " + data


class Recorder:
    """Transport handlers that remember what came and let a test wait for it. What begins with "raise" makes them raise,
    what begins with "keep" is not passed on."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.present: set[PeerId] = set()
        self.arrivals: list[PeerId] = []
        self.broadcasts: list[tuple[PeerId, bytes]] = []
        self.answer: Callable[[bytes], bytes] = _answer

    def on_peer(self, peer: PeerId) -> None:
        with self.changed:
            self.present.add(peer)
            self.arrivals.append(peer)
            self.changed.notify_all()

    def on_peer_gone(self, peer: PeerId) -> None:
        with self.changed:
            self.present.discard(peer)
            self.changed.notify_all()

    def on_broadcast(self, peer: PeerId, data: bytes) -> None:
        with self.changed:
            self.broadcasts.append((peer, data))
            self.changed.notify_all()
        if data.startswith(b"raise"):
            raise RuntimeError("a handler that raises on a broadcast")

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        if data == b"raise":
            raise RuntimeError("a handler that raises on a request")
        return self.answer(data)

    def heard(self) -> list[bytes]:
        return [data for _, data in self.broadcasts]

    def wait(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)


class Peer:
    """A started libp2p transport with its identity and recorder."""

    def __init__(self, identity: Identity | None = None, listen: str = LOOPBACK) -> None:
        self.identity = identity or Identity.create()
        self.recorder = Recorder()
        self.transport = Libp2pTransport(self.identity)
        self.address = self.transport.start(self.recorder, listen)[0]

    @property
    def id(self) -> PeerId:
        return self.identity.peer_id

    def hears(self, speaker: Peer, text: bytes) -> bool:
        """Let `speaker` broadcast until it arrives here: before the mesh has formed, broadcasts are lost."""
        for attempt in range(60):
            speaker.transport.broadcast(text + b" %d" % attempt)
            if self.recorder.wait(lambda: any(data.startswith(text) for data in self.recorder.heard()), 0.5):
                return True
        return False
