"""Bridges: whole nodes over frames that an app carries, and what hostile links and peers cannot do to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from p2p import bridge
from p2p.bridge import MAX_LINKS, BridgeTransport
from p2p.bridge_hub import BridgeHub, Meddle
from p2p.bridge_link import BridgeLink, Kind
from p2p.channel import MAX_FRAME_BYTES
from p2p.errors import ChannelBroken, ConnectFailed, RequestFailed, TransportUnavailable
from p2p.identity import Identity, PeerId
from p2p.node import PeerNode
from p2p.record import AdjacencyRecord, SignedRecord, round_issued_at, sign_record
from p2p.store import RecordStore
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from tests.p2p.transport_lab import PATIENCE_S, Recorder


class Peer:
    """A started bridge with its identity and recorder."""

    def __init__(self, hub: BridgeHub, name: str) -> None:
        self.name = name
        self.identity = Identity.create()
        self.recorder = Recorder()
        self.transport = hub.bridge(name, self.identity)
        assert self.transport.start(self.recorder, name) == [name]

    @property
    def id(self) -> PeerId:
        return self.identity.peer_id


@pytest.fixture
def join() -> Iterator[Callable[..., list[Peer]]]:
    made: list[Peer] = []

    def start(count: int, meddle: Meddle = lambda frame: frame) -> list[Peer]:
        hub = BridgeHub(meddle)
        made.extend(Peer(hub, f"peer-{number}") for number in range(count))
        return made[-count:]

    yield start
    for peer in made:
        peer.transport.close()


def test_two_bridges_meet_ask_and_broadcast_both_ways(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    assert one.transport.connect(two.name) == two.id
    assert one.recorder.wait(lambda: one.recorder.present == {two.id})
    assert two.recorder.wait(lambda: two.recorder.present == {one.id})
    assert list(two.transport.peers()) == [one.id]
    assert one.transport.request(two.id, b"1") == b"answer to 1"
    assert two.transport.request(one.id, b"2") == b"answer to 2"
    one.transport.broadcast(b"hello")
    assert two.recorder.wait(lambda: two.recorder.broadcasts == [(one.id, b"hello")])


def test_the_largest_messages_arrive_whole(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    one.transport.connect(two.name)
    answer = bytes(range(256)) * (MAX_RESPONSE_BYTES // 256)
    two.recorder.answer = lambda data: answer if len(data) == MAX_REQUEST_BYTES else b"truncated"
    assert one.transport.request(two.id, bytes(MAX_REQUEST_BYTES)) == answer
    one.transport.broadcast(bytes(MAX_BROADCAST_BYTES))
    assert two.recorder.wait(lambda: two.recorder.heard() == [bytes(MAX_BROADCAST_BYTES)])
    with pytest.raises(ValueError, match="at most"):
        one.transport.broadcast(bytes(MAX_BROADCAST_BYTES + 1))
    with pytest.raises(RequestFailed, match="at most"):
        one.transport.request(two.id, bytes(MAX_REQUEST_BYTES + 1))
    two.recorder.answer = lambda data: bytes(MAX_RESPONSE_BYTES + 1)
    assert one.transport.request(two.id, b"too much") == b""


def test_broadcasts_reach_the_peers_and_nobody_else(join: Callable[..., list[Peer]]) -> None:
    first, second, third, last = join(4)
    for one, other in ((first, second), (second, third), (third, first), (third, last)):
        one.transport.connect(other.name)
    first.transport.broadcast(b"to my peers")
    for peer in (second, third):
        assert peer.recorder.wait(lambda peer=peer: peer.recorder.heard() == [b"to my peers"])
    third.transport.broadcast(b"to all")
    for peer in (first, second, last):
        assert peer.recorder.wait(lambda peer=peer: b"to all" in peer.recorder.heard())
    assert last.recorder.heard() == [b"to all"]
    assert second.recorder.heard() == [b"to my peers", b"to all"]


def test_hanging_up_is_noticed_and_ends_what_is_under_way(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    one.transport.connect(two.name)
    asked, release = threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        asked.set()
        release.wait(PATIENCE_S)
        return b"late"

    two.recorder.answer = slow
    failed: list[str] = []

    def ask() -> None:
        try:
            one.transport.request(two.id, b"?")
        except RequestFailed as error:
            failed.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    assert asked.wait(PATIENCE_S)
    two.transport.disconnect(one.id)
    asking.join(PATIENCE_S)
    release.set()
    assert failed == ["the link was closed"]
    assert one.recorder.wait(lambda: not one.recorder.present)
    assert two.recorder.wait(lambda: not two.recorder.present)
    with pytest.raises(RequestFailed, match="not connected"):
        one.transport.request(two.id, b"?")
    assert one.transport.connect(two.name) == two.id


def test_a_second_link_to_a_peer_is_no_second_peer(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    one.transport.connect(two.name)
    two.transport.connect(one.name)
    assert one.transport.request(two.id, b"?") == b"answer to ?"
    assert two.recorder.wait(lambda: two.recorder.present == {one.id})
    assert one.recorder.arrivals == [two.id]


def test_an_address_without_anybody_fails(join: Callable[..., list[Peer]]) -> None:
    (one,) = join(1)
    with pytest.raises(ConnectFailed, match="nobody is called"):
        one.transport.connect("nowhere")
    with pytest.raises(ConnectFailed, match=r"itself|closed"):
        one.transport.connect(one.name)
    with pytest.raises(TransportUnavailable, match="make a new one"):
        one.transport.start(one.recorder, "again")


def test_a_link_that_loses_everything_fails_in_time(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2, lambda frame: None)
    with pytest.raises(ConnectFailed, match="did not prove"):
        one.transport.connect(two.name, timeout_s=0.1)
    assert list(one.transport.peers()) == []


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5])
def test_a_link_that_changes_a_frame_is_closed(join: Callable[..., list[Peer]], place: int) -> None:
    count, lock = [0], threading.Lock()

    def meddle(frame: bytes) -> bytes:
        with lock:
            count[0] += 1
            return bytes([frame[0] ^ 1]) + frame[1:] if count[0] == place + 1 else frame

    one, two = join(2, meddle)

    def talk() -> None:
        assert one.transport.connect(two.name, timeout_s=2.0) == two.id
        for _ in range(3):
            one.transport.request(two.id, b"?", timeout_s=2.0)

    with pytest.raises((ConnectFailed, RequestFailed)):
        talk()
    assert one.recorder.wait(lambda: not one.transport.peers())
    assert two.recorder.wait(lambda: not two.recorder.present)


def test_links_that_stay_silent_do_not_keep_others_out(
    join: Callable[..., list[Peer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = join(2)
    for number in range(MAX_LINKS + 5):
        two.transport.link_opened(f"silent-{number}")
    with pytest.raises(ConnectFailed):
        one.transport.connect(two.name, timeout_s=1.0)
    monkeypatch.setattr(bridge, "_PROOF_S", 0.0)
    assert one.transport.connect(two.name) == two.id


def test_arbitrary_frames_and_unknown_links_do_no_harm(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    one.transport.connect(two.name)
    for frame in (b"", b"\0" * 32, bytes(MAX_FRAME_BYTES + 1)):
        two.transport.link_opened("hostile")
        two.transport.received("hostile", frame)
        two.transport.received("never opened", frame)
    two.transport.link_closed("never opened")
    assert one.transport.request(two.id, b"?") == b"answer to ?"


def test_a_handler_that_raises_does_no_harm(join: Callable[..., list[Peer]]) -> None:
    one, two = join(2)
    one.transport.connect(two.name)

    def fail(data: bytes) -> bytes:
        raise RuntimeError("a handler that raises")

    two.recorder.answer = fail
    assert one.transport.request(two.id, b"?") == b""
    two.recorder.answer = lambda data: b"fine"
    assert one.transport.request(two.id, b"?") == b"fine"


def linked() -> tuple[BridgeLink, BridgeLink]:
    left = BridgeLink(Identity.from_seed(b"l" * 32), initiator=True)
    right = BridgeLink(Identity.from_seed(b"r" * 32), initiator=False)
    to_left = right.receive(left.channel.begin()[0])[0]
    to_right = [answer for frame in to_left for answer in left.receive(frame)[0]]
    for frame in to_right:
        right.receive(frame)
    return left, right


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\x00\0\0\0"],
        [b"\x03\0\0\0\0"],
        [b"\x80\0\0\0\0" + bytes(MAX_BROADCAST_BYTES), b"\x00\0\0\0\0x"],
        [b"\x81\0\0\0" + bytes([number]) for number in range(20)],
    ],
    ids=["empty", "no head", "unknown kind", "a broadcast without end", "many in pieces"],
)
def test_a_peer_that_breaks_the_rules_loses_its_link(frames: list[bytes]) -> None:
    left, right = linked()

    def send() -> None:
        for frame in frames:
            right.receive(left.channel.seal(frame))

    with pytest.raises(ChannelBroken):
        send()


def test_an_empty_message_is_one_frame() -> None:
    left, right = linked()
    (frame,) = left.frames_of(Kind.REQUEST, 7, b"")
    assert right.receive(frame) == ([], (Kind.REQUEST, 7, b""))


def test_whole_nodes_agree_over_bridges() -> None:
    hub = BridgeHub()
    identities = [Identity.create() for _ in range(5)]
    stores = [RecordStore(":memory:") for _ in identities]
    told = threading.Condition()

    def tell(_: frozenset[PeerId]) -> None:
        with told:
            told.notify_all()

    def transport(number: int) -> BridgeTransport:
        return hub.bridge(f"device-{number}", identities[number])

    def signed(identity: Identity, version: int) -> SignedRecord:
        return sign_record(
            AdjacencyRecord(identity.peer_id, version, round_issued_at(int(time.time())), (), ()), identity
        )

    nodes = [PeerNode(one, stores[n], transport(n), on_change=tell) for n, one in enumerate(identities)]
    for number, node in enumerate(nodes):
        node.start(f"device-{number}")
    for number in range(4):
        nodes[number].connect(f"device-{number + 1}")
    for identity, node in zip(identities, nodes, strict=True):
        node.publish(lambda version, identity=identity: signed(identity, version))
    with told:
        assert told.wait_for(lambda: all(len(store) == 5 for store in stores), PATIENCE_S)
    for node, store in zip(nodes, stores, strict=True):
        node.stop()
        store.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("meritrec-p2p")] == []
