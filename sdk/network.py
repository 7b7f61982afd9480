"""The device's side of the peer network: records in from disk and peers, its own record out.

Records that were received stay on disk, so the trust walk works offline and from the first second after a restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from p2p import (
    AdjacencyRecord,
    ConnectFailed,
    Identity,
    ItemEdge,
    NodeStatus,
    PeerId,
    PeerNode,
    RecordStore,
    SignedRecord,
    Transport,
    TrustEdge,
    round_issued_at,
    sign_record,
)
from p2p.files import FileOffers, FileShelf
from p2p.lan import LanDiscovery, expanded
from sdk.device_folder import DeviceFolder
from sdk.errors import NotConnected
from sdk.interest import Interest, InterestConfig
from sdk.social import SocialGraph

TransportFactory = Callable[[Identity], Transport]

logger = logging.getLogger("meritrec.sdk")


def libp2p_transport(identity: Identity) -> Transport:
    """Return the default transport; imports libp2p only now."""
    from p2p.libp2p_transport import Libp2pTransport

    return Libp2pTransport(identity)


class Network:
    """Record store and, once connected, the peer node of one device."""

    def __init__(
        self,
        folder: DeviceFolder,
        social: SocialGraph,
        clock: Callable[[], float],
        transport: TransportFactory = libp2p_transport,
        interest: InterestConfig | None = None,
        shelf: FileShelf | None = None,
    ) -> None:
        self._folder = folder
        self._shelf = shelf
        self._social = social
        self._clock = clock
        self._transport = transport
        self._node: PeerNode | None = None
        self._addresses: list[str] = []
        self._lan: LanDiscovery | None = None
        self.store = RecordStore(folder.records_path, hits=social.hits)
        for old, successor in self.store.successors().items():
            social.set_successor(old, successor)
        for signed in self.store.records():
            social.set_record(signed.record)
        self._interest = Interest(social, lambda: len(self.store), interest or InterestConfig())

    @property
    def connected(self) -> bool:
        """Whether the node is running."""
        return self._node is not None

    @property
    def addresses(self) -> list[str]:
        """Where the node can be dialled at; nowhere while it is not running."""
        return list(self._addresses) if self._node is not None else []

    def connect(self, peers: Sequence[str], listen: str, *, lan: bool = False) -> list[str]:
        """Start the node if it is not running, dial `peers`, and return the addresses to be dialled at.

        Args:
            peers: addresses to dial, and to dial again whenever that connection is lost.
            listen: where to listen.
            lan: whether to look for peers on the local network, and to be found there.

        Raises:
            p2p.P2PError: the transport cannot run, or none of `peers` was reached.
        """
        if self._node is None:
            node = PeerNode(
                self._folder.identity,
                self.store,
                self._transport(self._folder.identity),
                clock=self._clock,
                on_change=self._changed,
                admit=self._interest.admit,
                frontier=self._interest.frontier,
                files=None if self._shelf is None else FileOffers(self._shelf, time.monotonic),
            )
            self._look_around()
            try:
                self._addresses = list(node.start(listen))
            except BaseException:
                node.stop()
                raise
            self._node = node
        if lan and self._lan is None:
            self._lan = LanDiscovery(expanded(self._addresses), self._found)
        self._dial(self._node, peers)
        return list(self._addresses)

    def _found(self, address: str) -> None:
        """Dial what the local network announced; a device announces several addresses, and not all of them answer."""
        if self._node is not None:
            try:
                self._node.dial(address)
            except ConnectFailed as error:
                logger.debug("found on the local network, but not reached: %s", error)

    def _dial(self, node: PeerNode, peers: Sequence[str]) -> None:
        failures = []
        for address in peers:
            try:
                node.connect(address)
            except ConnectFailed as error:
                failures.append(error)
        if peers and len(failures) == len(peers):
            raise failures[0]

    def publish(self, items: tuple[ItemEdge, ...], vouches: tuple[TrustEdge, ...]) -> AdjacencyRecord:
        """Sign and gossip this device's next record, and return it; empty lists take everything back.

        Raises:
            NotConnected: the node is not running.
        """
        if self._node is None:
            raise NotConnected("publishing needs the network; call connect() first")
        author, issued_at = self._folder.identity.peer_id, round_issued_at(int(self._clock()))

        def make(version: int) -> SignedRecord:
            return sign_record(AdjacencyRecord(author, version, issued_at, vouches, items), self._folder.identity)

        return self._node.publish(make).record

    def own_record(self) -> AdjacencyRecord | None:
        """Return this device's latest record, None if it never published under its key."""
        signed = self.store.get(self._folder.identity.peer_id)
        return None if signed is None else signed.record

    def set_interest(self, config: InterestConfig) -> None:
        """Take records of everyone, or of some only, from now on."""
        self._interest.set_config(config)

    def ask_head(self, peer: PeerId, topic: bytes) -> bytes:
        """See `PeerNode.ask_head`."""
        return self._running().ask_head(peer, topic)

    def ask_part(self, peer: PeerId, digest: bytes, offset: int) -> bytes:
        """See `PeerNode.ask_part`."""
        return self._running().ask_part(peer, digest, offset)

    def _running(self) -> PeerNode:
        if self._node is None:
            raise NotConnected("this device is not in the network; call connect() first")
        return self._node

    def status(self) -> NodeStatus:
        """Return counts of peers, records and traffic.

        Raises:
            NotConnected: the node is not running.
        """
        return self._running().status()

    def close(self) -> None:
        """Leave the network and close the record store."""
        if self._lan is not None:
            self._lan.close()
            self._lan = None
        if self._node is not None:
            self._node.stop()
            self._node = None
        self.store.close()

    def _changed(self, authors: frozenset[PeerId]) -> None:
        moved: set[PeerId] = set()
        for author in authors:
            moved |= self._social.set_successor(author, self.store.successor(author))
        for author in authors:
            signed = self.store.get(author)
            if signed is None:
                self._social.drop(author)
            else:
                self._social.set_record(signed.record)
        for signed in self.store.mentioning(moved):
            self._social.set_record(signed.record)
        self._look_around()

    def _look_around(self) -> None:
        self._social.look_around()
        self._interest.refresh()
