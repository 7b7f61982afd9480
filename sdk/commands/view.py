"""`view`: the device on a page in the person's browser."""

from __future__ import annotations

import argparse
import sys

from sdk.commands.frame import Subparsers, add_command, add_json, open_device, print_result
from sdk.view.serving import ViewOptions, serve


def add_view(subparsers: Subparsers) -> None:
    """Add `meritrec view`."""
    summary = (
        "show the device on a page in your browser, served on 127.0.0.1 to whoever holds the link, until interrupted"
    )
    parser = add_command(subparsers, "view", summary, view)
    parser.add_argument("--port", type=int, default=0, help="where to serve the page (default: any free port)")
    parser.add_argument("--open", action="store_true", help="open the link in your browser")
    parser.add_argument(
        "--connect", action="append", default=[], metavar="MULTIADDR", help="go online and dial this peer; repeatable"
    )
    parser.add_argument(
        "--lan", action="store_true", help="go online and find peers on the local network, which learns this peer id"
    )
    parser.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="end after this time")
    add_json(parser)


def view(arguments: argparse.Namespace) -> None:
    """Serve the page until interrupted or until the time is over."""
    options = ViewOptions(
        port=arguments.port,
        open_browser=arguments.open,
        connect=arguments.connect,
        lan=arguments.lan,
        duration_s=arguments.duration_s,
    )

    def link(address: str) -> None:
        print_result({"link": address}, arguments.json, lambda: address, compact=True)
        sys.stdout.flush()

    with open_device(arguments.device) as device:
        serve(device, str(arguments.device), options, link=link, news=lambda text: print(text, file=sys.stderr))
