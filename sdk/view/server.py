"""The page's server: the standard library's, on 127.0.0.1, with bounds on time, size and number of connections."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sdk.view.files import CONTENT_SECURITY_POLICY
from sdk.view.request import MAX_BODY_BYTES, Answer, Refused, Request, ViewUnavailable

HOST = "127.0.0.1"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

logger = logging.getLogger("meritrec.view")

Answerer = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class ViewLimits:
    """What one client may take.

    Attributes:
        read_s: for sending a whole request, however slowly its bytes drip.
        write_s: for taking the answer.
        connections: at a time; more are closed at once.
    """

    read_s: float = 10.0
    write_s: float = 30.0
    connections: int = 32


class ViewServer:
    """Serves the page until closed.

    Args:
        port: 0 for any free one.
        limits: on clients.

    Raises:
        ViewUnavailable: the port is taken or not allowed.
    """

    def __init__(self, port: int, limits: ViewLimits | None = None) -> None:
        self._limits = limits or ViewLimits()
        try:
            self._server = _BoundedServer((HOST, port), self._limits.connections)
        except (OSError, OverflowError) as error:
            raise ViewUnavailable(
                f"cannot serve the page on port {port}: {error}; choose another --port, or leave it out for a free one"
            ) from error
        self._thread: threading.Thread | None = None

    @property
    def authority(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{HOST}:{self._server.server_port}"

    def start(self, answer: Answerer) -> None:
        """Answer requests from now on, each on a thread of its own."""
        self._server.RequestHandlerClass = _handler(answer, self._limits)
        self._thread = threading.Thread(target=self._server.serve_forever, name="meritrec-view", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; closing twice is harmless."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that holds its connection does not hold up the end
    # On Linux SO_REUSEADDR does not let two servers share a port, and it lets a restart have the same one.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], connections: int) -> None:
        super().__init__(address, BaseHTTPRequestHandler)
        self._free = threading.Semaphore(connections)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # the base class names them
        # The client's doing: it went away or was too slow. What goes wrong on this side is answered, not raised.
        logger.debug("a client was dropped", exc_info=True)


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a deadline, which each byte that arrives does not move."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def _handler(answer: Answerer, limits: ViewLimits) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "meritrec"
        sys_version = ""

        def setup(self) -> None:
            super().setup()
            self.rfile = io.BufferedReader(_DeadlineReader(self.connection, time.monotonic() + limits.read_s))

        def answer_one(self) -> None:
            try:
                answered = answer(self._request())
            except Refused as refused:
                answered = Answer.refusal(refused)
            self._send(answered)

        def _request(self) -> Request:
            headers: dict[str, tuple[str, ...]] = {}
            for name, value in self.headers.items():
                headers[name.lower()] = (*headers.get(name.lower(), ()), value)
            request = Request(self.command, self.path, headers)
            length = _length(request)
            body = self.rfile.read(length)
            if len(body) < length:
                raise Refused(400, "BadRequest", "the body is shorter than its Content-Length")
            return Request(self.command, self.path, headers, body)

        def _send(self, answered: Answer) -> None:
            self.connection.settimeout(limits.write_s)
            self.request_version = self.protocol_version  # whatever the client spoke, it gets a status and headers
            self.send_response(answered.status)
            for name, value in {**_HEADERS, **answered.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answered.content_type)
            self.send_header("Content-Length", str(len(answered.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answered.body)

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """Answer what the standard library refuses by itself (bad request lines, too many headers) as JSON too."""
            self.command = self.command or ""
            self._send(Answer.refusal(Refused(code, "BadRequest", message or explain or "not an HTTP request")))

        def version_string(self) -> str:
            return self.server_version

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            """Stay silent."""

    for method in _METHODS:
        setattr(Handler, f"do_{method}", Handler.answer_one)
    return Handler


def _length(request: Request) -> int:
    if request.header("transfer-encoding") is not None:
        raise Refused(411, "LengthRequired", "send the body with a Content-Length")
    said = request.header("content-length")
    if said is None:
        return 0
    if not (said.isascii() and said.isdigit()):
        raise Refused(400, "BadRequest", "Content-Length must be a number")
    if len(said) > 9 or int(said) > MAX_BODY_BYTES:
        raise Refused(413, "TooLarge", f"a body has at most {MAX_BODY_BYTES} bytes")
    return int(said)
