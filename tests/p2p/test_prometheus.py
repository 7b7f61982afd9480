"""The metrics endpoint: what it says is what the node counted, in a form that Prometheus reads."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest

from p2p.counters import Counters
from p2p.errors import Rejected, TransportUnavailable
from p2p.identity import PeerId
from p2p.node import NodeStatus
from p2p.prometheus import CONTENT_TYPE, MetricsServer, render

STATUS = NodeStatus(
    peers=(PeerId(bytes(32)),),
    records=7,
    record_bytes=1234,
    distrusted=frozenset(),
    shut_out=(PeerId(bytes(32)),),
    counters=Counters(5, Counter({Rejected.STALE: 3, Rejected.BAD_SIGNATURE: 1}), 10, 11, 120, 130, 2),
)
LINE = re.compile(r'(# (HELP|TYPE) meritrec_[a-z_]+ .+|meritrec_[a-z_]+(\{[a-z]+="[a-z_]+"\})? \d+)')


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    opened = MetricsServer(0, lambda: STATUS)
    yield opened
    opened.close()


def test_every_count_is_there_and_every_line_well_formed() -> None:
    text = render(STATUS)
    assert text.endswith("\n")
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["meritrec_peers"] == "1"
    assert values["meritrec_records"] == "7"
    assert values["meritrec_record_bytes"] == "1234"
    assert values['meritrec_bytes_total{direction="out"}'] == "130"
    assert values['meritrec_rejected_total{reason="stale"}'] == "3"
    assert sum(name.startswith("meritrec_rejected_total") for name in values) == len(Rejected)


def test_it_is_served_on_loopback_under_one_path(server: MetricsServer) -> None:
    with urllib.request.urlopen(server.url) as answer:
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        assert answer.read().decode() == render(STATUS)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(server.url.replace("metrics", "secrets"))


def test_who_sends_garbage_disturbs_nobody(server: MetricsServer) -> None:
    port = int(server.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as silent, socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"\x00\xff garbage\r\n\r\n")
        assert b"400" in rude.recv(1000)
        silent.sendall(b"GET")
        with urllib.request.urlopen(server.url) as answer:
            assert answer.status == 200


def test_a_taken_port_is_said(server: MetricsServer) -> None:
    with pytest.raises(TransportUnavailable, match="choose another port"):
        MetricsServer(int(server.url.split(":")[2].split("/")[0]), lambda: STATUS)
