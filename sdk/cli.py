"""`meritrec`: one device from the command line.

Results go to stdout (JSON with --json), progress and errors to stderr. Exit codes: 0 done; 1 refused or failed, with
one sentence why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from device_runtime import DeviceError
from p2p import P2PError
from sdk import commands
from sdk.errors import SDKError
from sdk.sharing import SharingPolicy

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_ASKED = f"from {commands.PASSPHRASE_VARIABLE}, or asked for"

Command = Callable[[argparse.Namespace], None]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    command: Command = arguments.command
    try:
        command(arguments)
    except (SDKError, DeviceError, P2PError) as error:
        print(f"meritrec: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"meritrec: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="meritrec",
        description="Recommendations that belong to the person who receives them.",
        epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.",
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_init, _record, _recommend, _vouch, _peer, _inspect, _rotate):
        add(subparsers)
    return parser


def _add(subparsers: Subparsers, name: str, summary: str, command: Command) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("device", type=Path, help="device folder")
    parser.set_defaults(command=command)
    return parser


def _init(subparsers: Subparsers) -> None:
    parser = _add(subparsers, "init", "make a device: identity, store, model bundle, sharing policy", commands.init)
    parser.add_argument("--bundle", type=Path, required=True, help="model bundle, a folder or a zip")
    parser.add_argument(
        "--trust-key",
        action="append",
        required=True,
        metavar="HEX",
        help="public key of a publisher you trust; repeatable",
    )
    parser.add_argument(
        "--sharing",
        choices=[policy.value for policy in SharingPolicy],
        default=SharingPolicy.PRIVATE.value,
        help="what peers are told: nothing, liked items, or liked items and vouches (default: %(default)s)",
    )
    parser.add_argument("--seal", action="store_true", help=f"seal the identity with a passphrase {_ASKED}")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _record(subparsers: Subparsers) -> None:
    parser = _add(subparsers, "record", "store what the person did with an item; stays on the device", commands.record)
    parser.add_argument("item", help="item id of the catalog")
    parser.add_argument("--action", default="like", help="view, like, dislike, save, buy or skip (default: like)")
    parser.add_argument("--at", type=int, metavar="SECONDS", help="Unix time of the event (default: now)")


def _recommend(subparsers: Subparsers) -> None:
    parser = _add(subparsers, "recommend", "print the ranking with its reasons", commands.recommend)
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    parser.add_argument(
        "--source",
        choices=("blend", "model", "peers"),
        default="blend",
        help="both lists in one, or one of them alone (default: %(default)s)",
    )
    parser.add_argument("--with-seen", action="store_true", help="keep items of the person's own history")
    parser.add_argument("--json", action="store_true", help="print the ranking as JSON")


def _vouch(subparsers: Subparsers) -> None:
    parser = _add(subparsers, "vouch", "trust a peer, or cut one off", commands.vouch)
    parser.add_argument("peer", help="public key of the peer, 64 hex digits")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--level", type=int, choices=(1, 2, 3), default=2, help="how much (default: 2)")
    choice.add_argument("--block", action="store_true", help="cut the peer off instead; nobody is told")
    choice.add_argument("--undo", action="store_true", help="take back a vouch or a block")


def _peer(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "peer",
        "join the network until interrupted; prints this device's addresses",
        commands.peer,
    )
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


def _inspect(subparsers: Subparsers) -> None:
    parser = _add(subparsers, "inspect", "say what the device holds, runs, shares and trusts", commands.inspect)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _rotate(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers, "rotate", "give the device a new key; whoever trusts the old one will trust it", commands.rotate
    )
    parser.add_argument("--seal", action="store_true", help=f"seal the new key with a passphrase {_ASKED}")
    parser.add_argument("--json", action="store_true", help="print the keys as JSON")
