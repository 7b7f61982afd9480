"""Real hosts on loopback: what arrives, what is refused, and that nothing stays behind."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable

import pytest

from p2p.errors import ConnectFailed, RequestFailed, TransportUnavailable
from p2p.identity import Identity
from p2p.libp2p_transport import Libp2pTransport
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from tests.p2p.transport_lab import LOOPBACK, PATIENCE_S, Peer, Recorder


def test_two_peers_meet_ask_and_broadcast_both_ways(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    assert one.transport.connect(two.address) == two.id
    assert two.recorder.wait(lambda: one.id in two.recorder.present)
    assert one.recorder.wait(lambda: two.id in one.recorder.present)
    assert list(one.transport.peers()) == [two.id]
    assert one.transport.request(two.id, b"1") == b"answer to 1"
    assert two.transport.request(one.id, b"2") == b"answer to 2"
    assert two.hears(one, b"from one")
    assert one.hears(two, b"from two")
    assert {peer for peer, _ in two.recorder.broadcasts} == {one.id}


def test_the_listen_address_names_the_identity(start: Callable[..., Peer]) -> None:
    from p2p.libp2p_host import libp2p_id_of, peer_id_of

    peer = start()
    assert peer.address.endswith(f"/p2p/{libp2p_id_of(peer.id)}")
    assert peer_id_of(libp2p_id_of(peer.id)) == peer.id


def test_a_peer_that_is_hung_up_on_is_gone_and_may_dial_again(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    two.transport.disconnect(one.id)
    one.transport.connect(two.address)
    assert two.recorder.wait(lambda: one.id in two.recorder.present)
    two.transport.disconnect(one.id)
    assert one.recorder.wait(lambda: two.id not in one.recorder.present)
    assert two.recorder.wait(lambda: one.id not in two.recorder.present)
    one.transport.connect(two.address)
    assert two.hears(one, b"again")


def test_broadcasts_reach_the_peers_and_nobody_else(start: Callable[..., Peer]) -> None:
    first, middle, last = start(), start(), start()
    first.transport.connect(middle.address)
    last.transport.connect(middle.address)
    assert middle.hears(first, b"to my peer")
    assert last.hears(middle, b"to all")
    assert first.hears(middle, b"to all again")
    assert all(data.startswith(b"to all") for _, data in last.recorder.broadcasts)


def test_window_updates_are_batched(start: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    updates: list[int] = []
    original = YamuxStream.send_window_update

    async def counted(self: object, increment: int, *arguments: object, **options: object) -> None:
        updates.append(increment)
        await original(self, increment, *arguments, **options)

    one, two = start(), start()
    one.transport.connect(two.address)
    assert one.transport.request(two.id, b"warm up") == b"answer to warm up"
    monkeypatch.setattr(YamuxStream, "send_window_update", counted)
    for _ in range(50):
        one.transport.request(two.id, b"hi")
    assert len(updates) < 25  # the library by itself sends two or more for each request


def test_a_large_answer_arrives_whole(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    answer = bytes(range(256)) * (MAX_RESPONSE_BYTES // 256)
    two.recorder.answer = lambda data: answer
    one.transport.connect(two.address)
    assert one.transport.request(two.id, b"x" * MAX_REQUEST_BYTES) == answer


def test_an_answer_above_the_limit_fails_and_the_next_one_works(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    two.recorder.answer = lambda data: bytes(MAX_RESPONSE_BYTES + 1) if data == b"much" else b"fine"
    one.transport.connect(two.address)
    with pytest.raises(RequestFailed, match="at most"):
        one.transport.request(two.id, b"much")
    assert one.transport.request(two.id, b"little") == b"fine"


def test_a_request_above_the_limit_is_not_sent(start: Callable[..., Peer]) -> None:
    with pytest.raises(RequestFailed, match="at most"):
        start().transport.request(Identity.create().peer_id, bytes(MAX_REQUEST_BYTES + 1))


def test_a_broadcast_above_the_limit_is_an_error_of_the_caller(start: Callable[..., Peer]) -> None:
    with pytest.raises(ValueError, match="at most"):
        start().transport.broadcast(bytes(MAX_BROADCAST_BYTES + 1))


def test_a_slow_answer_times_out(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    release = threading.Event()

    def answer(data: bytes) -> bytes:
        release.wait(PATIENCE_S)
        return b"late"

    two.recorder.answer = answer
    one.transport.connect(two.address)
    with pytest.raises(RequestFailed, match="within"):
        one.transport.request(two.id, b"now", timeout_s=0.3)
    release.set()


def test_a_peer_that_is_not_connected_cannot_be_asked(start: Callable[..., Peer]) -> None:
    with pytest.raises(RequestFailed, match="not connected"):
        start().transport.request(Identity.create().peer_id, b"hello")


def test_a_dead_address_fails_in_time(start: Callable[..., Peer]) -> None:
    gone = start()
    gone.transport.close()
    with pytest.raises(ConnectFailed):
        start().transport.connect(gone.address, timeout_s=5.0)


def test_a_silent_address_fails_in_time(start: Callable[..., Peer]) -> None:
    from p2p.libp2p_host import libp2p_id_of

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}/p2p/{libp2p_id_of(Identity.create().peer_id)}"
        with pytest.raises(ConnectFailed):
            start().transport.connect(address, timeout_s=0.5)


def test_somebody_else_at_the_address_is_refused(start: Callable[..., Peer]) -> None:
    from p2p.libp2p_host import libp2p_id_of

    one, two = start(), start()
    address = two.address.split("/p2p/")[0] + f"/p2p/{libp2p_id_of(Identity.create().peer_id)}"
    with pytest.raises(ConnectFailed):
        one.transport.connect(address)
    assert one.transport.connect(two.address) == two.id


@pytest.mark.parametrize("address", ["", "nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/xyz"])
def test_an_address_that_names_nobody_is_refused(start: Callable[..., Peer], address: str) -> None:
    with pytest.raises(ConnectFailed, match="not an address"):
        start().transport.connect(address)


def test_dialling_oneself_is_refused(start: Callable[..., Peer]) -> None:
    peer = start()
    with pytest.raises(ConnectFailed, match="itself"):
        peer.transport.connect(peer.address)


def test_a_taken_address_is_said_clearly(start: Callable[..., Peer]) -> None:
    taken = start().address.split("/p2p/")[0]
    with pytest.raises(TransportUnavailable, match="in use"):
        start(None, taken)


@pytest.mark.parametrize("listen", ["nonsense", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws"])
def test_only_tcp_is_listened_on(start: Callable[..., Peer], listen: str) -> None:
    with pytest.raises(TransportUnavailable):
        start(None, listen)


def test_without_libp2p_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "p2p.libp2p_thread", None)
    with pytest.raises(TransportUnavailable, match=r"pip install 'meritrec\[p2p\]'"):
        Libp2pTransport(Identity.create()).start(Recorder(), LOOPBACK)


def test_both_dial_at_once_and_stay_connected(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    dials = [
        threading.Thread(target=one.transport.connect, args=(two.address,)),
        threading.Thread(target=two.transport.connect, args=(one.address,)),
    ]
    for dial in dials:
        dial.start()
    for dial in dials:
        dial.join(PATIENCE_S)
    assert two.hears(one, b"from one")
    assert one.hears(two, b"from two")
    assert one.transport.request(two.id, b"1") == b"answer to 1"


def test_close_tells_the_other_side_and_leaves_no_thread(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    one.transport.connect(two.address)
    assert two.recorder.wait(lambda: one.id in two.recorder.present)
    one.transport.close()
    one.transport.close()
    assert two.recorder.wait(lambda: one.id not in two.recorder.present)
    two.transport.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("meritrec-p2p")] == []
    assert list(one.transport.peers()) == []
    with pytest.raises(TransportUnavailable, match="before"):
        one.transport.start(Recorder(), LOOPBACK)
    with pytest.raises(ConnectFailed, match="not running"):
        one.transport.connect(two.address)
