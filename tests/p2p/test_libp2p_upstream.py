"""What the unguarded library does where `p2p.libp2p_guard` stands before it.

These tests pass as long as py-libp2p has its defects. One that fails brings good news: the defect is mended, and the
guard that it names can go.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from google.protobuf.message import DecodeError
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_pair
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.peer.peerstore import env_to_send_in_RPC
from libp2p.pubsub import utils as pubsub_utils
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import YamuxStream
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr

from p2p.libp2p_host import MESH_PROTOCOL

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
TOPIC, ECHO = "upstream", "/upstream/1"
PATIENCE_S = 15.0
pytestmark = pytest.mark.slow
MENDED = "py-libp2p mended this; remove {} from p2p.libp2p_guard"


def plain_host(**options: Any) -> Any:
    keys = options.pop("key_pair", None) or create_new_key_pair()
    security = {NOISE: NoiseTransport(keys, noise_privkey=new_x25519_pair().private_key)}
    return new_host(key_pair=keys, sec_opt=security, **options)


@asynccontextmanager
async def unguarded(**options: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A plain host with a plain gossipsub, listening and subscribed; whatever escapes ends the block."""
    host = plain_host(**options)
    router = GossipSub(protocols=[MESH_PROTOCOL], degree=6, degree_low=4, degree_high=12, heartbeat_interval=1)
    pubsub = Pubsub(host, router, strict_signing=True)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(host.run([Multiaddr(LOOPBACK)]))
        await stack.enter_async_context(background_trio_service(pubsub))
        await stack.enter_async_context(background_trio_service(router))
        await pubsub.wait_until_ready()
        await pubsub.subscribe(TOPIC)
        yield host, pubsub
        await host.close()


@asynccontextmanager
async def peer_of(victim: Any) -> AsyncIterator[Any]:
    """A plain host without pubsub that is connected to `victim`."""
    peer = plain_host()
    async with peer.run([Multiaddr(LOOPBACK)]):
        await peer.connect(info_from_p2p_addr(Multiaddr(str(victim.get_addrs()[0]))))
        yield peer


async def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Wait for what nothing in the library tells of; return whether it came about."""
    with trio.move_on_after(within_s):
        while not condition():
            await trio.sleep(0.01)
    return condition()


def dies_of(attack: Callable[[Any, Any], Awaitable[None]], prepare: Callable[[Any, Any], None] | None = None) -> str:
    """Run a victim, let a peer attack it, and return what ended the victim; empty if it lives on."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with unguarded() as (victim, pubsub):
                if prepare is not None:
                    prepare(victim, pubsub)
                peer = plain_host()
                async with peer.run([Multiaddr(LOOPBACK)]):
                    await peer.connect(info_from_p2p_addr(Multiaddr(str(victim.get_addrs()[0]))))
                    await attack(peer, victim.get_id())
                    with trio.move_on_after(3.0):
                        await trio.sleep_forever()

    try:
        trio.run(main)
    except BaseException as error:  # groups within groups; what counts is what is in them
        return ", ".join(sorted({type(leaf).__name__ for leaf in _leaves(error)}))
    return ""


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


async def write(peer: Any, victim: Any, data: bytes) -> None:
    stream = await peer.new_stream(victim, [MESH_PROTOCOL])
    await stream.write(encode_varint_prefixed(data))


def message(**fields: Any) -> bytes:
    return bytes(rpc_pb2.RPC(publish=[rpc_pb2.Message(topicIDs=[TOPIC], **fields)]).SerializeToString())


def test_bytes_that_are_no_rpc_end_the_host() -> None:
    ended = dies_of(lambda peer, victim: write(peer, victim, b"\xff" * 40))
    assert DecodeError.__name__ in ended, MENDED.format("SafePubsub.continuously_read_stream")


def test_a_message_with_a_garbage_key_ends_the_host() -> None:
    garbage = message(data=b"x", from_id=b"\x12\x20" + bytes(32), seqno=bytes(8), key=b"\xff\xfe", signature=b"s")
    ended = dies_of(lambda peer, victim: write(peer, victim, garbage))
    assert DecodeError.__name__ in ended, MENDED.format("SafePubsub.push_msg")


def test_a_validator_that_raises_ends_the_host() -> None:
    keys = create_new_key_pair()
    sender = ID.from_pubkey(keys.public_key)
    said = rpc_pb2.Message(from_id=sender.to_bytes(), data=b"x", seqno=bytes(8), topicIDs=[TOPIC])
    said.signature = keys.private_key.sign(b"libp2p-pubsub:" + said.SerializeToString())

    def fail(_: Any, __: Any) -> bool:
        raise ZeroDivisionError

    def prepare(_: Any, pubsub: Any) -> None:
        pubsub.set_topic_validator(TOPIC, fail, False)

    rpc = bytes(rpc_pb2.RPC(publish=[said]).SerializeToString())
    ended = dies_of(lambda peer, victim: write(peer, victim, rpc), prepare)
    assert "ZeroDivisionError" in ended, MENDED.format("SafePubsub.push_msg")


def test_a_stream_handler_that_raises_ends_the_host() -> None:
    async def fail(_: Any) -> None:
        raise ZeroDivisionError

    async def attack(peer: Any, victim: Any) -> None:
        await peer.new_stream(victim, [ECHO])

    ended = dies_of(attack, lambda victim, _: victim.set_stream_handler(ECHO, fail))
    assert "ZeroDivisionError" in ended, MENDED.format("guard_stream_handlers")


def test_a_negotiation_in_bytes_that_are_no_text_ends_the_host() -> None:
    async def attack(peer: Any, victim: Any) -> None:
        (connection,) = peer.get_network().get_connections(victim)
        stream = await connection.muxed_conn.open_stream()  # below the negotiation, which this peer does its own way
        await stream.write(b"\x13/multistream/1.0.0\n\x05\xff\xfe\xfd\xfc\n")

    ended = dies_of(attack)
    assert UnicodeDecodeError.__name__ in ended, MENDED.format("guard_stream_handlers")


def test_an_rpc_while_the_router_stops_raises() -> None:
    """Between the end of the service's last task and its own, it calls itself running and takes no more tasks."""
    rpc = encode_varint_prefixed(message(data=b"x", from_id=b"x", seqno=bytes(8)))
    unread = bytearray(rpc)
    raised: list[Exception] = []

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with unguarded() as (victim, pubsub):

                async def read(length: int) -> bytes:
                    """One RPC after the other, one in each turn of the scheduler, so that one falls into the gap."""
                    if not unread:
                        pubsub.manager.cancel()
                        await trio.lowlevel.checkpoint()
                        unread.extend(rpc)
                    taken = bytes(unread[:length])
                    del unread[:length]
                    return taken

                connection = SimpleNamespace(peer_id=victim.get_id())
                try:
                    await pubsub.stream_handler(
                        SimpleNamespace(read=read, muxed_conn=connection, metric_send_channel=None)
                    )
                except RuntimeError as error:
                    raised.append(error)

    trio.run(main)
    assert [str(error) for error in raised] == ["Nursery is closed to new arrivals"], MENDED.format(
        "the check for a stopping manager in SafePubsub.continuously_read_stream"
    )


def test_a_peer_that_returns_while_its_old_connection_is_listed_never_hears_our_subscription() -> None:
    keys = create_new_key_pair()

    async def hears(address: str) -> bool:
        """Connect with the same identity each time, and wait for the subscription that a new peer is told."""
        peer = plain_host(key_pair=keys)
        told = trio.Event()

        async def read(stream: Any) -> None:
            if await stream.read(64):
                told.set()

        peer.set_stream_handler(MESH_PROTOCOL, read)
        stack = AsyncExitStack()
        await stack.enter_async_context(peer.run([Multiaddr(LOOPBACK)]))
        lives.append(stack)  # it is not closed before the victim is asked again: the old connection stays listed
        await peer.connect(info_from_p2p_addr(Multiaddr(address)))
        with trio.move_on_after(3.0):
            await told.wait()
        return told.is_set()

    lives: list[AsyncExitStack] = []
    heard: list[bool] = []

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with unguarded() as (victim, _):
                address = str(victim.get_addrs()[0])
                heard.extend([await hears(address), await hears(address)])
                for stack in reversed(lives):
                    await stack.aclose()

    trio.run(main)
    assert heard == [True, False], MENDED.format("OneConnection and SafePubsub.move_to_live_connection")


def test_the_cache_of_seen_messages_keeps_a_thread() -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        async with unguarded():
            pass

    trio.run(main)
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert left, MENDED.format("stop_cache_thread")


def test_two_hosts_listen_on_one_port_without_an_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")]

    async def main() -> None:
        async with plain_host().run(address), plain_host().run(address):
            pass

    trio.run(main)  # raises when it is mended: remove refuse_taken_address from p2p.libp2p_guard


def test_a_host_that_cannot_listen_does_not_say_so() -> None:
    listened: list[Any] = []

    async def main(address: Multiaddr) -> None:
        host = plain_host()
        async with host.run([address]):
            listened.extend(host.get_transport_addrs())

    with socket.create_server(("127.0.0.1", 0)) as taken:  # without SO_REUSEPORT: nobody else can have its port
        trio.run(main, Multiaddr(f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"))  # raises when it is mended
    assert listened == [], MENDED.format("refuse_taken_address, if two hosts cannot share a port either")


def test_sequence_numbers_begin_with_the_second_and_so_repeat_after_a_restart() -> None:
    def started() -> Any:
        router = GossipSub(protocols=[MESH_PROTOCOL], degree=6, degree_low=4, degree_high=12)
        pubsub = Pubsub(plain_host(), router)
        pubsub.seen_messages.stop()
        return pubsub

    lives = [started().counter for _ in range(2)]
    assert lives[1] - lives[0] < 1_000, "py-libp2p mended this; remove the counter from p2p.libp2p_host"


def test_the_auto_connector_dials_what_peers_advertise_though_no_connections_are_asked_for() -> None:
    config = ConnectionConfig(min_connections=0, low_watermark=0, high_watermark=100, max_connections=128)
    dialled: list[ID] = []

    async def main() -> None:
        host, other = plain_host(connection_config=config), plain_host()
        network = host.get_network()
        host.get_peerstore().add_addrs(other.get_id(), [Multiaddr("/ip4/127.0.0.1/tcp/9")], 60)

        async def dial(peer: ID, *_: object, **__: object) -> None:
            dialled.append(peer)

        network.dial_peer = dial
        async with host.run([Multiaddr(LOOPBACK)]):
            with trio.move_on_after(PATIENCE_S):
                await network.auto_connector.maybe_connect()

    trio.run(main)
    assert dialled, MENDED.format("disable_auto_connector")


def test_each_rpc_costs_a_check_of_the_same_signed_record(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    original = pubsub_utils.consume_envelope

    def counted(envelope: bytes, domain: str) -> Any:
        checked.append(envelope)
        return original(envelope, domain)

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with unguarded() as (victim, _), peer_of(victim) as peer:
                record, _ = env_to_send_in_RPC(peer)
                rpc = encode_varint_prefixed(rpc_pb2.RPC(senderRecord=record).SerializeToString())
                stream = await peer.new_stream(victim.get_id(), [MESH_PROTOCOL])
                for _ in range(10):
                    await stream.write(rpc)
                await until(lambda: len(checked) >= 10, 3.0)

    monkeypatch.setattr(pubsub_utils, "consume_envelope", counted)
    trio.run(main)
    assert len(checked) >= 10, MENDED.format("cache_signed_records")
    assert len(set(checked)) == 1


def test_each_small_read_sends_a_window_update(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[int] = []
    original = YamuxStream.send_window_update

    async def counted(self: Any, increment: int, *arguments: Any, **options: Any) -> None:
        updates.append(increment)
        await original(self, increment, *arguments, **options)

    async def echo(stream: Any) -> None:
        while data := await stream.read(64):
            await stream.write(data)

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with unguarded() as (victim, _), peer_of(victim) as peer:
                victim.set_stream_handler(ECHO, echo)
                stream = await peer.new_stream(victim.get_id(), [ECHO])
                updates.clear()
                for _ in range(50):
                    await stream.write(b"hi")
                    assert await stream.read(64) == b"hi"
                await stream.reset()

    monkeypatch.setattr(YamuxStream, "send_window_update", counted)
    trio.run(main)
    assert len(updates) >= 50, MENDED.format("batch_window_updates")


def test_what_ended_a_host_is_told_apart() -> None:
    """The harness itself: an attack that does nothing ends nothing."""

    async def nothing(_: Any, __: Any) -> None:
        return

    assert dies_of(nothing) == ""
