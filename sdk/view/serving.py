"""Serving a device's page until Ctrl-C: the parts put together."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sdk.recommender import Recommender
from sdk.view.api import ViewApi
from sdk.view.browser import opened_in_browser
from sdk.view.gate import Gate
from sdk.view.joining import Joining
from sdk.view.operations import Operations
from sdk.view.server import ViewServer

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How to serve the page.

    Attributes:
        port: on 127.0.0.1; 0 for any free one.
        open_browser: whether to open the link in the person's browser.
        connect: addresses to dial; the device stays offline without any, unless `lan`.
        lan: whether to look for peers on the local network.
        duration_s: end after this time; None for never.
    """

    port: int = 0
    open_browser: bool = False
    connect: Sequence[str] = ()
    lan: bool = False
    duration_s: float | None = None


def serve(device: Recommender, folder: str, options: ViewOptions, *, link: Say, news: Say) -> None:
    """Serve a device's page until interrupted, or until the time is over.

    Args:
        device: stays open when this returns.
        folder: the device's folder.
        options: how.
        link: told the link, once.
        news: told what happens later: the next link, and peers that cannot be reached.

    Raises:
        ViewUnavailable: the port cannot be had.
    """
    with ExitStack() as cleanup:
        server = ViewServer(options.port)
        cleanup.callback(server.close)
        gate = Gate(server.authority, told=lambda next_: news(f"the page was opened; for another tab: {next_}"))
        joining = Joining(lambda addresses, lan: device.connect(addresses, lan=lan))
        operations = Operations(device, folder, joining, time.time)
        server.start(ViewApi(gate, operations.reads, operations.writes).answer)
        link(gate.link)
        if options.connect or options.lan:
            joining.start(options.connect, lan=options.lan, told=lambda why: news(f"not reached: {why}"))
        if options.open_browser and not cleanup.enter_context(opened_in_browser(gate.link, Path(folder))):
            news("no browser could be opened; open the link yourself")
        _wait(options.duration_s)


def _wait(duration_s: float | None) -> None:
    """Wait for the end of the time, or for a signal to end, which is raised as an interrupt."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Event().wait(duration_s)
