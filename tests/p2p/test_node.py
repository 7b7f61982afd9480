"""Running peers: they converge over real hosts, publish safely and stop cleanly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from p2p.errors import ConnectFailed, RequestFailed
from p2p.identity import Identity, PeerId
from p2p.libp2p_transport import Libp2pTransport
from p2p.node import NodeConfig, PeerNode, first_version_at
from p2p.record import MAX_VERSION, AdjacencyRecord, SignedRecord, TrustEdge, round_issued_at, sign_record
from p2p.request_pool import RequestPool
from p2p.store import RecordStore
from p2p.transport import Transport, TransportHandlers

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
PATIENCE_S = 10.0


def record_of(identity: Identity, version: int, friend: PeerId | None = None) -> SignedRecord:
    trust = () if friend is None else (TrustEdge(friend, 2),)
    return sign_record(
        AdjacencyRecord(identity.peer_id, version, round_issued_at(int(time.time())), trust, ()), identity
    )


class Device:
    """A node with its identity and store, and the authors it was told have changed."""

    def __init__(
        self,
        path: Path,
        transport: Callable[[Identity], Transport] = Libp2pTransport,
        config: NodeConfig | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.identity = identity or Identity.create()
        self.store = RecordStore(path)
        self.changed = threading.Condition()
        self.authors: set[PeerId] = set()
        self.transport = transport(self.identity)
        self.node = PeerNode(self.identity, self.store, self.transport, config=config, on_change=self.on_change)

    @property
    def id(self) -> PeerId:
        return self.identity.peer_id

    def on_change(self, authors: frozenset[PeerId]) -> None:
        with self.changed:
            self.authors |= authors
            self.changed.notify_all()
        raise RuntimeError("a callback that raises")

    def learns_of(self, authors: set[PeerId]) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: authors <= self.authors, PATIENCE_S)

    def publish(self, friend: PeerId | None = None) -> SignedRecord:
        return self.node.publish(lambda version: record_of(self.identity, version, friend))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., Device]]:
    devices: list[Device] = []

    def make(
        transport: Callable[[Identity], Transport] = Libp2pTransport,
        config: NodeConfig | None = None,
        identity: Identity | None = None,
    ) -> Device:
        devices.append(Device(tmp_path / f"{len(devices)}.sqlite", transport, config, identity))
        return devices[-1]

    yield make
    for each in devices:
        each.node.stop()
        each.store.close()


def test_four_peers_in_a_line_converge(device: Callable[..., Device]) -> None:
    devices = [device() for _ in range(4)]
    addresses = [each.node.start(LOOPBACK)[0] for each in devices]
    for each, address in zip(devices[1:], addresses, strict=False):
        each.node.connect(address)
    for each in devices:
        each.publish()
    everyone = {each.id for each in devices}
    for each in devices:
        assert each.learns_of(everyone)
        assert {signed.record.author for signed in each.store.records()} == everyone
    status = devices[1].node.status()
    assert set(status.peers) == {devices[0].id, devices[2].id}
    assert status.records == 4
    assert status.distrusted == frozenset()
    assert status.counters.accepted == 3
    for each in devices:
        each.node.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("meritrec-p2p")] == []


def test_records_from_before_the_connection_arrive_too(device: Callable[..., Device]) -> None:
    early, late = device(), device()
    address = early.node.start(LOOPBACK)[0]
    early.publish()
    stranger = Identity.create()
    early.node.relay([record_of(stranger, 3)])
    late.node.start(LOOPBACK)
    late.node.connect(address)
    assert late.learns_of({early.id, stranger.peer_id})


def test_a_device_restored_from_a_backup_does_not_use_a_version_twice(device: Callable[..., Device]) -> None:
    friend, before = device(), device()
    address = friend.node.start(LOOPBACK)[0]
    before.node.start(LOOPBACK)
    before.node.connect(address)
    before.publish()
    latest = before.publish(friend.id).record.version
    with friend.changed:
        assert friend.changed.wait_for(lambda: (friend.store.entry(before.id) or (0,))[0] == latest, PATIENCE_S)
    before.node.stop()
    restored = device(identity=before.identity, config=NodeConfig(own_version_wait_s=PATIENCE_S))
    restored.node.start(LOOPBACK)
    restored.node.connect(address)
    assert restored.publish().record.version > latest


def test_a_lost_peer_is_dialled_again(device: Callable[..., Device]) -> None:
    steady = device(config=NodeConfig(redial_s=(0.1, 0.2)))
    steady.node.start(LOOPBACK)
    bootstrap = device()
    address = bootstrap.node.start(LOOPBACK)[0]
    steady.node.connect(address)
    bootstrap.node.stop()
    again = device(identity=bootstrap.identity)
    again.node.start(address.split("/p2p/")[0])
    steady.publish()
    assert again.learns_of({steady.id})


class Isolated:
    """A transport that reaches nobody; it counts what it was asked."""

    def __init__(self, _identity: Identity) -> None:
        self.handlers: TransportHandlers | None = None
        self.present: tuple[PeerId, ...] = ()
        self.asked = threading.Semaphore(0)

    def start(self, handlers: TransportHandlers, listen: str) -> Sequence[str]:
        self.handlers = handlers
        return [listen]

    def connect(self, address: str, timeout_s: float = 10.0) -> PeerId:
        raise ConnectFailed("nobody is there")

    def broadcast(self, data: bytes) -> None:
        """Reach nobody."""

    def request(self, peer: PeerId, data: bytes, timeout_s: float = 10.0) -> bytes:
        self.asked.release()
        raise RequestFailed("nobody is there")

    def disconnect(self, peer: PeerId) -> None:
        self.present = tuple(other for other in self.present if other != peer)

    def peers(self) -> Sequence[PeerId]:
        return self.present

    def close(self) -> None:
        """Nothing is open."""


def test_without_peers_publishing_does_not_wait(device: Callable[..., Device]) -> None:
    alone = device(Isolated, NodeConfig(own_version_wait_s=3600))
    alone.node.start(LOOPBACK)
    assert alone.publish().record.version <= first_version_at(time.time())
    assert alone.learns_of({alone.id})


def test_a_peer_that_does_not_answer_delays_publishing_only_so_long(device: Callable[..., Device]) -> None:
    waiting = device(Isolated, NodeConfig(own_version_wait_s=0.05))
    waiting.node.start(LOOPBACK)
    peer = Identity.create().peer_id
    assert isinstance(waiting.transport, Isolated)
    waiting.transport.present = (peer,)
    waiting.node.on_peer(peer)
    assert waiting.publish()
    assert waiting.transport.asked.acquire(timeout=PATIENCE_S)


def test_publishing_what_is_not_the_next_own_record_is_refused(device: Callable[..., Device]) -> None:
    alone = device(Isolated)
    alone.node.start(LOOPBACK)
    with pytest.raises(ValueError, match="own record"):
        alone.node.publish(lambda version: record_of(Identity.create(), version))


def test_a_refused_connection_reaches_the_caller_and_stopping_twice_is_harmless(device: Callable[..., Device]) -> None:
    alone = device(Isolated)
    alone.node.start(LOOPBACK)
    with pytest.raises(ConnectFailed):
        alone.node.connect("anywhere")
    alone.node.stop()
    alone.node.stop()


def test_a_node_that_never_started_can_be_stopped(device: Callable[..., Device]) -> None:
    device(Isolated).node.stop()


def test_a_slow_peer_does_not_keep_every_worker() -> None:
    pool, release, served = RequestPool(workers=3, per_peer=2, waiting=4), threading.Event(), threading.Event()
    accepted = [pool.submit("slow", lambda: bool(release.wait(PATIENCE_S))) for _ in range(7)]
    assert accepted == [True] * 6 + [False]
    assert pool.submit("quick", served.set)
    assert served.wait(PATIENCE_S)
    release.set()
    pool.close()
    assert not pool.submit("quick", served.set)


def test_a_job_that_raises_does_not_stop_those_that_wait() -> None:
    pool, served = RequestPool(workers=1, per_peer=1), threading.Event()

    def fail() -> None:
        raise RuntimeError("a job that raises")

    pool.submit("peer", fail)
    pool.submit("peer", served.set)
    assert served.wait(PATIENCE_S)
    pool.close()


@pytest.mark.parametrize(("seconds", "version"), [(-5.0, 1), (0.0, 1), (3600.0, 256), (7199.0, 256), (7200.0, 512)])
def test_versions_follow_the_hours(seconds: float, version: int) -> None:
    assert first_version_at(seconds) == version
    assert first_version_at(1e300) < MAX_VERSION
