"""`update`, `rollback` and `metrics`: the model in use, and how it does."""

from __future__ import annotations

import argparse
import sys

from sdk.commands.frame import Subparsers, add_command, add_json, facts_text, open_device, print_result
from sdk.errors import InvalidInput


def add_update(subparsers: Subparsers) -> None:
    """Add `meritrec update`."""
    parser = add_command(subparsers, "update", "install a newer model, or an update of its catalog", update)
    parser.add_argument("source", help="bundle or catalog's update: a folder, a zip, or the http(s) address of one")
    parser.add_argument("--sha256", metavar="HEX", help="of the zip, if known; signatures are checked in any case")
    add_json(parser)


def update(arguments: argparse.Namespace) -> None:
    """Install a newer model."""
    with open_device(arguments.device) as device:
        done = device.update(arguments.source, sha256=arguments.sha256, progress=_Progress())
    text = f"model version {done.version} is in use ({done.items} items); before it was version {done.before}"
    print_result(done.as_json(), arguments.json, lambda: text)


class _Progress:
    """Says on stderr, each tenth of the way, how far a fetch has come."""

    def __init__(self) -> None:
        self._said = -1

    def __call__(self, done: int, total: int | None) -> None:
        tenths = 10 * done // total if total else done >> 22
        if tenths != self._said:
            self._said = tenths
            print(f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f}" if total else ""), file=sys.stderr)


def add_rollback(subparsers: Subparsers) -> None:
    """Add `meritrec rollback`."""
    add_json(add_command(subparsers, "rollback", "go back to the model before the last update", rollback))


def rollback(arguments: argparse.Namespace) -> None:
    """Go back."""
    with open_device(arguments.device) as device:
        model = device.rollback()
    print_result(model.as_json(), arguments.json, lambda: f"model version {model.version} is in use again")


def add_metrics(subparsers: Subparsers) -> None:
    """Add `meritrec metrics`."""
    parser = add_command(subparsers, "metrics", "make some requests and print how long they took, and counts", metrics)
    parser.add_argument("--requests", type=int, default=20, metavar="N", help="1 to 1000 (default: 20)")
    add_json(parser)


def metrics(arguments: argparse.Namespace) -> None:
    """Measure this device."""
    if not 1 <= arguments.requests <= 1000:
        raise InvalidInput(f"requests must be 1 to 1000, got {arguments.requests}")
    with open_device(arguments.device) as device:
        for _ in range(arguments.requests):
            device.recommend(10)
        found = device.metrics().as_json()
    print_result(found, arguments.json, lambda: facts_text(found))
