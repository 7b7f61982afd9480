"""A device process that is killed comes back as the same peer; and peers that want all there is, or never read."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from p2p.identity import Identity, PeerId
from p2p.libp2p_host import MESH_PROTOCOL, PULL_PROTOCOL
from p2p.libp2p_transport import Libp2pTransport
from p2p.node import NodeConfig, PeerNode
from p2p.record import AdjacencyRecord, SignedRecord, round_issued_at, sign_record
from p2p.store import RecordStore
from p2p.transport import MAX_RESPONSE_BYTES
from tests.p2p.test_libp2p_faults import as_raw_host, still_works
from tests.p2p.transport_lab import LOOPBACK, Peer

pytestmark = pytest.mark.slow
PATIENCE_S = 30.0
DEVICE = """
import sys, time
from pathlib import Path
from p2p.identity import Identity
from p2p.libp2p_transport import Libp2pTransport
from p2p.node import PeerNode
from p2p.record import AdjacencyRecord, round_issued_at, sign_record
from p2p.store import RecordStore

folder, listen, friend = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
identity = Identity.load(folder / "identity.key")
node = PeerNode(identity, RecordStore(folder / "records.db"), Libp2pTransport(identity))
print(node.start(listen)[0], flush=True)
node.connect(friend)
while True:  # until it is killed
    now = round_issued_at(int(time.time()))
    made = node.publish(lambda version: sign_record(AdjacencyRecord(identity.peer_id, version, now, (), ()), identity))
    print(made.version, flush=True)
    time.sleep(0.2)
"""


class Friend:
    """A node in this process with its store."""

    def __init__(self) -> None:
        self.identity = Identity.create()
        self.store = RecordStore(":memory:")
        self._changed = threading.Condition()
        transport = Libp2pTransport(self.identity)
        config = NodeConfig(redial_s=(0.1, 0.5))
        self.node = PeerNode(self.identity, self.store, transport, config=config, on_change=self._on_change)
        self.address = self.node.start(LOOPBACK)[0]

    def _on_change(self, _: frozenset[PeerId]) -> None:
        with self._changed:
            self._changed.notify_all()

    def publish(self) -> SignedRecord:
        now = round_issued_at(int(time.time()))
        return self.node.publish(
            lambda version: sign_record(AdjacencyRecord(self.identity.peer_id, version, now, (), ()), self.identity)
        )

    def holds(self, author: PeerId, version: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: (self.store.entry(author) or (0,))[0] >= version, PATIENCE_S)

    def close(self) -> None:
        self.node.stop()
        self.store.close()


@pytest.fixture
def friend() -> Iterator[Friend]:
    made = Friend()
    yield made
    made.close()


def test_a_killed_device_comes_back_as_the_same_peer_and_goes_on(friend: Friend, tmp_path: Path) -> None:
    identity = Identity.create()
    identity.save(tmp_path / "identity.key")
    listen, latest = LOOPBACK, 0
    for _ in range(3):
        command = [sys.executable, "-c", DEVICE, str(tmp_path), listen, friend.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as device:
            assert device.stdout is not None
            listen = device.stdout.readline().split("/p2p/")[0]  # the same port each time
            versions = [int(device.stdout.readline()) for _ in range(3)]
            assert latest < versions[0] < versions[1] < versions[2]
            latest = versions[-1]
            friend.publish()
            assert friend.holds(identity.peer_id, latest)
            device.kill()
    assert friend.store.distrusted() == frozenset()
    own = RecordStore(tmp_path / "records.db")
    assert own.own_version() >= latest
    assert own.get(friend.identity.peer_id) is not None
    assert own.distrusted() == frozenset()
    own.close()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("protocol", [PULL_PROTOCOL, MESH_PROTOCOL])
def test_a_peer_that_opens_thousands_of_streams_gets_few_and_others_are_served(
    start: Callable[..., Peer], protocol: str
) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    threads, descriptors = threading.active_count(), open_descriptors()
    served: list[bytes] = []

    async def attack(host: Any, target: Any) -> None:
        async def one() -> None:
            try:
                stream = await host.new_stream(target, [protocol])
                await stream.write(b"\x00")
            except Exception:  # refused, or there are as many as the connection allows
                return

        with trio.move_on_after(8.0):
            async with trio.open_nursery() as nursery:
                for number in range(3000):
                    nursery.start_soon(one)
                    if number % 500 == 0:
                        request = witness.transport.request
                        served.append(await trio.to_thread.run_sync(request, victim.id, b"still there?"))

    assert as_raw_host(victim, attack)
    assert served == [b"answer to still there?"] * 6
    still_works(victim, witness)
    assert threading.active_count() <= threads + 4
    assert open_descriptors() <= descriptors + 8


def test_a_peer_that_never_reads_its_answer_delays_nobody(start: Callable[..., Peer]) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    large, usual = bytes(MAX_RESPONSE_BYTES), victim.recorder.answer
    victim.recorder.answer = lambda data: large if data == b"much" else usual(data)

    async def attack(host: Any, target: Any) -> None:
        for _ in range(4):
            stream = await host.new_stream(target, [PULL_PROTOCOL])
            await stream.write(b"\x00\x00\x00\x04much")
        for _ in range(20):
            answer = await trio.to_thread.run_sync(witness.transport.request, victim.id, b"still there?")
            assert answer == b"answer to still there?"

    assert as_raw_host(victim, attack)
    still_works(victim, witness)
