"""Guards around py-libp2p 0.8.1: nothing a peer sends may escape into one of its nurseries and end the host.

Each guard names the defect it covers, as seen with 0.8.1 on loopback or read in its code. Two performance patches stand
at the end; they touch only connections and hosts made here, and only with the version they were measured on. There may
be more input that crashes, which is why `p2p.libp2p_transport` also restarts a node that died.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import libp2p.pubsub.gossipsub as gossipsub_module
import libp2p.pubsub.pubsub as pubsub_module
import trio
from libp2p.abc import INotifee
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.stream_muxer.yamux.yamux import YamuxStream
from multiaddr import Multiaddr

from p2p.errors import TransportUnavailable

_PATCHED_VERSION = "0.8.1"
_CLOSE_TIMEOUT_S = 2.0
_SIMULTANEOUS_S = 5.0
_RECORD_CACHE_S = 3600.0  # below the two hours after which the library forgets a record
_RECORD_CACHE_PEERS = 1024

logger = logging.getLogger("meritrec.p2p")


class SafePubsub(Pubsub):  # type: ignore[misc]  # the library is untyped to us
    """A `Pubsub` that survives hostile and broken peers."""

    async def continuously_read_stream(self, stream: Any) -> None:
        """Read RPCs until the stream ends.

        Defect: bytes that are no RPC raise protobuf's DecodeError, and an RPC during shutdown raises RuntimeError
        ("Nursery is closed to new arrivals"); either leaves the stream's task and ends the host.
        """
        peer = stream.muxed_conn.peer_id
        try:
            await super().continuously_read_stream(stream)
        except Exception as error:
            if not self.manager.is_running:
                logger.debug("pubsub stream of %s ended with the node: %r", peer, error)
                return
            logger.info("dropped the pubsub stream of %s: %r", peer, error)
            await reset_quietly(stream)
            self._handle_dead_peer(peer)

    async def push_msg(self, msg_forwarder: ID, msg: Any) -> None:
        """Validate, deliver and forward a message.

        Defect: a message whose `from` holds no key and whose `key` field is garbage raises DecodeError in the
        signature check; so does whatever a validator or the router raises. Errors of our own messages still reach us.
        """
        if msg_forwarder == self.my_id:
            await super().push_msg(msg_forwarder, msg)
            return
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:
            logger.info("refused a message forwarded by %s: %r", msg_forwarder, error)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        """Forget the stream to a peer.

        Defect: this also forgets the peer's subscriptions, although they arrive once and on its own stream; a peer
        with another live connection is then never grafted again.
        """
        topics = [topic for topic, peers in self.peer_topics.items() if peer_id in peers]
        super()._handle_dead_peer(peer_id)
        if self._peer_is_connected(peer_id):
            for topic in topics:
                self.handle_subscription(peer_id, rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic))

    def move_to_live_connection(self, peer_id: ID) -> None:
        """Open a new stream to a peer whose stream runs on a closed connection; otherwise do nothing."""
        stream = self.peers.get(peer_id)
        if stream is not None and stream.muxed_conn.is_closed:
            self._handle_dead_peer(peer_id)


class OneConnection(INotifee):  # type: ignore[misc]  # the library is untyped to us
    """Keeps one connection to each peer, normally the newest.

    Defect: a peer that returns with the same identity while its old connection is still listed never gets our
    subscription, because its pubsub stream is thought to exist; no mesh forms.

    When both sides dial at once the two of them would see different connections as the newest and close both. So of two
    young connections in opposite directions the one dialled by the smaller peer id stays, and both sides agree.
    """

    def __init__(self, pubsub: SafePubsub, own: ID, nursery: trio.Nursery) -> None:
        self._pubsub = pubsub
        self._own = own
        self._nursery = nursery

    async def connected(self, network: Any, conn: Any) -> None:
        """Close the connections that `conn` replaces, or `conn` itself."""
        peer = conn.muxed_conn.peer_id
        older = [other for other in network.get_connections(peer) if other is not conn]
        doomed = [self._loser(conn, other, peer) for other in older]
        if doomed:
            self._nursery.start_soon(self._close, peer, doomed)

    def _loser(self, new: Any, old: Any, peer: ID) -> Any:
        dials = (new.muxed_conn.is_initiator, old.muxed_conn.is_initiator)
        if dials[0] == dials[1] or time.time() - old._created_at > _SIMULTANEOUS_S or old.muxed_conn.is_closed:
            return old
        we_are_smaller = self._own.to_bytes() < peer.to_bytes()
        return old if dials[0] == we_are_smaller else new

    async def _close(self, peer: ID, connections: list[Any]) -> None:
        for connection in connections:
            with trio.move_on_after(_CLOSE_TIMEOUT_S):
                try:
                    await connection.close()
                except Exception as error:
                    logger.debug("closing a replaced connection to %s: %r", peer, error)
        self._pubsub.move_to_live_connection(peer)

    async def disconnected(self, network: Any, conn: Any) -> None:
        """Ignore."""

    async def opened_stream(self, network: Any, stream: Any) -> None:
        """Ignore."""

    async def closed_stream(self, network: Any, stream: Any) -> None:
        """Ignore."""

    async def listen(self, network: Any, multiaddr: Any) -> None:
        """Ignore."""

    async def listen_close(self, network: Any, multiaddr: Any) -> None:
        """Ignore."""


def disable_auto_connector(host: Any) -> None:
    """Dial only what we are told to.

    Defect: below the middle of its two watermarks (not below the low one) the auto-connector dials every address that
    any peer advertised, so a peer could make us connect wherever it likes.
    """

    async def dial_nobody() -> None:
        """Do nothing."""

    host.get_network().auto_connector.maybe_connect = dial_nobody


def stop_cache_thread(pubsub: Any) -> None:
    """End the thread behind the cache of seen messages.

    Defect: each Pubsub starts one, and nothing in the library ends it.
    """
    pubsub.seen_messages.stop()


def refuse_taken_address(listen: str) -> None:
    """Check that nobody listens on an address yet.

    Defect: the library binds with SO_REUSEPORT, so two programs of one user may listen on one port without an error,
    and a peer that dials reaches either. It also hides the system's reason when it cannot listen.

    Raises:
        TransportUnavailable: it cannot be listened on.
    """
    address = parse_listen(listen)
    kind = next(iter(address.protocols())).name
    family = socket.AF_INET if kind == "ip4" else socket.AF_INET6
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.value_for_protocol(kind), int(address.value_for_protocol("tcp"))))
            probe.listen()
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "it is in use; choose another port, or 0 for any free one" if in_use else str(error)
            raise TransportUnavailable(f"cannot listen on {listen}: {reason}") from error


def parse_listen(listen: str) -> Multiaddr:
    """Parse a listen address.

    Raises:
        TransportUnavailable: it is not an IP and TCP multiaddr.
    """
    try:
        address = Multiaddr(listen)
        names = [protocol.name for protocol in address.protocols()]
    except Exception as error:  # multiaddr raises its own and builtin errors for malformed text
        raise TransportUnavailable(f"not a multiaddr: {listen!r}; use one such as /ip4/0.0.0.0/tcp/4001") from error
    if len(names) != 2 or names[0] not in ("ip4", "ip6") or names[1] != "tcp":
        raise TransportUnavailable(f"can listen on /ip4/…/tcp/… or /ip6/…/tcp/… only, not on {listen!r}")
    return address


def guard_stream_handlers(host: Any) -> None:
    """Catch what any stream handler of `host` raises, the library's own (identify, ping, pubsub) included.

    Defect: an exception in a stream handler, or in the negotiation before it, ends the host.
    """
    network = host.get_network()
    network.set_stream_handler(_guarded(host._swarm_stream_handler))


def _guarded(handler: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def guarded(stream: Any) -> None:
        try:
            await handler(stream)
        except Exception as error:
            logger.info("a stream from %s failed: %r", stream.muxed_conn.peer_id, error)
            await reset_quietly(stream)

    return guarded


async def reset_quietly(stream: Any) -> None:
    """Reset a stream that may be gone already."""
    with trio.move_on_after(_CLOSE_TIMEOUT_S):
        try:
            await stream.reset()
        except Exception as error:
            logger.debug("resetting a broken stream: %r", error)


# -- performance ------------------------------------------------------------------------------------------------------

_signed_records: WeakKeyDictionary[Any, dict[ID, tuple[bytes, float]]] = WeakKeyDictionary()
_batching: WeakSet[Any] = WeakSet()
_patched = False


def batch_window_updates(host: Any) -> None:
    """Batch the window updates of this host's connections, if the performance patches are in place."""
    muxers = host.get_network().upgrader.muxer_multistream
    original = muxers.new_conn

    async def new_conn(*arguments: Any) -> Any:
        connection = await original(*arguments)
        _batching.add(connection)
        return connection

    muxers.new_conn = new_conn


def cache_signed_records(host: Any) -> None:
    """Check the signed peer record in a peer's RPCs once an hour and when it changes, not in every RPC."""
    _signed_records[host] = {}


def apply_performance_patches() -> None:
    """Patch py-libp2p once, if it is the version the patches were measured with (4.2 to 2.6 CPU ms per delivery).

    The library sends a window update after each read, and it reads the length of an RPC byte by byte; and it verifies
    the sender's signed record in each RPC. Both patches leave other users of the library alone.
    """
    global _patched  # the patch is on the library's own modules, of which there is one per process
    if _patched:
        return
    found = version("libp2p")
    if found != _PATCHED_VERSION:
        logger.info("libp2p %s is not %s: running without the performance patches", found, _PATCHED_VERSION)
        return
    YamuxStream._auto_tune_and_send_window_update = _batched(YamuxStream._auto_tune_and_send_window_update)
    cached = _cached(pubsub_module.maybe_consume_signed_record)
    pubsub_module.maybe_consume_signed_record = cached
    gossipsub_module.maybe_consume_signed_record = cached
    _patched = True


def _batched(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Send a window update only when half of the target window was consumed."""

    async def update(self: Any, *, bytes_read: int = 0) -> None:
        if self.conn not in _batching:
            await original(self, bytes_read=bytes_read)
            return
        self._pending_recv_release += bytes_read
        if self._pending_recv_release * 2 < self.target_recv_window:
            return
        async with self.window_lock:
            delta = self._pending_recv_release
            self._pending_recv_release = 0
            self.recv_window += delta
            delta += self._apply_autotune_epoch(len(self.conn.stream_buffers.get(self.stream_id, b"")))
        if delta > 0:
            await self.send_window_update(delta, skip_lock=True)

    return update


def _cached(original: Callable[[Any, Any, ID], bool]) -> Callable[[Any, Any, ID], bool]:
    def consume(msg: Any, host: Any, peer_id: ID) -> bool:
        known = _signed_records.get(host)
        if known is None or not msg.HasField("senderRecord"):
            return original(msg, host, peer_id)
        record, now = bytes(msg.senderRecord), time.monotonic()
        seen = known.get(peer_id)
        if seen is not None and seen[0] == record and now - seen[1] < _RECORD_CACHE_S:
            return True
        if not original(msg, host, peer_id):
            return False
        if len(known) >= _RECORD_CACHE_PEERS:
            known.clear()
        known[peer_id] = (record, now)
        return True

    return consume
