"""A peer in JavaScript, written from `docs/formats.md` on another libp2p, understands our peers and is understood."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_pair
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr

from p2p import messages
from p2p.gossip_config import GossipConfig
from p2p.identity import Identity, PeerId
from p2p.libp2p_host import MESH_PROTOCOL, TOPIC
from p2p.libp2p_transport import Libp2pTransport
from p2p.node import NodeConfig, PeerNode
from p2p.record import (
    MAX_VERSION,
    AdjacencyRecord,
    ItemEdge,
    SignedRecord,
    TrustEdge,
    item_key,
    open_record,
    round_issued_at,
    sign_record,
)
from p2p.store import Entry, RecordStore
from tests.interop.js_peer import HERE, PATIENCE_S, JsPeer, missing_tools
from tests.npm_packages import install_packages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_tools()), reason=f"install these first: {', '.join(missing_tools())}"),
]

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
ASK_OWN, COMPARE, ASK_BODIES, TELL_INTEREST = 1, 2, 3, 4
GOLDEN = bytes.fromhex((Path(__file__).parents[1] / "golden" / "record_v1.hex").read_text())


class Device:
    """A node over libp2p with its store. It compares stores when a peer connects, and then not for an hour.

    Attributes:
        frontier: whose records it wants; None for everyone's.
    """

    def __init__(self, path: Path) -> None:
        self.frontier: frozenset[PeerId] | None = None
        self.identity = Identity.create()
        self.store = RecordStore(path)
        self._changed = threading.Condition()
        self._authors: set[PeerId] = set()
        config = NodeConfig(gossip=GossipConfig(anti_entropy_s=3600, anti_entropy_max_s=3600))
        transport = Libp2pTransport(self.identity)
        self.node = PeerNode(
            self.identity,
            self.store,
            transport,
            config=config,
            on_change=self._on_change,
            frontier=lambda: self.frontier,
        )
        self.address = self.node.start(LOOPBACK)[0]

    @property
    def id(self) -> PeerId:
        return self.identity.peer_id

    def publish(self, friend: bytes) -> SignedRecord:
        return self.node.publish(lambda version: sign_record(record_of(self.id, version, friend), self.identity))

    def learns_of(self, author: PeerId) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: author in self._authors, PATIENCE_S)

    def close(self) -> None:
        self.node.stop()
        self.store.close()

    def _on_change(self, authors: frozenset[PeerId]) -> None:
        with self._changed:
            self._authors |= authors
            self._changed.notify_all()


def record_of(author: bytes, version: int, friend: bytes) -> AdjacencyRecord:
    now = int(time.time())
    keys = sorted(item_key("films", name) for name in ("Metropolis", "Stalker"))
    items = tuple(ItemEdge(key, level, now // 86400) for key, level in zip(keys, (1, 3), strict=True))
    return AdjacencyRecord(PeerId(author), version, round_issued_at(now), (TrustEdge(PeerId(friend), 2),), items)


def content_of(record: AdjacencyRecord) -> dict[str, object]:
    """Return a record as the JavaScript peer tells it."""
    return {
        "author": record.author.hex(),
        "version": record.version,
        "issued_at": record.issued_at,
        "trust": [[edge.peer.hex(), edge.level] for edge in record.trust],
        "items": [[edge.key.hex(), edge.level, edge.day] for edge in record.items],
    }


def entry_of(signed: SignedRecord) -> list[object]:
    return [signed.author.hex(), signed.version, signed.digest.hex()]


@pytest.fixture(scope="module")
def packages() -> Path:
    return install_packages(HERE)


@pytest.fixture
def js(packages: Path, tmp_path: Path) -> Iterator[JsPeer]:
    peer = JsPeer(packages, tmp_path / "js")
    yield peer
    peer.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "records.sqlite")
    yield made
    made.close()


def test_a_javascript_peer_hears_pulls_and_verifies_our_record(device: Device, js: JsPeer) -> None:
    dialled = js.command("dial", address=device.address)
    assert dialled["peer"] == device.id.hex()
    assert (dialled["encryption"], dialled["muxer"]) == ("/noise", "/yamux/1.0.0")
    js.wait("answered", asker=device.id.hex(), kind=ASK_OWN)
    js.wait("grafted", topic=TOPIC)
    # Answered after what was sent before it, so the graft has arrived as well.
    assert js.command("own", address=device.address)["contents"] == []
    signed = device.publish(friend=js.key)
    heard = js.wait("heard")
    assert heard["signed"]
    assert heard["from"] == device.id.hex()
    assert heard["entries"] == [entry_of(signed)]
    assert js.wait("pulled").items() >= content_of(signed.record).items()


def test_our_node_hears_pulls_and_stores_the_record_of_a_javascript_peer(device: Device, js: JsPeer) -> None:
    assert device.node.connect(js.address) == js.key
    js.wait("answered", asker=device.id.hex(), kind=COMPARE)  # found nothing: only the announcement tells of the record
    record = record_of(js.key, MAX_VERSION, friend=device.id)
    entry = js.command("sign", content=content_of(record))["entry"]
    assert js.command("announce")["recipients"] == [device.id.hex()]
    assert device.learns_of(record.author)
    stored = device.store.get(record.author)
    assert stored is not None
    assert stored.record == record
    assert entry_of(stored) == entry
    js.wait("answered", asker=device.id.hex(), kind=ASK_BODIES)
    assert js.command("own", address=device.address)["contents"] == [content_of(record)]
    assert not device.node.status().counters.rejected


def test_stores_are_compared_in_both_directions_without_an_announcement(device: Device, js: JsPeer) -> None:
    ours, theirs = device.publish(friend=js.key), record_of(js.key, 1, friend=device.id)
    js.command("sign", content=content_of(theirs))
    device.node.connect(js.address)
    assert device.learns_of(theirs.author)
    stored = device.store.get(theirs.author)
    assert stored is not None
    assert stored.record == theirs
    named = js.command("compare", address=device.address, cells=16)["entries"]
    assert sorted(named) == sorted([entry_of(ours), entry_of(stored)])


def test_a_javascript_peer_is_told_whose_records_we_want(device: Device, js: JsPeer) -> None:
    theirs = record_of(js.key, 1, friend=device.id)
    js.command("sign", content=content_of(theirs))
    device.frontier = frozenset({theirs.author})
    device.node.connect(js.address)
    js.wait("answered", asker=device.id.hex(), kind=TELL_INTEREST)
    assert device.learns_of(theirs.author)


def test_a_javascript_peer_reads_the_golden_record(js: JsPeer) -> None:
    opened = js.command("open", record=GOLDEN.hex())
    assert opened["content"] == content_of(open_record(GOLDEN).record)
    assert opened["digest"] == open_record(GOLDEN).digest.hex()


def test_the_javascript_peer_would_notice_a_wrong_signature(js: JsPeer) -> None:
    forged = GOLDEN[:-1] + bytes([GOLDEN[-1] ^ 1])
    with pytest.raises(AssertionError, match="not signed by its author"):
        js.command("open", record=forged.hex())


def test_an_announcement_with_a_wrong_signature_is_not_heard(js: JsPeer) -> None:
    """Strict signing on the other side: of two messages alike but for their signatures it takes the signed one."""
    keys = create_new_key_pair()
    author = PeerId(keys.public_key.to_bytes())
    forged, honest = ((author, version, bytes(32)) for version in (1, 2))

    async def attack(host: Any, target: Any) -> None:
        stream = await host.new_stream(target, [MESH_PROTOCOL])
        for entry, signer in ((forged, create_new_key_pair()), (honest, keys)):
            rpc = rpc_pb2.RPC(publish=[announcement(host.get_id().to_bytes(), entry, signer.private_key)])
            await stream.write(encode_varint_prefixed(rpc.SerializeToString()))
        heard = await trio.to_thread.run_sync(lambda: js.wait("heard"))
        assert heard["entries"] == [[author.hex(), 2, bytes(32).hex()]]

    trio.run(as_raw_host, keys, js.address, attack)


def announcement(sender: bytes, entry: Entry, key: Any) -> Any:
    message = rpc_pb2.Message(
        from_id=sender,
        data=messages.encode(messages.Announce((entry,))),
        seqno=entry[1].to_bytes(8, "big"),
        topicIDs=[TOPIC],
    )
    message.signature = key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    return message


async def as_raw_host(keys: Any, address: str, attack: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Run `attack(host, libp2p id at the address)` from a plain libp2p host that is connected to the address."""
    security = {NOISE: NoiseTransport(keys, noise_privkey=new_x25519_pair().private_key)}
    host = new_host(key_pair=keys, sec_opt=security, muxer_opt={YAMUX: Yamux})
    target = info_from_p2p_addr(Multiaddr(address))
    with trio.fail_after(PATIENCE_S):
        async with host.run([Multiaddr(LOOPBACK)]):
            await host.connect(target)
            try:
                await attack(host, target.peer_id)
            finally:
                await host.close()
