"""The `Transport` over libp2p: Noise, Yamux and TCP; gossipsub for broadcasts, one stream for each request.

A thread-safe face of `p2p.libp2p_thread`. Handlers are called from threads of their own, so a slow one delays neither
the network nor other requests. Importing this module does not need libp2p, starting the transport does. Gossipsub loses
messages in bursts and before its mesh has formed; whoever uses the transport repairs that by asking.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from p2p.errors import ConnectFailed, P2PError, RequestFailed, TransportUnavailable
from p2p.identity import Identity, PeerId
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, TransportHandlers

if TYPE_CHECKING:
    from p2p.libp2p_thread import NodeThread

_MAX_WAITING_EVENTS = 1024
_REQUEST_WORKERS = 2
_BROADCAST_TIMEOUT_S = 5.0
_DISCONNECT_TIMEOUT_S = 10.0

logger = logging.getLogger("meritrec.p2p")


class Libp2pTransport:
    """Carries broadcasts and requests over libp2p; see `p2p.transport.Transport` for the methods.

    It is started once and closed once. A node that dies is started again on the same port, and dials the peers it had.

    Args:
        identity: its Ed25519 key is the libp2p key too, so the libp2p peer id names the same peer.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._lock = threading.Lock()
        self._thread: NodeThread | None = None
        self._events: _Dispatcher | None = None
        self._closed = False

    def start(self, handlers: TransportHandlers, listen: str) -> Sequence[str]:
        """Listen, and return multiaddrs that end in `/p2p/<id>`.

        Raises:
            TransportUnavailable: libp2p is not installed, the address cannot be had, or it was started before.
        """
        try:
            from p2p.libp2p_thread import NodeThread
        except ImportError as error:
            raise TransportUnavailable(
                f"libp2p is not installed ({error}): pip install 'meritrec[p2p]', or use another transport"
            ) from error
        with self._lock:
            if self._thread is not None or self._closed:
                raise TransportUnavailable("this transport was started before; make a new one")
            self._events = _Dispatcher(handlers)
            self._thread = NodeThread(self._identity.private_bytes, listen, self._events)
        try:
            return self._thread.start()
        except P2PError:
            self.close()
            raise

    def connect(self, address: str, timeout_s: float = 10.0) -> PeerId:
        """Dial an address that ends in `/p2p/<id>`."""
        try:
            return self._running().call(lambda node: node.connect(address), timeout_s)
        except ConnectFailed:
            raise
        except TimeoutError as error:
            raise ConnectFailed(f"nobody answered at {address} within {timeout_s:g} s") from error
        except Exception as error:
            raise ConnectFailed(f"no connection to {address}: {error}") from error

    def broadcast(self, data: bytes) -> None:
        """Send to everyone, best effort.

        Raises:
            ValueError: `data` is longer than `MAX_BROADCAST_BYTES`.
        """
        if len(data) > MAX_BROADCAST_BYTES:
            raise ValueError(f"a broadcast has at most {MAX_BROADCAST_BYTES} bytes, not {len(data)}")
        try:
            self._running().cast(lambda node: node.broadcast(data), _BROADCAST_TIMEOUT_S)
        except TransportUnavailable as error:
            logger.info("a broadcast was not sent: %s", error)

    def request(self, peer: PeerId, data: bytes, timeout_s: float = 10.0) -> bytes:
        """Ask a connected peer and return its answer."""
        if len(data) > MAX_REQUEST_BYTES:
            raise RequestFailed(f"a request has at most {MAX_REQUEST_BYTES} bytes, not {len(data)}; ask for less")
        try:
            return self._running().call(lambda node: node.request(peer, data), timeout_s)
        except RequestFailed:
            raise
        except TimeoutError as error:
            raise RequestFailed(f"{peer.hex()} did not answer within {timeout_s:g} s") from error
        except Exception as error:
            raise RequestFailed(f"{peer.hex()} could not be asked: {error}") from error

    def disconnect(self, peer: PeerId) -> None:
        """Hang up on a peer; it may dial again."""
        try:
            self._running().cast(lambda node: node.disconnect(peer), _DISCONNECT_TIMEOUT_S)
        except TransportUnavailable as error:
            logger.info("did not hang up on %s: %s", peer.hex(), error)

    def peers(self) -> Sequence[PeerId]:
        """Return the peers connected now."""
        events = self._events
        return () if events is None else events.peers()

    @property
    def restarts(self) -> int:
        """How often the node died and was started again."""
        return 0 if self._thread is None else self._thread.restarts

    def close(self) -> None:
        """Leave the network and join every thread; closing twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._thread is not None:
            self._thread.close()
        if self._events is not None:
            self._events.close()

    def _running(self) -> NodeThread:
        if self._thread is None or self._closed:
            raise TransportUnavailable("the transport is not running: start it first")
        return self._thread


class _Dispatcher:
    """Takes events on the trio thread and calls the handlers on threads of its own, in order but for requests."""

    def __init__(self, handlers: TransportHandlers) -> None:
        self._handlers = handlers
        self._ordered = ThreadPoolExecutor(1, thread_name_prefix="meritrec-p2p-events")
        self._answering = ThreadPoolExecutor(_REQUEST_WORKERS, thread_name_prefix="meritrec-p2p-answers")
        self._peers: frozenset[PeerId] = frozenset()
        self._room = threading.Semaphore(_MAX_WAITING_EVENTS)

    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self._peers)

    def on_peer(self, peer: PeerId) -> None:
        self._peers |= {peer}
        self._submit(self._handlers.on_peer, peer)

    def on_peer_gone(self, peer: PeerId) -> None:
        self._peers -= {peer}
        self._submit(self._handlers.on_peer_gone, peer)

    def on_broadcast(self, peer: PeerId, data: bytes) -> None:
        if not self._room.acquire(blocking=False):
            logger.debug("dropped a broadcast: %d wait already", _MAX_WAITING_EVENTS)
            return
        self._submit(self._handlers.on_broadcast, peer, data).add_done_callback(lambda _: self._room.release())

    async def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """Answer on a worker thread, without blocking the trio thread meanwhile."""
        import trio

        future = self._answering.submit(self._handlers.on_request, peer, data)
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake(_: Future[bytes]) -> None:
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                logger.debug("an answer was ready after the node had stopped")

        future.add_done_callback(wake)
        await done.wait()
        return future.result()

    def close(self) -> None:
        self._ordered.shutdown()
        self._answering.shutdown(cancel_futures=True)

    def _submit(self, handler: Callable[..., None], *arguments: object) -> Future[None]:
        future = self._ordered.submit(handler, *arguments)
        future.add_done_callback(_log_failure)
        return future


def _log_failure(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        logger.error("a transport handler raised", exc_info=error)
