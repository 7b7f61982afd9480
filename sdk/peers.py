"""Whom the person trusts, and the network of peers."""

from __future__ import annotations

from collections.abc import Sequence

from p2p import NodeStatus, PeerId
from sdk.errors import InvalidInput
from sdk.opened import OpenDevice
from sdk.store import BLOCKED, Opinion
from sdk.trust_view import TrustView, trust_view

_MOST_SHOWN = 1000


class Peers:
    """A part of `Recommender`: opinions of peers, and joining them."""

    _device: OpenDevice

    def vouch(self, peer: bytes, level: int = 2) -> None:
        """Trust a peer: their likes and whom they trust begin to count.

        Args:
            peer: the peer's public key, 32 bytes.
            level: 1 (a little) to 3 (a lot).
        """
        if level not in (1, 2, 3):
            raise InvalidInput(f"a vouch has level 1, 2 or 3, got {level!r}")
        self._say(peer, level)

    def block(self, peer: bytes) -> None:
        """Cut a peer off: nothing reaches this device's rankings through them. Nobody is told."""
        self._say(peer, BLOCKED)

    def unvouch(self, peer: bytes) -> bool:
        """Take back a vouch or a block; return whether there was one."""
        known, device = self._checked_peer(peer), self._device
        with device.locked():
            removed = device.store.remove_opinion(known, device.community)
            device.own_changed = True
            return removed

    def opinions(self) -> list[Opinion]:
        """Return what the person said of peers, ordered by peer: level 1 to 3 for a vouch, `BLOCKED` for a block."""
        with self._device.locked():
            return self._device.store.opinions(self._device.community)

    def trusted_peers(self) -> list[tuple[PeerId, float]]:
        """Return whom this device trusts and how much, the most trusted first (scores within 0..1)."""
        with self._device.locked():
            return [(peer, s.score) for peer, s in self._device.view().trusted.items()]

    def trust_graph(self, limit: int = 100) -> TrustView:
        """Return the most trusted peers, those that were blocked, and who vouches for whom among them.

        Args:
            limit: how many trusted peers at most, 1 to 1000.
        """
        if not isinstance(limit, int) or not 1 <= limit <= _MOST_SHOWN:
            raise InvalidInput(f"limit must be between 1 and {_MOST_SHOWN}, got {limit!r}")
        device = self._device
        with device.locked("trust_graph"):
            view = device.view()
            said = device.social.current(device.store.opinions(device.community))
            return trust_view(device.identity.peer_id, view, said, device.network.store, limit)

    # -- the network -----------------------------------------------------------------------------

    def connect(
        self, peers: Sequence[str] = (), *, listen: str = "/ip4/127.0.0.1/tcp/0", lan: bool = False
    ) -> list[str]:
        """Join the peer network, publish what the sharing policy allows, and return this device's addresses.

        Args:
            peers: multiaddrs (with /p2p/…) to dial.
            listen: multiaddr to listen on.
            lan: whether to look for peers on the local network by mDNS, which tells everybody there this device's peer
                id and address.

        Raises:
            p2p.P2PError: libp2p is not installed, or no peer of `peers` could be reached.
        """
        device = self._device
        with device.network_lock:
            device.check_open()
            addresses = device.network.connect(peers, listen, lan=lan)
            device.publish()
            return addresses

    @property
    def addresses(self) -> list[str]:
        """Where peers can dial this device; empty before `connect`."""
        with self._device.locked():
            return self._device.network.addresses

    def publish(self) -> bool:
        """Sign and gossip what the sharing policy allows; return whether anything new was published.

        Raises:
            NotConnected: call `connect` first.
        """
        return self._device.publish()

    def network_status(self) -> NodeStatus:
        """Return counts of peers, records and traffic."""
        with self._device.locked():
            return self._device.network.status()

    def count_records(self) -> int:
        """Return how many peers' records the device holds."""
        with self._device.locked():
            return len(self._device.network.store.summary())

    @property
    def peer_id(self) -> PeerId:
        """This device's public key: what others vouch for."""
        return self._device.identity.peer_id

    def _checked_peer(self, peer: bytes) -> PeerId:
        if not isinstance(peer, bytes) or len(peer) != 32:
            raise InvalidInput("a peer is named by its public key: 32 bytes")
        if peer == self.peer_id:
            raise InvalidInput("a device cannot vouch for or block itself")
        return PeerId(peer)

    def _say(self, peer: bytes, level: int) -> None:
        known, device = self._checked_peer(peer), self._device
        with device.locked():
            device.store.set_opinion(Opinion(known, level, device.now(), device.community))
            device.own_changed = True
