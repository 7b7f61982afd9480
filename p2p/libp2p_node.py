"""One life of a libp2p node on the trio side: from listening until it is stopped or dies.

Everything here runs on the trio thread. Knows nothing of threads and restarts (`p2p.libp2p_thread`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import trio
from libp2p.abc import INotifee
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from p2p.errors import ConnectFailed, RequestFailed, TransportUnavailable
from p2p.identity import PeerId
from p2p.libp2p_guard import OneConnection, parse_listen, refuse_taken_address, stop_cache_thread
from p2p.libp2p_host import (
    PULL_PROTOCOL,
    TOPIC,
    build_host,
    libp2p_id_of,
    peer_id_of,
)
from p2p.libp2p_pull import PullClient, PullServer

_CLOSE_TIMEOUT_S = 3.0

logger = logging.getLogger("meritrec.p2p")


class NodeEvents(Protocol):
    """What a node reports, on the trio thread; none of it may block."""

    def on_peer(self, peer: PeerId) -> None:
        """A peer is connected."""

    def on_peer_gone(self, peer: PeerId) -> None:
        """The last connection to a peer is gone."""

    def on_broadcast(self, peer: PeerId, data: bytes) -> None:
        """A broadcast arrived."""

    async def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """Return the answer to a request."""
        ...


class Libp2pNode:
    """Listens, dials, broadcasts and asks.

    Args:
        seed: the 32-byte private seed of the identity.
        listen: the multiaddr to listen on.
        events: what is told of peers and messages.

    Attributes:
        nursery: where operations run, while the node lives.
        last_peers: after the end, the peers it had then and where they may be dialled.
    """

    def __init__(self, seed: bytes, listen: str, events: NodeEvents) -> None:
        self._listen = listen
        self._events = events
        self._parts = build_host(seed, listen, events.on_broadcast)
        self._host = self._parts.host
        self._network = self._host.get_network()
        self._present: set[PeerId] = set()
        self._clients: dict[PeerId, PullClient] = {}
        self._dialled: dict[PeerId, str] = {}
        self.nursery: trio.Nursery | None = None
        self.last_peers: dict[PeerId, list[str]] = {}

    async def run(self, started: Callable[[trio.Nursery], None]) -> None:
        """Live until `stop`; `started` is called once the node listens and can dial.

        Raises:
            TransportUnavailable: the address cannot be listened on.
            Exception: whatever escaped from the library.
        """
        server = PullServer(_peer_of_stream, self._events.on_request)
        self._host.set_stream_handler(PULL_PROTOCOL, server.handle)
        pubsub, router = self._parts.pubsub, self._parts.router
        try:
            refuse_taken_address(self._listen)
            async with (
                self._host.run(listen_addrs=[parse_listen(self._listen)]),
                background_trio_service(pubsub),
                background_trio_service(router),
                trio.open_nursery() as nursery,
            ):
                try:
                    if not self._host.get_transport_addrs():
                        raise TransportUnavailable(f"cannot listen on {self._listen}")
                    await pubsub.wait_until_ready()
                    self._network.register_notifee(OneConnection(pubsub, self._host.get_id(), nursery))
                    self._network.register_notifee(_PeerWatch(self, nursery))
                    nursery.start_soon(_drain, await pubsub.subscribe(TOPIC))
                    self.nursery = nursery
                    started(nursery)
                    await trio.sleep_forever()
                finally:
                    self.last_peers = {peer: self._addresses_of(peer) for peer in self._present}
                    await self._close()
        finally:
            stop_cache_thread(pubsub)
            self.nursery = None
            for peer in tuple(self._present):
                self.peer_left(peer)

    async def _close(self) -> None:
        """Close the host while its services still run: otherwise peers keep its connections, and their old streams."""
        with trio.CancelScope(deadline=trio.current_time() + _CLOSE_TIMEOUT_S, shield=True):
            try:
                await self._host.close()
            except Exception as error:
                logger.debug("closing the host: %r", error)

    def stop(self) -> None:
        """End `run`."""
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def addresses(self) -> list[str]:
        """Return the addresses to be dialled at, each with the peer id."""
        own = self._host.get_id()
        return [f"{address}/p2p/{own}" for address in self._host.get_transport_addrs()]

    def _addresses_of(self, peer: PeerId) -> list[str]:
        """Return where a peer was dialled, else the addresses it says it listens on."""
        if peer in self._dialled:
            return [self._dialled[peer]]
        remote = libp2p_id_of(peer)
        try:
            known = [str(address) for address in self._host.get_peerstore().addrs(remote)]
        except PeerStoreError:  # it told none
            return []
        return [address if "/p2p/" in address else f"{address}/p2p/{remote}" for address in known]

    async def connect(self, address: str) -> PeerId:
        """Dial an address.

        Raises:
            ConnectFailed: see `p2p.transport.Transport.connect`.
        """
        target, remote, peer = _parse_target(address)
        if remote == self._host.get_id():
            raise ConnectFailed(f"{address} is this node itself")
        if self.is_connected(remote):
            return peer
        try:
            await self._network.dial_addr(target, remote)
        except Exception as error:
            if not self.is_connected(remote):  # otherwise it dialled us at the same time, and that connection stayed
                raise ConnectFailed(f"no connection to {address}: {error.__cause__ or error}") from error
        self._dialled[peer] = address
        return peer

    async def broadcast(self, data: bytes) -> None:
        """Publish to the mesh."""
        await self._parts.pubsub.publish(TOPIC, data)

    async def request(self, peer: PeerId, data: bytes) -> bytes:
        """Ask a connected peer.

        Raises:
            RequestFailed: it is not connected, or its answer is unusable.
        """
        remote = libp2p_id_of(peer)
        if not self.is_connected(remote):
            raise RequestFailed(f"{peer.hex()} is not connected")
        if peer not in self._clients:
            self._clients[peer] = PullClient(lambda: self._host.new_stream(remote, [PULL_PROTOCOL]))
        try:
            return await self._clients[peer].ask(data)
        except RequestFailed:
            raise
        except Exception as error:
            raise RequestFailed(f"{peer.hex()} did not answer: {error!r}") from error

    async def disconnect(self, peer: PeerId) -> None:
        """Close every connection to a peer."""
        for connection in tuple(self._network.get_connections(libp2p_id_of(peer))):
            await _close_quietly(connection)

    def is_connected(self, remote: ID) -> bool:
        """Return whether a live connection to a peer exists."""
        return any(not connection.muxed_conn.is_closed for connection in self._network.get_connections(remote))

    def peer_came(self, peer: PeerId) -> None:
        """Report a peer, once."""
        if peer not in self._present:
            self._present.add(peer)
            self._events.on_peer(peer)

    def peer_left(self, peer: PeerId) -> None:
        """Report that a peer is gone, once."""
        if peer in self._present:
            self._present.discard(peer)
            self._clients.pop(peer, None)
            self._events.on_peer_gone(peer)


class _PeerWatch(INotifee):  # type: ignore[misc]  # the library is untyped to us
    """Reports peers as they come and go, and hangs up on those without an Ed25519 identity."""

    def __init__(self, node: Libp2pNode, nursery: trio.Nursery) -> None:
        self._node = node
        self._nursery = nursery

    async def connected(self, _network: Any, conn: Any) -> None:
        remote = conn.muxed_conn.peer_id
        peer = peer_id_of(remote)
        if peer is None:
            logger.info("refused %s: its identity is not an Ed25519 key", remote)
            self._nursery.start_soon(_close_quietly, conn)
        elif self._node.is_connected(remote):
            self._node.peer_came(peer)

    async def disconnected(self, _network: Any, conn: Any) -> None:
        remote = conn.muxed_conn.peer_id
        peer = peer_id_of(remote)
        if peer is not None and not self._node.is_connected(remote):
            self._node.peer_left(peer)

    async def opened_stream(self, network: Any, stream: Any) -> None:
        """Ignore."""

    async def closed_stream(self, network: Any, stream: Any) -> None:
        """Ignore."""

    async def listen(self, network: Any, multiaddr: Any) -> None:
        """Ignore."""

    async def listen_close(self, network: Any, multiaddr: Any) -> None:
        """Ignore."""


async def _close_quietly(connection: Any) -> None:
    with trio.move_on_after(_CLOSE_TIMEOUT_S):
        try:
            await connection.close()
        except Exception as error:
            logger.debug("closing a refused connection: %r", error)


async def _drain(subscription: Any) -> None:
    """Empty the subscription channel: messages are delivered by the validator, which knows their forwarder."""
    async for _ in subscription:
        pass


def _peer_of_stream(stream: Any) -> PeerId | None:
    return peer_id_of(stream.muxed_conn.peer_id)


def _parse_target(address: str) -> tuple[Multiaddr, ID, PeerId]:
    """Split an address into what is dialled and who must answer there."""
    try:
        target = Multiaddr(address)
        remote = ID.from_base58(target.value_for_protocol("p2p"))
    except Exception as error:  # multiaddr raises its own and builtin errors for malformed text
        raise ConnectFailed(f"{address!r} is not an address such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…") from error
    peer = peer_id_of(remote)
    if peer is None:
        raise ConnectFailed(f"{address!r} names a peer without an Ed25519 identity, which is not accepted")
    return target, remote, peer
