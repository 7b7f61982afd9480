"""`meritrec`: one device from the command line.

Results go to stdout (JSON with --json), progress and errors to stderr. Exit codes: 0 done; 1 refused or failed, with
one sentence why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from device_runtime import DeviceError
from p2p import P2PError
from sdk.commands import device, history, models, peers, ranking, serving, sharing, simulation, view
from sdk.commands.frame import Command
from sdk.errors import SDKError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

COMMANDS = (
    device.add_init,
    history.add_record,
    ranking.add_recommend,
    ranking.add_similar,
    history.add_block_item,
    peers.add_vouch,
    peers.add_peer,
    view.add_view,
    serving.add_serve,
    models.add_update,
    models.add_rollback,
    models.add_metrics,
    sharing.add_sharing,
    device.add_inspect,
    history.add_export_data,
    history.add_forget,
    device.add_rotate,
    simulation.add_simulate,
    simulation.add_compare,
)


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
    for add in COMMANDS:
        add(subparsers)
    return parser
