"""`vouch` and `peer`: whom the person trusts, and the network."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from p2p.prometheus import MetricsServer
from sdk.commands.frame import Subparsers, add_command, key_of, open_device, print_result
from sdk.device_folder import is_open
from sdk.errors import InvalidInput
from sdk.recommender import Recommender
from sdk.status import read_status, remove_status, status_as_json, status_text, write_status

_STATUS_EVERY_S = 2.0


def add_vouch(subparsers: Subparsers) -> None:
    """Add `meritrec vouch`."""
    parser = add_command(subparsers, "vouch", "trust a peer, or cut one off", vouch)
    parser.add_argument("peer", help="public key of the peer, 64 hex digits")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--level", type=int, choices=(1, 2, 3), default=2, help="how much (default: 2)")
    choice.add_argument("--block", action="store_true", help="cut the peer off instead; nobody is told")
    choice.add_argument("--undo", action="store_true", help="take back a vouch or a block")


def vouch(arguments: argparse.Namespace) -> None:
    """Change what the person thinks of a peer."""
    peer = key_of(arguments.peer)
    with open_device(arguments.device) as device:
        if arguments.undo:
            if not device.unvouch(peer):
                raise InvalidInput(f"there is no vouch or block of {arguments.peer} to take back")
        elif arguments.block:
            device.block(peer)
        else:
            device.vouch(peer, arguments.level)


def add_peer(subparsers: Subparsers) -> None:
    """Add `meritrec peer`."""
    summary = "join the network until interrupted; prints this device's addresses"
    parser = add_command(subparsers, "peer", summary, peer)
    parser.add_argument(
        "--listen",
        default="/ip4/127.0.0.1/tcp/0",
        metavar="MULTIADDR",
        help="where to listen; use /ip4/0.0.0.0/tcp/4001 to be reached from outside (default: %(default)s)",
    )
    parser.add_argument("--connect", action="append", default=[], metavar="MULTIADDR", help="peer to dial; repeatable")
    parser.add_argument(
        "--lan", action="store_true", help="find peers on the local network, which learns this device's peer id"
    )
    parser.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="leave after this time")
    parser.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="serve Prometheus metrics on 127.0.0.1 (default: do not)"
    )
    parser.add_argument(
        "--status", action="store_true", help="instead of joining, show what the running `meritrec peer` does"
    )
    parser.add_argument("--json", action="store_true", help="print addresses and status as JSON lines")


def peer(arguments: argparse.Namespace) -> None:
    """Stay in the network until interrupted or until the time is over, saying what changes."""
    if arguments.status:
        _show_status(arguments)
        return
    with open_device(arguments.device) as device, ExitStack() as cleanup:
        addresses = device.connect(arguments.connect, listen=arguments.listen, lan=arguments.lan)
        print_result({"addresses": addresses}, arguments.json, lambda: "\n".join(addresses), compact=True)
        if arguments.metrics_port is not None:
            metrics = MetricsServer(arguments.metrics_port, device.network_status)
            cleanup.callback(metrics.close)
            print(f"metrics at {metrics.url}", file=sys.stderr)
        sys.stdout.flush()
        cleanup.callback(remove_status, arguments.device)
        _stay(device, arguments.device, addresses, arguments.duration_s)
        if arguments.json:
            print(json.dumps(status_as_json(device.network_status())))


def _stay(device: Recommender, folder: Path, addresses: list[str], duration_s: float | None) -> None:
    left, last = duration_s, None
    while left is None or left > 0:
        status = device.network_status()
        write_status(folder, status, addresses, time.time())
        line = (len(status.peers), status.records)
        if line != last:
            print(f"{line[0]} peers, {line[1]} records", file=sys.stderr)
            last = line
        wait = _STATUS_EVERY_S if left is None else min(_STATUS_EVERY_S, left)
        threading.Event().wait(wait)
        left = None if left is None else left - wait


def _show_status(arguments: argparse.Namespace) -> None:
    if not is_open(arguments.device):
        remove_status(arguments.device)  # of a process that was killed
    status = read_status(arguments.device)
    print_result(status, arguments.json, lambda: status_text(status, time.time()))
