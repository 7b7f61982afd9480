"""A `Transport` without a network of its own: the app around it carries frames, over whatever it has.

For Android and other hosts where libp2p does not run: frames may go over Nearby Connections, Wi-Fi Direct, a WebSocket
to a relay, or a pipe. A link carries frames of at most `MAX_FRAME_BYTES` whole and in order, between two devices; what
the host does to them is its affair, because the channel within is encrypted and proves both ends (`p2p.channel`).
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from p2p.bridge_link import BridgeLink, Kind, Message
from p2p.errors import ChannelBroken, ConnectFailed, RequestFailed, TransportUnavailable
from p2p.identity import PeerId, Signer
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, TransportHandlers

MAX_LINKS = 64
_MAX_WAITING = 1024
_MAX_ANSWERING = 4
_ANSWER_WORKERS = 2
_PROOF_S = 10.0

logger = logging.getLogger("meritrec.p2p")


class BridgeHost(Protocol):
    """What the app provides. Called from threads of the bridge; it must not block for long."""

    def open(self, address: str) -> str:
        """Open a link to an address and return the link's name, which no other link has or had.

        Raises:
            OSError: nobody is there.
        """
        ...

    def send(self, link: str, frame: bytes) -> None:
        """Carry a frame to the other end.

        Raises:
            OSError: the link is gone.
        """

    def close(self, link: str) -> None:
        """Close a link; harmless if it is gone."""


@dataclass(slots=True)
class _Link:
    """A link and what is under way on it; `sending` keeps frames in the order in which they were sealed."""

    secured: BridgeLink
    sending: threading.Lock = field(default_factory=threading.Lock)
    ready: Future[PeerId] = field(default_factory=Future)
    asked: dict[int, Future[bytes]] = field(default_factory=dict)
    answering: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MAX_ANSWERING))
    room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MAX_WAITING))
    since: float = field(default_factory=time.monotonic)


class BridgeTransport:
    """Carries broadcasts and requests over links of the host; see `p2p.transport.Transport` for the methods.

    The host tells it of links: `link_opened` (by somebody else), `received`, `link_closed`; these return at once.

    Args:
        signer: this device.
        host: the app.
    """

    def __init__(self, signer: Signer, host: BridgeHost) -> None:
        self._signer = signer
        self._host = host
        self._handlers: TransportHandlers | None = None
        self._lock = threading.Lock()
        self._links: dict[str, _Link] = {}
        self._numbers = itertools.count()
        self._events = ThreadPoolExecutor(1, thread_name_prefix="meritrec-p2p-bridge")
        self._answers = ThreadPoolExecutor(_ANSWER_WORKERS, thread_name_prefix="meritrec-p2p-bridge-answers")
        self._closed = False

    # -- for the node --------------------------------------------------------------------------------------------------

    def start(self, handlers: TransportHandlers, listen: str) -> Sequence[str]:
        """Begin; `listen` is whatever the host calls this device, and is returned.

        Raises:
            TransportUnavailable: it was started before.
        """
        if self._handlers is not None or self._closed:
            raise TransportUnavailable("this transport was started before; make a new one")
        self._handlers = handlers
        return [listen]

    def connect(self, address: str, timeout_s: float = 10.0) -> PeerId:
        """Let the host open a link, and return who proved to be at its other end."""
        self._running()
        try:
            name = self._host.open(address)
        except OSError as error:
            raise ConnectFailed(f"no link to {address}: {error}") from error
        link = self._add(name, initiator=True)
        if link is None:
            raise ConnectFailed(f"no link to {address}: {MAX_LINKS} are open already, or the name is taken")
        self._send(name, link, link.secured.channel.begin())
        try:
            return link.ready.result(timeout_s)
        except TimeoutError as error:
            self._drop(name)
            raise ConnectFailed(f"{address} did not prove who it is within {timeout_s:g} s") from error

    def broadcast(self, data: bytes) -> None:
        """Send to all peers, best effort.

        Raises:
            ValueError: `data` is longer than `MAX_BROADCAST_BYTES`.
        """
        if len(data) > MAX_BROADCAST_BYTES:
            raise ValueError(f"a broadcast has at most {MAX_BROADCAST_BYTES} bytes, not {len(data)}")
        for name, link in self._open_links():
            self._say_quietly(name, link, Kind.BROADCAST, next(self._numbers) % (1 << 32), data)

    def request(self, peer: PeerId, data: bytes, timeout_s: float = 10.0) -> bytes:
        """Ask a connected peer and return its answer."""
        if len(data) > MAX_REQUEST_BYTES:
            raise RequestFailed(f"a request has at most {MAX_REQUEST_BYTES} bytes, not {len(data)}; ask for less")
        found = next(((name, link) for name, link in self._open_links() if link.secured.channel.peer == peer), None)
        if found is None:
            raise RequestFailed(f"{peer.hex()} is not connected")
        name, link = found
        number, answer = next(self._numbers) % (1 << 32), Future[bytes]()
        link.asked[number] = answer
        try:
            self._say(name, link, Kind.REQUEST, number, data)
            return answer.result(timeout_s)
        except TimeoutError as error:
            raise RequestFailed(f"{peer.hex()} did not answer within {timeout_s:g} s") from error
        finally:
            link.asked.pop(number, None)

    def disconnect(self, peer: PeerId) -> None:
        """Hang up on a peer; harmless if it is gone."""
        for name, link in self._open_links():
            if link.secured.channel.peer == peer:
                self._drop(name)

    def peers(self) -> Sequence[PeerId]:
        """Return the peers connected now."""
        found = (link.secured.channel.peer for _, link in self._open_links())
        return list(dict.fromkeys(peer for peer in found if peer is not None))

    def close(self) -> None:
        """Close every link and join every thread; closing twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            names = list(self._links)
        for name in names:
            self._drop(name)
        self._events.shutdown()
        self._answers.shutdown(cancel_futures=True)

    # -- for the host --------------------------------------------------------------------------------------------------

    def link_opened(self, name: str) -> None:
        """Somebody opened a link to this device."""
        if self._handlers is None or self._add(name, initiator=False) is None:
            self._host.close(name)

    def received(self, name: str, frame: bytes) -> None:
        """A frame arrived on a link."""
        link = self._links.get(name)
        if link is None:
            return
        if not link.room.acquire(blocking=False):
            logger.info("closed a link: %d frames wait already", _MAX_WAITING)
            self._drop(name)  # a lost frame breaks the channel anyway
            return
        self._submit(lambda: self._take(name, link, frame), done=link.room.release)

    def link_closed(self, name: str) -> None:
        """A link is gone."""
        self._submit(lambda: self._drop(name))

    # -- inside: on the thread of events, unless said ------------------------------------------------------------------

    def _take(self, name: str, link: _Link, frame: bytes) -> None:
        if self._links.get(name) is not link:
            return
        known = link.secured.channel.peer
        try:
            with link.sending:  # a handshake's frames must leave before any that are sealed after it
                to_send, message = link.secured.receive(frame)
                for answer in to_send:
                    self._host.send(name, answer)
        except (ChannelBroken, OSError) as error:
            logger.info("closed a link: %s", error)
            self._drop(name)
            return
        peer = link.secured.channel.peer
        if known is None and peer is not None:
            self._greet(link, peer)
        elif message is not None and peer is not None:
            self._hear(name, link, peer, message)

    def _greet(self, link: _Link, peer: PeerId) -> None:
        first = sum(other.secured.channel.peer == peer for _, other in self._open_links()) == 1
        link.ready.set_result(peer)
        if first:
            self._running().on_peer(peer)

    def _hear(self, name: str, link: _Link, peer: PeerId, message: Message) -> None:
        kind, number, content = message
        match kind:
            case Kind.BROADCAST:
                self._running().on_broadcast(peer, content)
            case Kind.ANSWER:
                answer = link.asked.pop(number, None)
                if answer is not None and not answer.done():
                    answer.set_result(content)
            case Kind.REQUEST if link.answering.acquire(blocking=False):
                self._answers.submit(self._answer, name, link, peer, number, content)
            case Kind.REQUEST:
                logger.debug("declined a request: %d of that peer are under way", _MAX_ANSWERING)
                self._say_quietly(name, link, Kind.ANSWER, number, b"")

    def _answer(self, name: str, link: _Link, peer: PeerId, number: int, content: bytes) -> None:
        """Answer a request; on a thread of its own."""
        answer = b""
        try:
            answer = self._running().on_request(peer, content)
        except Exception:
            logger.exception("a transport handler raised")
        finally:
            link.answering.release()
        self._say_quietly(name, link, Kind.ANSWER, number, answer if len(answer) <= MAX_RESPONSE_BYTES else b"")

    # -- inside: on any thread -----------------------------------------------------------------------------------------

    def _running(self) -> TransportHandlers:
        if self._handlers is None or self._closed:
            raise TransportUnavailable("the transport is not running: start it first")
        return self._handlers

    def _open_links(self) -> list[tuple[str, _Link]]:
        with self._lock:
            return [(name, link) for name, link in self._links.items() if link.secured.channel.peer is not None]

    def _add(self, name: str, *, initiator: bool) -> _Link | None:
        if len(self._links) >= MAX_LINKS:
            self._drop_silent()
        with self._lock:
            if self._closed or name in self._links or len(self._links) >= MAX_LINKS:
                return None
            link = self._links[name] = _Link(BridgeLink(self._signer, initiator=initiator))
            return link

    def _drop_silent(self) -> None:
        """Close links whose other end did not prove who it is in time: they must not keep others out."""
        now = time.monotonic()
        with self._lock:
            links = list(self._links.items())
        for name, link in links:
            if link.secured.channel.peer is None and now - link.since > _PROOF_S:
                self._drop(name)

    def _drop(self, name: str) -> None:
        """Forget a link, and report its peer gone if it was the last one."""
        with self._lock:
            link = self._links.pop(name, None)
        if link is None:
            return
        self._host.close(name)
        peer = link.secured.channel.peer
        for answer in list(link.asked.values()):
            if not answer.done():
                answer.set_exception(RequestFailed("the link was closed"))
        if not link.ready.done():
            link.ready.set_exception(ConnectFailed("the link was closed before the peer had proved who it is"))
        if peer is not None and peer not in self.peers() and self._handlers is not None:
            self._submit(partial(self._handlers.on_peer_gone, peer))

    def _say_quietly(self, name: str, link: _Link, kind: Kind, number: int, content: bytes) -> None:
        try:
            self._say(name, link, kind, number, content)
        except RequestFailed as error:
            logger.debug("nothing was sent: %s", error)

    def _say(self, name: str, link: _Link, kind: Kind, number: int, content: bytes) -> None:
        try:
            with link.sending:
                for frame in link.secured.frames_of(kind, number, content):
                    self._host.send(name, frame)
        except (ChannelBroken, OSError) as error:
            self._drop(name)
            raise RequestFailed(f"the link was closed: {error}") from error

    def _send(self, name: str, link: _Link, frames: Sequence[bytes]) -> None:
        try:
            with link.sending:
                for frame in frames:
                    self._host.send(name, frame)
        except OSError as error:
            self._drop(name)
            raise ConnectFailed(f"the link was closed: {error}") from error

    def _submit(self, event: Callable[[], None], done: Callable[[], None] = lambda: None) -> None:
        def run() -> None:
            try:
                event()
            except Exception:
                logger.exception("a transport handler raised")
            finally:
                done()

        try:
            self._events.submit(run)
        except RuntimeError:  # it is closed
            done()
