"""Serving the application: uvicorn on sockets that are already open, signals, deadlines, and the service manager."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sdk.http_api.app import HttpLimits
from sdk.http_api.systemd import ServiceManager

log = logging.getLogger("meritrec.http")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KEEP_ALIVE_S = 60
_GRACE_S = 20
_BEATS_PER_WATCHDOG = 3


class ApiServer:
    """Serves an application on one listening socket.

    Args:
        app: the application.
        listener: where to listen; closed at the end.
        limits: bounds on connections and headers.
        manager: told when the server is ready, alive and stopping.
        alive: called on a thread before each sign of life; when it hangs or raises, the manager restarts the service.
        ready: called once connections are taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        limits: HttpLimits,
        manager: ServiceManager,
        alive: Callable[[], object],
        ready: Callable[[], None],
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_protocol(limits.header_s),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._listener = listener
        self._server = _Server(config, manager, alive, ready)

    def run(self) -> signal.Signals | None:
        """Serve until `stop`, SIGTERM or SIGINT, let running requests end, and return the signal.

        Signals are taken on the main thread only.
        """
        asyncio.run(self._server.serve([self._listener]))
        return self._server.stopped_by

    def stop(self) -> None:
        """Ask the server to end; from any thread."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Ends on a signal without passing it on, so that the caller can close the device; tells the service manager."""

    def __init__(
        self,
        config: uvicorn.Config,
        manager: ServiceManager,
        alive: Callable[[], object],
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.stopped_by: signal.Signals | None = None
        self._manager = manager
        self._alive = alive
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take the signals while serving; uvicorn's own way would raise them again and so kill the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.stopped_by = self.stopped_by or number

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._ready()
        self._manager.tell("READY=1", "STATUS=serving")

    async def main_loop(self) -> None:
        """Serve, with signs of life beside."""
        beats = asyncio.create_task(self._beat())
        try:
            await super().main_loop()
        finally:
            beats.cancel()

    async def _beat(self) -> None:
        if self._manager.watchdog_s is None:
            return
        while True:
            try:
                await asyncio.to_thread(self._alive)
            except Exception:
                log.exception("the device does not answer; the service manager will start it again")
                return
            self._manager.tell("WATCHDOG=1")
            await asyncio.sleep(self._manager.watchdog_s / _BEATS_PER_WATCHDOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then stop."""
        self._manager.tell("STOPPING=1", "STATUS=stopping")
        await super().shutdown(sockets)


def _protocol(header_s: float) -> type[H11Protocol]:
    """Return uvicorn's protocol with a deadline for each request's header, which uvicorn lets trickle in."""

    class DeadlineProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_header()

        def data_received(self, data: bytes) -> None:
            waiting = self._deadline
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._header_came()
            elif waiting is None:
                self._expect_header()

        def connection_lost(self, exc: Exception | None) -> None:
            self._header_came()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete and self.conn.trailing_data[0]:  # a part of the next header came early
                self._expect_header()

        def _expect_header(self) -> None:
            self._header_came()
            self._deadline = self.loop.call_later(header_s, self.transport.abort)

        def _header_came(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return DeadlineProtocol


def url_of(listener: socket.socket) -> str:
    """Return how to reach a listening socket: an http URL, or unix: and the path."""
    address: Any = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{address}"
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
