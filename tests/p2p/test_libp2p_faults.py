"""What hostile, broken and restarted peers do to a node: nothing that others notice."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.rsa import create_new_key_pair as new_rsa_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_pair
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr

from p2p.errors import RequestFailed
from p2p.identity import Identity, PeerId
from p2p.libp2p_host import MESH_PROTOCOL, PULL_PROTOCOL, TOPIC
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES
from tests.p2p.transport_lab import LOOPBACK, PATIENCE_S, Peer


def still_works(victim: Peer, witness: Peer) -> None:
    """Check that a peer connected before is served as before, and that the node did not need a restart."""
    assert witness.transport.request(victim.id, b"still there?") == b"answer to still there?"
    assert victim.hears(witness, b"hello")
    assert victim.transport.restarts == 0


def as_raw_host(victim: Peer, attack: Callable[[Any, Any], Awaitable[None]], **options: Any) -> bool:
    """Run `attack(host, victim's libp2p id)` from a plain libp2p host; return whether it could connect."""

    async def main() -> None:
        keys = options.pop("key_pair", None) or create_new_key_pair()
        security = {NOISE: NoiseTransport(keys, noise_privkey=new_x25519_pair().private_key)}
        host = new_host(key_pair=keys, sec_opt=options.pop("sec_opt", security), muxer_opt={YAMUX: Yamux})
        target = info_from_p2p_addr(Multiaddr(victim.address))
        with trio.fail_after(PATIENCE_S):
            async with host.run([Multiaddr(LOOPBACK)]):
                try:
                    await host.connect(target)
                except SwarmException:
                    refused.append(True)
                else:
                    await attack(host, target.peer_id)
                finally:
                    await host.close()

    refused: list[bool] = []
    trio.run(main)
    return not refused


async def read_to_the_end(stream: Any) -> bytes:
    """Return what the victim sent before it reset or closed the stream."""
    data = b""
    try:
        while chunk := await stream.read(4096):
            data += chunk
    except Exception:  # the library has a dozen ways to say that a stream is over
        return data
    return data


def message(**fields: Any) -> bytes:
    rpc = rpc_pb2.RPC()
    rpc.publish.append(rpc_pb2.Message(topicIDs=[TOPIC], **fields))
    return bytes(rpc.SerializeToString())


RESETTING = {
    "no protobuf": encode_varint_prefixed(b"\xff" * 40),
    "a truncated protobuf": encode_varint_prefixed(message(data=b"x" * 100, from_id=b"y", seqno=b"z")[:-20]),
    "a length above the limit": encode_varint_prefixed(b"")[:0] + b"\xff\xff\xff\x7f" + b"x" * 100,
}
IGNORED = {
    "a garbage key": encode_varint_prefixed(
        message(data=b"x", from_id=b"\x12\x20" + bytes(32), seqno=bytes(8), key=b"\xff\xfe", signature=b"s")
    ),
    "no signature": encode_varint_prefixed(message(data=b"forged", from_id=b"\x00\x24\x08\x01\x12\x20" + bytes(32))),
    "a garbage sender": encode_varint_prefixed(message(data=b"x", from_id=b"?", signature=b"s", key=b"k")),
    "an empty frame": encode_varint_prefixed(b""),
}


@pytest.mark.parametrize("name", RESETTING)
def test_garbage_on_the_mesh_ends_that_stream_only(start: Callable[..., Peer], name: str) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)

    async def attack(host: Any, target: Any) -> None:
        stream = await host.new_stream(target, [MESH_PROTOCOL])
        await stream.write(RESETTING[name])
        await read_to_the_end(stream)

    assert as_raw_host(victim, attack)
    still_works(victim, witness)


def test_broken_messages_on_the_mesh_are_not_delivered(start: Callable[..., Peer]) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)

    async def attack(host: Any, target: Any) -> None:
        stream = await host.new_stream(target, [MESH_PROTOCOL])
        for frame in IGNORED.values():
            await stream.write(frame)
        await stream.write(RESETTING["no protobuf"])  # its reset tells that everything before it was read
        await read_to_the_end(stream)

    assert as_raw_host(victim, attack)
    still_works(victim, witness)
    assert all(data.startswith(b"hello") for data in victim.recorder.heard())


@pytest.mark.parametrize(
    "sent",
    [
        (MAX_REQUEST_BYTES + 1).to_bytes(4, "big") + bytes(MAX_REQUEST_BYTES + 1),
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x05raise",
    ],
    ids=["too large", "claims 4 GiB", "makes the handler raise"],
)
def test_a_bad_request_is_refused_without_an_answer(start: Callable[..., Peer], sent: bytes) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)

    async def attack(host: Any, target: Any) -> None:
        stream = await host.new_stream(target, [PULL_PROTOCOL])
        try:
            await stream.write(sent)
        except Exception:  # refused before all of it was sent
            return
        assert await read_to_the_end(stream) == b""

    assert as_raw_host(victim, attack)
    still_works(victim, witness)


NO_TEXT = b"\x13/multistream/1.0.0\n\x05\xff\xfe\xfd\xfc\n"


def test_a_stream_negotiated_in_bytes_that_are_no_text_is_reset(start: Callable[..., Peer]) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)

    async def attack(host: Any, target: Any) -> None:
        (connection,) = host.get_network().get_connections(target)
        stream = await connection.muxed_conn.open_stream()  # below the negotiation, which this peer does its own way
        await stream.write(NO_TEXT)
        await read_to_the_end(stream)

    assert as_raw_host(victim, attack)
    still_works(victim, witness)


def test_a_connection_negotiated_in_bytes_that_are_no_text_is_closed(start: Callable[..., Peer]) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    parts = victim.address.split("/")
    with socket.create_connection((parts[2], int(parts[4])), timeout=PATIENCE_S) as raw:
        raw.sendall(NO_TEXT)
        try:
            while raw.recv(4096):
                continue
        except ConnectionResetError:  # closed with bytes unread
            raw.close()
    still_works(victim, witness)


def test_too_many_streams_at_a_time_are_refused(start: Callable[..., Peer]) -> None:
    from p2p.libp2p_pull import MAX_CONCURRENT_PER_PEER, read_frame

    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    answers: list[bytes] = []

    async def attack(host: Any, target: Any) -> None:
        open_streams = [await host.new_stream(target, [PULL_PROTOCOL]) for _ in range(MAX_CONCURRENT_PER_PEER)]
        try:
            refused = await read_to_the_end(await host.new_stream(target, [PULL_PROTOCOL]))
        except StreamFailure:  # the reset overtook the end of the negotiation
            refused = b""
        assert refused == b""
        for stream in open_streams:
            for _ in range(2):  # a stream may carry several requests
                await stream.write(b"\x00\x00\x00\x02hi")
                answers.append(await read_frame(stream, 100))

    assert as_raw_host(victim, attack)
    assert answers == [b"answer to hi"] * 2 * MAX_CONCURRENT_PER_PEER
    still_works(victim, witness)


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x00\x00\x09slow"], ids=["nothing", "one byte", "half a frame"])
def test_a_peer_that_keeps_a_stream_waiting_loses_it(
    start: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("p2p.libp2p_pull._IDLE_S", 0.3)
    monkeypatch.setattr("p2p.libp2p_pull._SERVE_TIMEOUT_S", 0.3)
    victim, witness = start(), start()
    witness.transport.connect(victim.address)

    async def attack(host: Any, target: Any) -> None:
        stream = await host.new_stream(target, [PULL_PROTOCOL])
        await stream.write(sent) if sent else None
        assert await read_to_the_end(stream) == b""

    assert as_raw_host(victim, attack)
    still_works(victim, witness)


def test_a_stream_that_was_let_go_is_replaced_without_an_error(
    start: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2p.libp2p_pull._IDLE_S", 1.0)  # a new stream must not wait as long for its first request
    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    for _ in range(2):
        assert witness.transport.request(victim.id, b"hi") == b"answer to hi"
        assert not victim.recorder.wait(lambda: False, 1.5)  # longer than the stream is kept
    assert witness.transport.request(victim.id, b"hi") == b"answer to hi"


def test_handlers_that_raise_do_no_harm(start: Callable[..., Peer]) -> None:
    victim, witness = start(), start()
    witness.transport.connect(victim.address)
    with pytest.raises(RequestFailed):
        witness.transport.request(victim.id, b"raise")
    assert victim.hears(witness, b"raise")
    still_works(victim, witness)


def test_a_plaintext_peer_is_refused(start: Callable[..., Peer]) -> None:
    victim = start()
    keys = create_new_key_pair()

    async def attack(host: Any, target: Any) -> None:
        """Nothing is left to do if plaintext was accepted."""

    assert not as_raw_host(victim, attack, key_pair=keys, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)})
    assert victim.recorder.arrivals == []
    assert victim.transport.restarts == 0


def test_a_peer_without_an_ed25519_identity_is_refused(start: Callable[..., Peer]) -> None:
    victim = start()

    async def attack(host: Any, target: Any) -> None:
        for connection in host.get_network().get_connections(target):
            await connection.event_closed.wait()  # the victim hangs up

    assert as_raw_host(victim, attack, key_pair=new_rsa_pair())
    assert victim.recorder.arrivals == []
    assert victim.transport.restarts == 0


def test_the_validator_refuses_what_is_too_large_and_never_raises() -> None:
    from types import SimpleNamespace

    from libp2p.peer.id import ID

    from p2p.libp2p_host import _validator, libp2p_id_of

    delivered: list[bytes] = []

    def deliver(peer: PeerId, data: bytes) -> None:
        delivered.append(data)
        if data == b"raise":
            raise RuntimeError("a delivery that raises")

    own, other = (libp2p_id_of(Identity.create().peer_id) for _ in range(2))
    validate = _validator(own, deliver)

    def says(forwarder: ID, data: bytes, author: ID = other) -> bool:
        return validate(forwarder, SimpleNamespace(data=data, from_id=author.to_bytes()))

    assert says(other, bytes(MAX_BROADCAST_BYTES))
    assert not says(other, bytes(MAX_BROADCAST_BYTES + 1))
    assert not says(other, b"raise")
    assert not says(ID(b"\x12\x20" + bytes(32)), b"by a peer whose key is not in its id")
    assert says(own, b"own")
    assert says(other, b"own, come back", author=own)
    assert delivered == [bytes(MAX_BROADCAST_BYTES), b"raise"]


def test_a_peer_that_restarts_on_its_port_meets_the_others_again(start: Callable[..., Peer]) -> None:
    steady, restarting = start(), start()
    steady.transport.connect(restarting.address)
    assert restarting.hears(steady, b"before")
    restarting.transport.close()
    assert steady.recorder.wait(lambda: restarting.id not in steady.recorder.present)
    again = start(restarting.identity, restarting.address.split("/p2p/")[0])
    assert again.address == restarting.address
    assert steady.transport.connect(again.address) == again.id
    assert again.hears(steady, b"after")
    assert steady.hears(again, b"back")
    assert again.transport.request(steady.id, b"you?") == b"answer to you?"


def test_a_peer_that_returns_while_its_old_connection_is_open_joins_the_mesh(start: Callable[..., Peer]) -> None:
    steady, old = start(), start()
    old.transport.connect(steady.address)
    assert steady.hears(old, b"before")
    new = start(old.identity)
    new.transport.connect(steady.address)
    assert old.recorder.wait(lambda: steady.id not in old.recorder.present)
    assert new.hears(steady, b"to the new one")
    assert steady.hears(new, b"from the new one")
    assert steady.transport.request(new.id, b"you?") == b"answer to you?"


@pytest.mark.parametrize("age_s", [0.0, 3600.0])
@pytest.mark.parametrize("same_direction", [False, True])
def test_both_sides_close_the_same_one_of_two_connections(age_s: float, same_direction: bool) -> None:
    from types import SimpleNamespace

    from p2p.libp2p_guard import OneConnection
    from p2p.libp2p_host import libp2p_id_of

    ids = [libp2p_id_of(Identity.create().peer_id) for _ in range(2)]

    def closed_by(side: int, new: str) -> str:
        """Connection "a" was dialled by peer 0; "b" by peer 1, or by peer 0 too."""
        dialler = {"a": 0, "b": 0 if same_direction else 1}
        connections = {
            name: SimpleNamespace(
                name=name,
                muxed_conn=SimpleNamespace(is_initiator=dialler[name] == side, is_closed=False),
                _created_at=time.time() - (0 if name == new else age_s),
            )
            for name in "ab"
        }
        keeper = OneConnection(SimpleNamespace(), ids[side], SimpleNamespace())  # type: ignore[arg-type]
        old = "b" if new == "a" else "a"
        loser: str = keeper._loser(connections[new], connections[old], ids[1 - side]).name
        return loser

    if same_direction or age_s:
        assert closed_by(0, "b") == closed_by(1, "b") == "a"
    else:  # dialled at once: each side saw the other's connection last
        assert len({closed_by(side, new) for side in (0, 1) for new in "ab"}) == 1


def test_addresses_that_peers_advertise_are_not_dialled(start: Callable[..., Peer]) -> None:
    from p2p.libp2p_host import libp2p_id_of

    victim, target = start(), start()

    async def tempt(node: Any) -> None:
        address = Multiaddr(target.address.split("/p2p/")[0])
        node._host.get_peerstore().add_addrs(libp2p_id_of(target.id), [address], 3600)
        await node._network.auto_connector.maybe_connect()

    assert victim.transport._thread is not None
    victim.transport._thread.call(tempt, 5.0)
    assert list(victim.transport.peers()) == []


def test_a_node_that_dies_is_started_again_and_finds_its_peers(start: Callable[..., Peer]) -> None:
    victim, dialled, dialling = start(), start(), start()
    victim.transport.connect(dialled.address)
    dialling.transport.connect(victim.address)
    assert victim.recorder.wait(lambda: len(victim.recorder.present) == 2)

    async def die() -> None:
        raise RuntimeError("injected: what a peer sent got past every guard")

    async def inject(node: Any) -> None:
        node.nursery.start_soon(die)

    assert victim.transport._thread is not None
    victim.transport._thread.cast(inject, 5.0)
    assert victim.recorder.wait(lambda: victim.recorder.arrivals.count(dialled.id) == 2)
    assert victim.transport.restarts == 1
    assert victim.transport.request(dialled.id, b"again") == b"answer to again"
    dialling.transport.connect(victim.address)
    assert dialling.transport.request(victim.id, b"same port") == b"answer to same port"
    assert dialled.hears(victim, b"after the restart")
    assert victim.hears(dialling, b"to the restarted")
