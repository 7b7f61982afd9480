"""The seam between the gossip protocol and whatever carries bytes.

A transport authenticates its peers: the `PeerId` it reports is the Ed25519 key the other side proved to hold. It may
lose, delay, repeat and reorder broadcasts; it cannot forge records, because records are signed above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p2p.identity import PeerId

MAX_BROADCAST_BYTES = 4 * 1024
MAX_REQUEST_BYTES = 64 * 1024
MAX_RESPONSE_BYTES = 1024 * 1024


class TransportHandlers(Protocol):
    """What a transport calls, from threads of its own unless said. Handlers are quick and never raise."""

    def on_peer(self, peer: PeerId) -> None:
        """A peer is connected."""

    def on_peer_gone(self, peer: PeerId) -> None:
        """The last connection to a peer is gone."""

    def on_broadcast(self, peer: PeerId, data: bytes) -> None:
        """A broadcast of `peer` arrived."""

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """`peer` asks; return the answer."""
        ...


class Transport(Protocol):
    """Carries broadcasts and requests. Blocking, and safe to call from any thread."""

    def start(self, handlers: TransportHandlers, listen: str) -> Sequence[str]:
        """Begin to listen and return the addresses to be dialled at.

        Raises:
            TransportUnavailable: it cannot run here.
        """
        ...

    def connect(self, address: str, timeout_s: float = 10.0) -> PeerId:
        """Dial an address.

        Raises:
            ConnectFailed: nobody answered there, or not who the address names.
        """
        ...

    def broadcast(self, data: bytes) -> None:
        """Send to the connected peers, best effort; at most `MAX_BROADCAST_BYTES`. Nobody passes it on."""

    def request(self, peer: PeerId, data: bytes, timeout_s: float = 10.0) -> bytes:
        """Ask a connected peer and return its answer.

        Raises:
            RequestFailed: no answer in time, or one above `MAX_RESPONSE_BYTES`.
        """
        ...

    def disconnect(self, peer: PeerId) -> None:
        """Hang up on a peer; harmless if it is gone."""

    def peers(self) -> Sequence[PeerId]:
        """Return the peers connected now."""
        ...

    def close(self) -> None:
        """Leave the network; closing twice is harmless."""
