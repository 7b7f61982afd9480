"""Peers found on the local network: they are told of each other, and what strangers announce does no harm."""

from __future__ import annotations

import queue
import secrets
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import lan
from p2p.errors import TransportUnavailable
from p2p.lan import LanDiscovery, addresses_in, expanded, text_of

PATIENCE_S = 20.0
SMALL, LARGE = (f"/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo{digit}{'W' * 44}" for digit in "AB")


def multicast_works() -> bool:
    """Send a datagram to an mDNS-like group over loopback and see whether it comes back."""
    group, port = "224.0.0.250", 53530
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiver.bind(("", port))
            loopback = socket.inet_aton("127.0.0.1")
            receiver.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton(group), loopback)
            )
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
            receiver.settimeout(2.0)
            receiver.sendto(b"?", (group, port))
            return receiver.recv(10) == b"?"
        except OSError:
            return False


needs_multicast = pytest.mark.skipif(
    not multicast_works(), reason="no multicast over loopback here: a datagram sent to a group did not arrive"
)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> str:
    """A type of service that nobody else announces: what runs beside this, tests too, shares the loopback interface."""
    own = f"_m{secrets.token_hex(6)}._udp.local."
    monkeypatch.setattr(lan, "SERVICE", own)
    return own


@pytest.fixture
def found(service: str) -> Iterator[tuple[queue.Queue[str], queue.Queue[str]]]:
    small, large = queue.Queue[str](), queue.Queue[str]()
    nodes = [
        LanDiscovery([SMALL], small.put, interfaces=["127.0.0.1"]),
        LanDiscovery([LARGE], large.put, interfaces=["127.0.0.1"]),
    ]
    yield small, large
    for node in nodes:
        node.close()
        node.close()


@needs_multicast
def test_of_two_nodes_the_smaller_is_told_the_other(found: tuple[queue.Queue[str], queue.Queue[str]]) -> None:
    small, large = found
    assert small.get(timeout=PATIENCE_S) == LARGE
    assert large.empty()


@needs_multicast
def test_nothing_stays_behind(service: str) -> None:
    before = set(threading.enumerate())
    LanDiscovery([SMALL], print, interfaces=["127.0.0.1"]).close()
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in left)


@needs_multicast
def test_a_hostile_announcement_is_ignored_and_the_next_one_is_heard(service: str) -> None:
    import zeroconf

    heard: queue.Queue[str] = queue.Queue()
    listener = LanDiscovery([SMALL], heard.put, interfaces=["127.0.0.1"])
    stranger = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    public = LARGE.replace("127.0.0.1", "8.8.8.8")
    for number, text in enumerate((b"\xff", b"\x05hello", text_of([public]), b"\x09dnsaddr=\xff", text_of([LARGE]))):
        name = f"stranger{number}.{service}"
        stranger.register_service(
            zeroconf.ServiceInfo(service, name, port=1, properties=text, server=f"stranger{number}.local.")
        )
    assert heard.get(timeout=PATIENCE_S) == LARGE
    assert heard.empty()
    stranger.close()
    listener.close()


def test_an_interface_that_does_not_exist_is_said() -> None:
    with pytest.raises((TransportUnavailable, RuntimeError), match=r".+"):
        LanDiscovery([SMALL], print, interfaces=["203.0.113.1"])


@given(st.lists(st.sampled_from([SMALL, LARGE]), max_size=4))
def test_what_is_announced_is_found(addresses: list[str]) -> None:
    assert addresses_in(text_of(addresses)) == list(dict.fromkeys(addresses))


@given(st.binary(max_size=300))
def test_arbitrary_records_raise_nothing(text: bytes) -> None:
    assert addresses_in(text) == []


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/8.8.8.8/tcp/4001",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/224.0.0.1/tcp/4001",
        "/ip6/2001:4860:4860::8888/tcp/4001",
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/70000",
        "/ip4/999.0.0.1/tcp/1",
        "/dns4/localhost/tcp/4001",
        "/ip4/127.0.0.1/udp/4001",
    ],
)
def test_public_and_malformed_addresses_are_not_dialled(address: str) -> None:
    assert addresses_in(text_of([f"{address}/p2p/12D3KooW{'x' * 44}"])) == []


def test_only_few_addresses_of_one_record_count() -> None:
    many = [LARGE.replace("4001", str(port)) for port in range(1, 60)]
    raw = b"".join(text_of([address]) for address in many)
    assert addresses_in(raw) == many[:8]


@pytest.mark.parametrize(
    ("interfaces", "announced"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["127.0.0.1", "192.168.1.7", "10.0.0.2"], ["192.168.1.7", "10.0.0.2"]),
    ],
)
def test_all_interfaces_become_those_that_others_can_reach(
    interfaces: list[str], announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lan, "_interface_ips", lambda: interfaces)
    everywhere = SMALL.replace("127.0.0.1", "0.0.0.0")
    assert expanded([everywhere]) == [SMALL.replace("127.0.0.1", ip) for ip in announced]


def test_an_address_of_one_interface_stays() -> None:
    assert expanded([SMALL]) == [SMALL]


def test_the_interfaces_of_this_machine_are_found() -> None:
    assert "127.0.0.1" in lan._interface_ips()


@needs_multicast
def test_two_devices_meet_without_being_told_addresses(service: str) -> None:
    from p2p.identity import Identity
    from p2p.libp2p_transport import Libp2pTransport
    from p2p.node import PeerNode
    from p2p.store import RecordStore

    nodes, lans = [], []
    for _ in range(2):
        identity = Identity.create()
        node = PeerNode(identity, RecordStore(":memory:"), Libp2pTransport(identity))
        nodes.append(node)
        lans.append(LanDiscovery(node.start("/ip4/127.0.0.1/tcp/0"), node.dial, interfaces=["127.0.0.1"]))
    met = threading.Event()
    deadline = threading.Timer(PATIENCE_S, met.set)
    deadline.start()
    while not all(node.status().peers for node in nodes) and not met.wait(0.05):
        continue
    deadline.cancel()
    assert [len(node.status().peers) for node in nodes] == [1, 1]
    for part in (*lans, *nodes):
        part.close() if isinstance(part, LanDiscovery) else part.stop()
