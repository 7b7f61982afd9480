"""Real sockets: permissions, deadlines, many clients at once, signals, and what the service manager hears."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sdk.errors import InvalidInput
from sdk.http_api import Access, HttpLimits, create_app
from sdk.http_api.listening import is_loopback, tcp_socket, unix_socket
from sdk.http_api.server import ApiServer, url_of
from sdk.http_api.systemd import ServiceManager
from tests.sdk.http_api.golden_device import TOKEN

PATIENCE_S = 60.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_is_the_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with tcp_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InvalidInput, match="choose another"), tcp_socket("127.0.0.1", port):
            pass
    with pytest.raises(InvalidInput, match="cannot listen"), tcp_socket("no such host", 1):
        pass


def test_a_socket_file_is_its_owners_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with unix_socket(path) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert url_of(listener) == f"unix:{path}"
        with pytest.raises(InvalidInput, match="another server listens"), unix_socket(path):
            pass
        assert path.exists()
    assert not path.exists()
    with unix_socket(path, 0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_what_a_killed_server_left_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with unix_socket(path):
        pass
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="is no socket"), unix_socket(path):
        pass
    assert path.read_text() == "mine"
    with pytest.raises(InvalidInput, match="cannot listen"), unix_socket(tmp_path / "no" / "folder"):
        pass
    with pytest.raises(InvalidInput, match="cannot listen"), unix_socket(tmp_path / ("x" * 120)):
        pass


def test_a_socket_that_another_server_took_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with unix_socket(path):
        path.unlink()
        path.write_text("not ours")
    assert path.read_text() == "not ours"


@contextmanager
def _serving(
    me, listener: socket.socket, access: Access, limits: HttpLimits | None = None, manager: ServiceManager | None = None
) -> Iterator[None]:
    limits, ready = limits or HttpLimits(), threading.Event()
    app = create_app(me, access, limits)
    server = ApiServer(app, listener, limits, manager or ServiceManager({}), me.count_events, ready.set)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def _ask(connection: http.client.HTTPConnection, method: str, path: str, content: object = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"} | ({} if content is None else {"Content-Type": "application/json"})
    connection.request(method, path, None if content is None else json.dumps(content), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_many_clients_at_once_lose_nothing(me) -> None:
    clients, rounds = 16, 5
    failures: list[str] = []

    def client(port: int, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        for turn in range(rounds):
            events = {"events": [{"item": f"item-{(number + turn) % 50}", "at": 1_600_000_000 + turn}]}
            answers = [_ask(connection, "POST", "/v1/events", events), _ask(connection, "GET", "/v1/recommendations")]
            failures.extend(str(answer) for answer in answers if answer[0] != 200)
        connection.close()

    with tcp_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with _serving(me, listener, Access(TOKEN)):
            threads = [threading.Thread(target=client, args=(port, number)) for number in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
    assert failures == []
    assert me.count_events() == clients * rounds


def test_a_unix_socket_needs_no_token(me, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with unix_socket(path) as listener, _serving(me, listener, Access(None, None)):
        connection = UnixConnection(path)
        connection.request("GET", "/v1/recommendations?k=3")
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["recommendations"]) == 3
        connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /hea",
    ],
)
def test_a_header_that_does_not_come_ends_the_connection(me, sent: bytes) -> None:
    limits = HttpLimits(header_s=0.2)
    received = b""
    with (
        tcp_socket("127.0.0.1", 0) as listener,
        _serving(me, listener, Access(TOKEN), limits),
        socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as connection,
        suppress(ConnectionResetError),
    ):
        connection.sendall(sent)
        while piece := connection.recv(4096):
            received += piece
    assert received.startswith(b"HTTP/1.1 200") or received == b""


def test_a_body_that_does_not_come_is_answered_in_time(me) -> None:
    limits = HttpLimits(body_s=0.2)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with (
        tcp_socket("127.0.0.1", 0) as listener,
        _serving(me, listener, Access(TOKEN), limits),
        socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as connection,
    ):
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_request_that_runs_is_answered_when_the_server_stops(me, monkeypatch: pytest.MonkeyPatch) -> None:
    running, go_on = threading.Event(), threading.Event()

    def held() -> int:
        running.set()
        assert go_on.wait(PATIENCE_S)
        return 0

    class Releasing(ServiceManager):
        def tell(self, *lines: str) -> None:
            if "STOPPING=1" in lines:
                go_on.set()

    answers: list[int] = []
    with tcp_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with _serving(me, listener, Access(TOKEN), manager=Releasing({})):
            monkeypatch.setattr(me, "count_events", held)

            def ask() -> None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
                connection.request("GET", "/healthz", headers={"Connection": "close"})
                answers.append(connection.getresponse().status)
                connection.close()

            thread = threading.Thread(target=ask)
            thread.start()
            assert running.wait(PATIENCE_S)
        thread.join(PATIENCE_S)
    assert answers == [200]


def test_the_service_manager_hears_ready_alive_and_stopping(me, tmp_path: Path) -> None:
    name = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(PATIENCE_S)
        heard.bind(str(name))
        manager = ServiceManager({"NOTIFY_SOCKET": str(name), "WATCHDOG_USEC": "300000"})
        with tcp_socket("127.0.0.1", 0) as listener, _serving(me, listener, Access(TOKEN), manager=manager):
            messages = [heard.recv(4096) for _ in range(4)]
        while b"STOPPING=1" not in messages[-1]:
            messages.append(heard.recv(4096))
    kinds = [message.split(b"\n")[0] for message in messages]
    assert kinds.count(b"READY=1") == 1
    assert kinds.count(b"WATCHDOG=1") >= 3
    assert set(kinds) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


def test_a_device_that_does_not_answer_gives_no_sign_of_life(me, tmp_path: Path, monkeypatch) -> None:
    name = tmp_path / "notify"
    tried = threading.Event()

    def broken() -> int:
        tried.set()
        raise RuntimeError("broken")

    monkeypatch.setattr(me, "count_events", broken)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(PATIENCE_S)
        heard.bind(str(name))
        manager = ServiceManager({"NOTIFY_SOCKET": str(name), "WATCHDOG_USEC": "300000"})
        with tcp_socket("127.0.0.1", 0) as listener, _serving(me, listener, Access(TOKEN), manager=manager):
            assert tried.wait(PATIENCE_S)
        messages = [heard.recv(4096), heard.recv(4096)]
    assert [message.split(b"\n")[0] for message in messages] == [b"READY=1", b"STOPPING=1"]
