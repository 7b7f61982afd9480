"""`record`, `block-item`, `export-data` and `forget`: the person's own history."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sdk.actions import ACTION_NAMES
from sdk.commands.frame import Subparsers, add_command, add_json, open_device, print_result
from sdk.errors import InvalidInput


def add_record(subparsers: Subparsers) -> None:
    """Add `meritrec record`."""
    parser = add_command(subparsers, "record", "store what the person did with an item; stays on the device", record)
    parser.add_argument("item", help="item id of the catalog")
    parser.add_argument("--action", default="like", help=f"{', '.join(ACTION_NAMES)} or purchase (default: like)")
    parser.add_argument("--at", type=int, metavar="SECONDS", help="Unix time of the event (default: now)")


def record(arguments: argparse.Namespace) -> None:
    """Store one event."""
    with open_device(arguments.device) as device:
        device.record(arguments.item, arguments.action, at=arguments.at)


def add_block_item(subparsers: Subparsers) -> None:
    """Add `meritrec block-item`."""
    parser = add_command(subparsers, "block-item", "never recommend an item again; without one, list them", block_item)
    parser.add_argument("item", nargs="?", help="item id of the catalog")
    parser.add_argument("--undo", action="store_true", help="take it back")
    add_json(parser)


def block_item(arguments: argparse.Namespace) -> None:
    """Block an item, take that back, or list what is blocked."""
    with open_device(arguments.device) as device:
        if arguments.item is None:
            blocked = device.blocked_items()
            print_result(blocked, arguments.json, lambda: "\n".join(blocked) or "no item is blocked")
        elif not arguments.undo:
            device.block_item(arguments.item)
        elif not device.unblock_item(arguments.item):
            raise InvalidInput(f"item {arguments.item!r} is not blocked")


def add_export_data(subparsers: Subparsers) -> None:
    """Add `meritrec export-data`."""
    summary = "write everything the device holds about the person, as JSON"
    parser = add_command(subparsers, "export-data", summary, export_data)
    parser.add_argument("--out", type=Path, metavar="FILE", help="a file that does not exist yet (default: stdout)")


def export_data(arguments: argparse.Namespace) -> None:
    """Write what is known of the person."""
    with open_device(arguments.device) as device:
        content = json.dumps(device.export_my_data(), ensure_ascii=False, indent=2)
    if arguments.out is None:
        print(content)
    else:
        with arguments.out.open("x") as file:
            file.write(content + "\n")


def add_forget(subparsers: Subparsers) -> None:
    """Add `meritrec forget`."""
    parser = add_command(subparsers, "forget", "remove an item's events for good, or everything", forget)
    parser.add_argument("item", nargs="?", help="item id, of this catalog or an earlier one")
    parser.add_argument("--everything", action="store_true", help="all events, opinions of peers and blocked items")
    add_json(parser)


def forget(arguments: argparse.Namespace) -> None:
    """Remove events."""
    with open_device(arguments.device) as device:
        gone = device.forget(arguments.item, everything=arguments.everything)
    text = f"forgot {gone.events} events, {gone.opinions} opinions of peers and {gone.blocked_items} blocked items"
    if gone.published:
        text += "; peers were told of it, and are told otherwise when the device joins the network"
    print_result(gone.as_json(), arguments.json, lambda: text)
