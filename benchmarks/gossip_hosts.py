"""Real hosts on loopback, each in a process of its own: how long records take to reach everyone, and what that costs.

Beside ours runs py-libp2p's gossipsub as its examples set it up, and is given whole records to flood.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.gossip_people import made_people
from p2p import PeerId, PeerNode, RecordStore, SignedRecord
from p2p.libp2p_transport import Libp2pTransport

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
OURS, STOCK = "meritrec", "py-libp2p gossipsub, whole records"
_PATIENCE_S = 60.0
_SETTLE_S = 3.0  # for the mesh to form


@dataclass(frozen=True)
class Spread:
    """How the records of one round spread.

    Attributes:
        delivered: share of (record, other host) pairs that arrived in time.
        p50_s, p99_s, all_s: from publication to arrival: median, 99th percentile, the last.
        bytes_per_record: bytes on the loopback interface for each that arrived, encryption and TCP included.
        cpu_ms_per_record: of all processes, for each that arrived.
    """

    delivered: float
    p50_s: float
    p99_s: float
    all_s: float
    bytes_per_record: float
    cpu_ms_per_record: float


class Arrivals:
    """When records of others arrived in this round."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: dict[bytes, float] = {}

    def clear(self) -> None:
        """Begin a round."""
        with self._changed:
            self._at.clear()

    def note(self, author: bytes) -> None:
        """A record arrived; only the first of each author counts."""
        with self._changed:
            self._at.setdefault(author, time.monotonic())
            self._changed.notify_all()

    def wait(self, count: int, timeout_s: float) -> dict[bytes, float]:
        """Return author → time, once there are so many, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._at) >= count, timeout_s)
            return dict(self._at)


class OurHost:
    """A `PeerNode` over libp2p with a store on disk."""

    def __init__(self, number: int, count: int, folder: str) -> None:
        self._people, self._number = made_people(count), number
        identity = self._people.identities[number]
        self.arrivals = Arrivals()
        self._store = RecordStore(Path(folder) / f"{number}.db")
        self._node = PeerNode(identity, self._store, Libp2pTransport(identity), on_change=self._changed)
        self.author: bytes = identity.peer_id

    def _changed(self, authors: frozenset[PeerId]) -> None:
        for author in authors - {self.author}:
            self.arrivals.note(author)

    def start(self) -> str:
        """Listen and return the address."""
        return self._node.start(LOOPBACK)[0]

    def connect(self, address: str) -> None:
        """Dial another host."""
        self._node.connect(address)

    def publish(self) -> float:
        """Publish the next record and return when."""
        self._node.publish(self._signed)
        return time.monotonic()

    def _signed(self, version: int) -> SignedRecord:
        return self._people.record(self._number, version, time.time())


class StockHost:
    """A plain py-libp2p host whose gossipsub floods whole records; nothing is stored, and nothing repaired."""

    def __init__(self, number: int, count: int, _folder: str) -> None:
        self._people, self._number = made_people(count), number
        self.arrivals = Arrivals()
        self.author: bytes = self._people.peer(number)
        self._version = 0
        self._ready: threading.Event = threading.Event()
        self._address = ""
        self._parts: tuple[Any, Any, Any] = (None, None, None)

    def start(self) -> str:
        """Listen and return the address."""
        import trio

        threading.Thread(target=trio.run, args=(self._live,), daemon=True).start()
        self._ready.wait(_PATIENCE_S)
        return self._address

    async def _live(self) -> None:
        import trio
        from libp2p import new_host
        from libp2p.crypto.ed25519 import create_new_key_pair
        from libp2p.pubsub.gossipsub import GossipSub
        from libp2p.pubsub.pubsub import Pubsub
        from libp2p.tools.anyio_service import background_trio_service
        from multiaddr import Multiaddr

        host = new_host(key_pair=create_new_key_pair(self._people.identities[self._number].private_bytes))
        # The library's own heartbeat is two minutes, and adapts: no mesh would form in time.
        router = GossipSub(
            protocols=["/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0"],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
        )
        pubsub = Pubsub(host, router, strict_signing=True)
        async with (
            host.run(listen_addrs=[Multiaddr(LOOPBACK)]),
            background_trio_service(pubsub),
            background_trio_service(router),
        ):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe("records")
            self._parts = (host, pubsub, trio.lowlevel.current_trio_token())
            self._address = str(host.get_addrs()[0])
            self._ready.set()
            async for message in subscription:
                author = message.from_id[-32:]
                if author != self.author:
                    self.arrivals.note(author)

    def connect(self, address: str) -> None:
        """Dial another host."""
        import trio
        from libp2p.peer.peerinfo import info_from_p2p_addr
        from multiaddr import Multiaddr

        host, _, token = self._parts
        trio.from_thread.run(host.connect, info_from_p2p_addr(Multiaddr(address)), trio_token=token)

    def publish(self) -> float:
        """Publish the next record and return when."""
        import trio

        _, pubsub, token = self._parts
        self._version += 1
        wire = self._people.record(self._number, self._version, time.time()).to_bytes()
        at = time.monotonic()
        trio.from_thread.run(pubsub.publish, "records", wire, trio_token=token)
        return at


_HOSTS: dict[str, Callable[[int, int, str], OurHost | StockHost]] = {OURS: OurHost, STOCK: StockHost}


def _serve(kind: str, number: int, count: int, folder: str, pipe: Connection) -> None:
    """Run one host in this process, as the other end of the pipe says."""
    host = _HOSTS[kind](number, count, folder)
    pipe.send((host.author, host.start()))
    while True:
        match pipe.recv():
            case "connect", address:
                host.connect(address)
                pipe.send(None)
            case "begin", None:
                host.arrivals.clear()
                pipe.send(_cpu_s())
            case "publish", None:
                pipe.send(host.publish())
            case "wait", timeout_s:
                pipe.send((host.arrivals.wait(count - 1, timeout_s), _cpu_s()))
            case _:
                os._exit(0)  # neither side waits for a goodbye


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Fleet:
    """Hosts of one kind, connected at random with four links each on average."""

    def __init__(self, kind: str, count: int, folder: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["benchmarks.gossip_hosts", "p2p.libp2p_thread"])
        self._pipes: list[Connection] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            context.Process(target=_serve, args=(kind, number, count, folder, theirs), daemon=True).start()
            theirs.close()
            self._pipes.append(ours)
        started = [pipe.recv() for pipe in self._pipes]
        self._authors = [author for author, _ in started]
        rng = np.random.default_rng(0)
        for number in range(1, count):
            for other in rng.choice(number, size=min(number, 2), replace=False):
                self._ask(self._pipes[number], "connect", started[int(other)][1])
        time.sleep(_SETTLE_S)

    @staticmethod
    def _ask(pipe: Connection, command: str, argument: object = None) -> Any:
        pipe.send((command, argument))
        return pipe.recv()

    def _ask_all(self, command: str, argument: object = None) -> list[Any]:
        for pipe in self._pipes:
            pipe.send((command, argument))
        return [pipe.recv() for pipe in self._pipes]

    def burst(self) -> Spread:
        """Let everyone publish at once."""
        cpu, traffic = self._ask_all("begin"), _loopback_bytes()
        published = dict(zip(self._authors, self._ask_all("publish"), strict=True))
        ended = self._ask_all("wait", _PATIENCE_S)
        spent = sum(after for _, after in ended) - sum(cpu)
        took = np.array([at - published[author] for arrivals, _ in ended for author, at in arrivals.items()])
        pairs = len(self._pipes) * (len(self._pipes) - 1)
        return Spread(
            delivered=len(took) / pairs,
            p50_s=float(np.median(took)),
            p99_s=float(np.percentile(took, 99)),
            all_s=float(took.max()),
            bytes_per_record=(_loopback_bytes() - traffic) / len(took),
            cpu_ms_per_record=1e3 * spent / len(took),
        )

    def close(self) -> None:
        """End every process."""
        for pipe in self._pipes:
            pipe.send(("stop", None))
            pipe.close()


@contextmanager
def fleet(kind: str, count: int) -> Iterator[Fleet]:
    """Run so many hosts."""
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(TemporaryDirectory(prefix="meritrec-gossip-"))
        hosts = Fleet(kind, count, folder)
        cleanup.callback(hosts.close)
        yield hosts


def _loopback_bytes() -> int:
    """Return the bytes that went over the loopback interface; 0 where the system does not say."""
    try:
        lines = Path("/proc/net/dev").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:"))
