"""`serve`: the device over HTTP, for programs in other languages."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdk.commands.frame import Subparsers, add_command, add_json, open_device
from sdk.errors import InvalidInput


def add_serve(subparsers: Subparsers) -> None:
    """Add `meritrec serve`."""
    summary = "let programs in any language use this device over HTTP, until SIGTERM"
    parser = add_command(subparsers, "serve", summary, serve)
    where = parser.add_argument_group("where programs connect")
    where.add_argument("--port", type=_port, default=8765, help="0 for any free one (default: %(default)s)")
    where.add_argument("--socket", type=Path, metavar="PATH", help="a Unix socket instead; its permissions decide")
    where.add_argument(
        "--socket-mode", type=_mode, default=0o600, metavar="MODE", help="permissions of --socket, octal (default: 600)"
    )
    where.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="the token that requests must show, made if missing (default: http-token in the device folder; "
        "none with --socket)",
    )
    where.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s")
    where.add_argument("--expose", action="store_true", help="yes, --host may let other machines in")
    where.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="name that clients may use; repeatable"
    )
    peers = parser.add_argument_group("the peer network, joined if one of these is given")
    peers.add_argument("--connect", action="append", default=[], metavar="MULTIADDR", help="peer to dial; repeatable")
    peers.add_argument("--listen", metavar="MULTIADDR", help="where to listen (default: a port of 127.0.0.1)")
    peers.add_argument("--lan", action="store_true", help="find peers on the local network, as in `meritrec peer`")
    add_json(parser)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is between 0 and 65535")
    return port


def _mode(text: str) -> int:
    mode = int(text, 8)
    if not 0o600 <= mode <= 0o777:
        raise argparse.ArgumentTypeError("a mode is between 600 and 777, such as 660 for a group")
    return mode


def serve(arguments: argparse.Namespace) -> None:
    """Serve the device until it is told to end."""
    try:
        from sdk.http_api.command import run
    except ModuleNotFoundError as error:
        raise InvalidInput(f"serving needs {error.name}: pip install 'meritrec[http]'") from error
    with open_device(arguments.device) as device:
        run(device, arguments)
