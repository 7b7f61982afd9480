"""The sockets: what a client may take, what comes back with every answer, and an end that nobody can hold up."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk.view.request import MAX_BODY_BYTES, Answer, Request, ViewUnavailable
from sdk.view.server import ViewLimits, ViewServer

BRIEF = ViewLimits(read_s=0.3, write_s=0.3, connections=4)
PATIENCE_S = 20.0


class Echo:
    """Answers with what it was asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer.json({"method": request.method, "target": request.target, "body": request.body.decode("latin-1")})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[ViewServer]:
    serving = ViewServer(0, BRIEF)
    serving.start(echo)
    yield serving
    serving.close()


def _connect(server: ViewServer) -> socket.socket:
    host, port = server.authority.split(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


def _raw(server: ViewServer, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with _connect(server) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def _error(response: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = response.partition(b"\r\n\r\n")
    content = json.loads(body)
    assert content.keys() == {"error", "message"}
    return int(head.split()[1]), content


def test_a_request_is_handed_on_and_answered(server: ViewServer, echo: Echo) -> None:
    client = http.client.HTTPConnection(server.authority, timeout=PATIENCE_S)
    client.request("POST", "/api/x?y=1", b'{"a": 1}', {"X-Two": "b", "Content-Type": "application/json"})
    response = client.getresponse()
    assert json.load(response) == {"method": "POST", "target": "/api/x?y=1", "body": '{"a": 1}'}
    assert echo.asked[0].headers["x-two"] == ("b",)
    assert echo.asked[0].headers["host"] == (server.authority,)


def test_every_answer_carries_the_headers_that_lock_the_page_in(server: ViewServer) -> None:
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"NONSENSE\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n"):
        head = _raw(server, sent).partition(b"\r\n\r\n")[0].decode().lower()
        for header in (
            "content-security-policy: default-src 'none';",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
        ):
            assert header in head
        assert "unsafe" not in head
        assert "python" not in head


def test_head_has_no_body(server: ViewServer) -> None:
    assert _raw(server, b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_it_listens_on_one_address_of_this_machine_alone(server: ViewServer) -> None:
    host, _, port = server.authority.partition(":")
    assert host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(port)), PATIENCE_S)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_is_too_large_or_malformed_is_refused(server: ViewServer, echo: Echo, sent: bytes, status: int) -> None:
    response = _raw(server, sent)
    if response:  # what is left unread may reset the connection before the answer arrives
        assert _error(response)[0] == status
    assert echo.asked == []


def test_a_body_that_never_comes_is_not_waited_for(server: ViewServer, echo: Echo) -> None:
    assert _raw(server, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc") == b""
    assert echo.asked == []


def test_dripping_bytes_do_not_keep_a_connection(server: ViewServer, echo: Echo) -> None:
    """Each byte arrives well within the limit; the whole request does not."""
    with _connect(server) as connection:
        dripping = threading.Event()
        connection.settimeout(0.02)
        request = iter(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000)
        closed = False
        while not closed:
            try:
                connection.send(bytes([next(request)]))
                closed = connection.recv(1) == b""
            except TimeoutError:
                dripping.set()
            except (ConnectionResetError, BrokenPipeError):
                closed = True
    assert dripping.is_set()
    assert echo.asked == []


def test_a_client_more_than_there_is_room_for_is_closed_at_once_and_the_others_go_on(echo: Echo) -> None:
    server = ViewServer(0, ViewLimits(read_s=PATIENCE_S, connections=4))  # nobody held here may run out of time
    server.start(echo)
    held = [_connect(server) for _ in range(4)]
    for connection in held:
        connection.sendall(b"GET")
    with _connect(server) as one_more:
        assert one_more.recv(1) == b""
    for connection in held:
        connection.sendall(b" / HTTP/1.1\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.0 200"
        connection.close()
    server.close()


def test_closing_does_not_wait_for_clients(echo: Echo) -> None:
    serving = ViewServer(0, ViewLimits(read_s=600.0))
    serving.start(echo)
    with _connect(serving) as connection:
        connection.sendall(b"GET")
        serving.close()
        serving.close()


def test_a_taken_port_is_named_and_so_is_the_way_out(server: ViewServer) -> None:
    port = int(server.authority.rpartition(":")[2])
    with pytest.raises(ViewUnavailable, match=f"port {port}.*choose another --port"):
        ViewServer(port)
    with pytest.raises(ViewUnavailable, match="port 70000"):
        ViewServer(70_000)


@given(st.binary(max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_bring_it_down(server: ViewServer, sent: bytes) -> None:
    _raw(server, sent + b"\r\n\r\n")
    assert _raw(server, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 200")
