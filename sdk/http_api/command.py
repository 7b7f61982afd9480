"""`meritrec serve`: one device over HTTP, and in the peer network if asked."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from sdk.errors import InvalidInput
from sdk.http_api.access import Access, host_names, read_token
from sdk.http_api.app import HttpLimits, create_app
from sdk.http_api.listening import is_loopback, tcp_socket, unix_socket
from sdk.http_api.membership import Membership
from sdk.http_api.server import ApiServer, url_of
from sdk.http_api.systemd import ServiceManager
from sdk.recommender import Recommender

TOKEN_FILE = "http-token"
_LISTEN = "/ip4/127.0.0.1/tcp/0"
_EVERY_ADDRESS = {"0.0.0.0", "::", "::0"}


def run(me: Recommender, arguments: argparse.Namespace) -> None:
    """Serve an open device until SIGTERM, which ends it cleanly, or SIGINT.

    Raises:
        InvalidInput: the address is open to others without --expose, or cannot be had.
        KeyboardInterrupt: SIGINT came.
    """
    logging.basicConfig(stream=sys.stderr, format="meritrec: %(message)s", level=logging.WARNING)
    limits = HttpLimits()
    access, place = _place(arguments)
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(place)
        addresses = _join(me, arguments, cleanup)

        def ready() -> None:
            where = {"url": url_of(listener), "token_file": str(_token_file(arguments)) if access.token else None}
            _say(where | {"addresses": addresses}, as_json=arguments.json)

        app = create_app(me, access, limits)
        stopped_by = ApiServer(app, listener, limits, ServiceManager(), me.count_events, ready).run()
    if stopped_by is signal.SIGINT:
        raise KeyboardInterrupt


def _place(arguments: argparse.Namespace) -> tuple[Access, AbstractContextManager[socket.socket]]:
    """Return what requests must show, and where they come in."""
    if arguments.socket is not None:
        token = None if arguments.token_file is None else read_token(arguments.token_file)
        return Access(token, None), unix_socket(arguments.socket, arguments.socket_mode)
    host = arguments.host
    names = list(arguments.allow_host)
    if not is_loopback(host):
        if not arguments.expose:
            raise InvalidInput(
                f"--host {host} lets other machines in; add --expose if they may, and put a proxy with TLS before it, "
                "because the token would travel unencrypted"
            )
        if host in _EVERY_ADDRESS and not names:
            raise InvalidInput(f"--host {host} answers to any name; say which clients will use: --allow-host NAME")
    if host not in _EVERY_ADDRESS:
        names.append(f"[{host}]" if ":" in host else host)
    return Access(read_token(_token_file(arguments)), host_names(names)), tcp_socket(host, arguments.port)


def _token_file(arguments: argparse.Namespace) -> Path:
    chosen: Path = arguments.token_file or arguments.device / TOKEN_FILE
    return chosen


def _join(me: Recommender, arguments: argparse.Namespace, cleanup: ExitStack) -> list[str]:
    if not (arguments.connect or arguments.listen or arguments.lan):
        return []
    addresses = me.connect([], listen=arguments.listen or _LISTEN, lan=arguments.lan)
    cleanup.callback(Membership(me, arguments.device, addresses, arguments.connect).close)
    return addresses


def _say(about: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(about), flush=True)
        return
    print(f"serving at {about['url']}; GET /openapi.json describes the API", file=sys.stderr)
    if about["token_file"] is not None:
        print(f"the token is in {about['token_file']}", file=sys.stderr)
    for address in about["addresses"] if isinstance(about["addresses"], list) else ():
        print(f"in the network at {address}", file=sys.stderr)
