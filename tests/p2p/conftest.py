"""Fixtures of the tests of `p2p`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from p2p.identity import Identity
from tests.p2p.gossip_lab import Lab
from tests.p2p.transport_lab import LOOPBACK, Peer


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.meet()
    yield made
    made.store.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Peer]]:
    """Starts libp2p peers, and closes them in the end."""
    peers: list[Peer] = []

    def make(identity: Identity | None = None, listen: str = LOOPBACK) -> Peer:
        peers.append(Peer(identity, listen))
        return peers[-1]

    yield make
    for peer in peers:
        peer.transport.close()
