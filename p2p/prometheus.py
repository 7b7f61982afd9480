"""A node's counters as a Prometheus text endpoint, on the loopback interface only. Off unless somebody starts it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from p2p.errors import Rejected, TransportUnavailable
from p2p.node import NodeStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATH = "/metrics"


def render(status: NodeStatus) -> str:
    """Return a node's status in Prometheus' text format 0.0.4."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: NodeStatus) -> Iterator[str]:
    counts = status.counters
    for name, help_, value in (
        ("peers", "peers connected now", len(status.peers)),
        ("records", "records in the store", status.records),
        ("record_bytes", "size of the records in the store", status.record_bytes),
        ("distrusted_authors", "authors convicted of equivocation", len(status.distrusted)),
        ("peers_shut_out", "peers not listened to now", len(status.shut_out)),
    ):
        yield from _metric(name, "gauge", help_, [("", value)])
    directions = ('{direction="in"}', '{direction="out"}')
    for name, help_, values in (
        ("records_accepted_total", "records accepted", [("", counts.accepted)]),
        ("requests_failed_total", "requests without a usable answer", [("", counts.requests_failed)]),
        ("messages_total", "messages", list(zip(directions, (counts.messages_in, counts.messages_out), strict=True))),
        ("bytes_total", "bytes of messages", list(zip(directions, (counts.bytes_in, counts.bytes_out), strict=True))),
        (
            "rejected_total",
            "input refused, by reason",
            [(f'{{reason="{reason.name.lower()}"}}', counts.rejected[reason]) for reason in Rejected],
        ),
    ):
        yield from _metric(name, "counter", help_, values)


def _metric(name: str, kind: str, help_: str, values: list[tuple[str, int]]) -> Iterator[str]:
    yield f"# HELP meritrec_{name} {help_}"
    yield f"# TYPE meritrec_{name} {kind}"
    for labels, value in values:
        yield f"meritrec_{name}{labels} {value}"


class MetricsServer:
    """Serves `/metrics` on 127.0.0.1 until closed.

    Args:
        port: 0 for any free one.
        status: asked at each request, on a thread of the server.

    Raises:
        TransportUnavailable: the port is taken.
    """

    def __init__(self, port: int, status: Callable[[], NodeStatus]) -> None:
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(status))
        except OSError as error:
            raise TransportUnavailable(f"cannot serve metrics on port {port}: {error}; choose another port") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="meritrec-p2p-metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(status: Callable[[], NodeStatus]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # for who connects and says nothing

        def do_GET(self) -> None:
            """Answer one request."""
            if self.path != _PATH:
                self.send_error(404)
                return
            body = render(status()).encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            """Stay silent."""

    return Handler
