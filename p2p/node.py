"""A running peer: the `Gossip` core, a transport, and the threads between them.

The core decides, this carries out: requests on a few worker threads, ticks on one, notices of change on another. The
core is only ever touched under one lock, and nothing outside is called while it is held. Knows no libp2p: the transport
is handed in.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from p2p.comparing import Frontier
from p2p.counters import Counters
from p2p.effects import Broadcast, Changed, Disconnect, Effect, Request
from p2p.errors import ConnectFailed, RequestFailed
from p2p.files import FileOffers, ask_head, ask_part, is_file_request
from p2p.gossip import Gossip
from p2p.gossip_config import GossipConfig
from p2p.identity import PeerId, Signer
from p2p.record import ISSUED_AT_STEP_S, MAX_VERSION, SignedRecord
from p2p.request_pool import RequestPool
from p2p.statement import Statement
from p2p.store import RecordStore
from p2p.transport import Transport

_VERSIONS_PER_HOUR = 256

logger = logging.getLogger("meritrec.p2p")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How a node runs.

    Attributes:
        tick_s: time between ticks of the core.
        request_timeout_s: how long one request may take.
        own_version_wait_s: how long `publish` waits for a peer to tell the latest own version.
        workers: threads for requests.
        redial_s: first and longest wait before an address that was connected once is dialled again.
        gossip: the core's own.
    """

    tick_s: float = 0.25
    request_timeout_s: float = 10.0
    own_version_wait_s: float = 1.0
    workers: int = 4
    redial_s: tuple[float, float] = (2.0, 60.0)
    gossip: GossipConfig = field(default_factory=GossipConfig)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node at one moment.

    Attributes:
        peers: connected now.
        records: how many records the store holds.
        record_bytes: their size.
        distrusted: authors convicted of signing two records with one version.
        shut_out: peers not listened to now, for what they sent.
        counters: what the network brought since the start; a copy.
    """

    peers: tuple[PeerId, ...]
    records: int
    record_bytes: int
    distrusted: frozenset[PeerId]
    shut_out: tuple[PeerId, ...]
    counters: Counters


@dataclass(slots=True)
class _Link:
    """An address that was connected once, and is kept connected."""

    peer: PeerId
    wait_s: float
    due_s: float
    dialling: bool = False


def first_version_at(seconds: float) -> int:
    """Return the lowest version of the hour in which these Unix seconds fall.

    Versions follow the clock, so that a device restored from a backup, which publishes before it meets anyone who could
    tell its latest version, does not use one twice. Whole hours, as in `issued_at`, tell nothing new.
    """
    return min(max(0, int(seconds)) // ISSUED_AT_STEP_S * _VERSIONS_PER_HOUR, MAX_VERSION // 2) or 1


def _ignore(_: frozenset[PeerId]) -> None:
    return


class PeerNode:
    """Keeps a record store equal to those of its peers; implements `p2p.transport.TransportHandlers`.

    Args:
        signer: this device; it signs outside, here only its peer id is used.
        store: its records. Stays open when the node stops.
        transport: not started yet; belongs to the node from now on.
        clock: Unix seconds, for what records say of time; pauses and tries keep to a clock of their own.
        config: how it runs.
        on_change: told the authors whose records changed, one call at a time, on a thread of the node; it must not
            call `stop`. What it raises is logged.
        rng: chooses peers; seeded by the system if not given.
        admit: how welcome an author is; 0 refuses. Called on any thread.
        frontier: the authors whose records are wanted; None for everyone's. Called on any thread.
        files: answers peers who ask for files; nobody gets any without it.
    """

    def __init__(
        self,
        signer: Signer,
        store: RecordStore,
        transport: Transport,
        clock: Callable[[], float] = time.time,
        config: NodeConfig | None = None,
        on_change: Callable[[frozenset[PeerId]], None] = _ignore,
        rng: np.random.Generator | None = None,
        admit: Callable[[PeerId], float] = lambda _: 1.0,
        frontier: Frontier = lambda: None,
        files: FileOffers | None = None,
    ) -> None:
        self._config = config or NodeConfig()
        self._files = files
        self._clock = clock
        self._store = store
        self._transport = transport
        self._on_change = on_change
        self._rng = rng or np.random.default_rng()
        pace = self._config.gossip
        self._gossip = Gossip(signer.peer_id, store, clock, self._rng, pace, admit, frontier, timer=time.monotonic)
        self._lock = threading.Lock()
        self._heard = threading.Condition(self._lock)
        self._publishing = threading.Lock()
        self._links: dict[str, _Link] = {}
        self._requests = RequestPool(self._config.workers)
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="meritrec-p2p-changes")
        self._ticker = threading.Thread(target=self._tick_until_stopped, name="meritrec-p2p-ticker", daemon=True)
        self._stopping = threading.Event()

    # -- for the application ------------------------------------------------------------------------------------------

    def start(self, listen: str) -> Sequence[str]:
        """Begin to listen, and return the addresses to be dialled at.

        Raises:
            TransportUnavailable: the transport cannot run here.
        """
        addresses = self._transport.start(self, listen)
        self._ticker.start()
        return addresses

    def connect(self, address: str, timeout_s: float = 10.0) -> PeerId:
        """Dial an address, and from then on dial it again whenever that connection is lost.

        Raises:
            ConnectFailed: nobody answered there, or not who the address names.
        """
        peer = self._transport.connect(address, timeout_s)
        with self._lock:
            self._links[address] = _Link(peer, *self._first_redial())
        return peer

    def dial(self, address: str, timeout_s: float = 10.0) -> PeerId:
        """Dial an address once; should that connection be lost, it stays lost.

        Raises:
            ConnectFailed: nobody answered there, or not who the address names.
        """
        return self._transport.connect(address, timeout_s)

    def publish(self, make: Callable[[int], SignedRecord]) -> SignedRecord:
        """Sign, store and announce this device's next record.

        If peers are connected, waits up to `own_version_wait_s` for one to tell the latest version it knows of this
        device. With that, and because versions follow the clock, a device restored from a backup uses none twice.

        Args:
            make: returns the signed record of the version it is given; called again should a higher own version turn up
                meanwhile.

        Raises:
            ValueError: `make` returned a record of another author or version.
        """
        with self._publishing:
            while True:
                with self._heard:
                    self._heard.wait_for(self._may_publish, self._config.own_version_wait_s)
                    version = max(self._gossip.next_version(), first_version_at(self._clock()))
                signed = make(version)
                with self._lock:
                    if signed.record.version == version < self._gossip.next_version():
                        continue
                    effects = self._gossip.publish(signed)
                self._perform(effects)
                return signed

    def relay(self, records: Sequence[Statement]) -> None:
        """Take verified records and hand-overs of any author as if received, and announce those that are new."""
        with self._lock:
            effects = self._gossip.relay(records)
        self._perform(effects)

    def ask_head(self, peer: PeerId, topic: bytes) -> bytes:
        """Ask a connected peer what files it has on a topic, see `p2p.files`; empty if none.

        Raises:
            RequestFailed: no usable answer.
        """
        return ask_head(self._transport, peer, topic, self._config.request_timeout_s)

    def ask_part(self, peer: PeerId, digest: bytes, offset: int) -> bytes:
        """Ask a connected peer for a file's next bytes; empty if it does not give them now.

        Raises:
            RequestFailed: no usable answer.
        """
        return ask_part(self._transport, peer, digest, offset, self._config.request_timeout_s)

    def status(self) -> NodeStatus:
        """Return what the node has and did."""
        with self._lock:
            peers, counters = self._gossip.peers, copy.deepcopy(self._gossip.counters)
            shut_out = self._gossip.shut_out
        store = self._store
        return NodeStatus(peers, len(store), store.n_bytes, store.distrusted(), shut_out, counters)

    def stop(self) -> None:
        """Leave the network and join every thread; stopping twice is harmless."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._ticker.ident is not None:
            self._ticker.join()
        self._transport.close()
        self._requests.close()
        self._changes.shutdown()

    # -- for the transport --------------------------------------------------------------------------------------------

    def on_peer(self, peer: PeerId) -> None:
        """See `p2p.transport.TransportHandlers`."""
        self._step(lambda: self._gossip.on_peer(peer))

    def on_peer_gone(self, peer: PeerId) -> None:
        """See `p2p.transport.TransportHandlers`."""
        self._step(lambda: self._gossip.on_peer_gone(peer))

    def on_broadcast(self, peer: PeerId, data: bytes) -> None:
        """See `p2p.transport.TransportHandlers`."""
        self._step(lambda: self._gossip.on_broadcast(peer, data))

    def on_request(self, peer: PeerId, data: bytes) -> bytes:
        """See `p2p.transport.TransportHandlers`."""
        if is_file_request(data):  # read from disk, so outside of the lock
            return b"" if self._files is None else self._files.answer(peer, data)
        with self._lock:
            return self._gossip.on_request(peer, data)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _step(self, advance: Callable[[], list[Effect]]) -> None:
        with self._heard:
            effects = advance()
            self._heard.notify_all()
        self._perform(effects)

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Broadcast(data):
                    self._transport.broadcast(data)
                case Request(peer, data):
                    self._submit(peer, data)
                case Changed(authors):
                    self._tell(authors)
                case Disconnect(peer):
                    self._transport.disconnect(peer)

    def _submit(self, peer: PeerId, data: bytes) -> None:
        if not self._requests.submit(peer, lambda: self._ask(peer, data)) and not self._stopping.is_set():
            self._step(lambda: self._gossip.on_request_failed(peer, data))

    def _ask(self, peer: PeerId, data: bytes) -> None:
        try:
            answer = self._transport.request(peer, data, self._config.request_timeout_s)
        except RequestFailed as error:
            logger.debug("a request failed: %s", error)
            self._step(lambda: self._gossip.on_request_failed(peer, data))
        else:
            self._step(lambda: self._gossip.on_response(peer, data, answer))

    def _tell(self, authors: frozenset[PeerId]) -> None:
        def call() -> None:
            try:
                self._on_change(authors)
            except Exception:
                logger.exception("the on_change callback raised")

        try:
            self._changes.submit(call)
        except RuntimeError:  # the executor is shut down
            if not self._stopping.is_set():
                raise

    def _may_publish(self) -> bool:
        # A peer the transport has but the core was not told of yet is a peer to wait for.
        told = bool(self._gossip.peers) or not self._transport.peers()
        return told and self._gossip.ready_to_publish

    def _tick_until_stopped(self) -> None:
        while not self._stopping.wait(self._config.tick_s):
            try:
                self._step(self._gossip.tick)
                self._redial()
            except Exception:
                logger.exception("a tick failed; the next one goes on")

    # -- lost connections ---------------------------------------------------------------------------------------------

    def _first_redial(self) -> tuple[float, float]:
        wait_s = self._config.redial_s[0]
        return wait_s, time.monotonic() + wait_s

    def _redial(self) -> None:
        """Dial lost addresses that are due, each on a worker thread, with waits that double."""
        present, now = set(self._transport.peers()), time.monotonic()
        with self._lock:
            for link in self._links.values():
                if link.peer in present:
                    link.wait_s, link.due_s = self._first_redial()
            due = [(a, link) for a, link in self._links.items() if link.due_s <= now and not link.dialling]
            for _, link in due:
                link.dialling = True
        for address, link in due:
            if not self._requests.submit(link.peer, partial(self._dial, address, link)):
                link.dialling = False

    def _dial(self, address: str, link: _Link) -> None:
        try:
            self._transport.connect(address, self._config.request_timeout_s)
        except ConnectFailed as error:
            logger.debug("%s is still away: %s", address, error)
        with self._lock:
            # Spread out, so that a returning peer is not dialled by everyone at once.
            link.wait_s = min(2 * link.wait_s, self._config.redial_s[1])
            link.due_s = time.monotonic() + link.wait_s * float(self._rng.uniform(0.5, 1.0))
            link.dialling = False
