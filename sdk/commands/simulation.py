"""`simulate` and `compare`: thousands of peers in one process. What they do is imported when they are called."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdk.commands.frame import Subparsers, add_json


def add_simulate(subparsers: Subparsers) -> None:
    """Add `meritrec simulate`."""
    summary = "run a network of simulated peers, under attack if you like, and write a report"
    parser = subparsers.add_parser("simulate", help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("scenario", nargs="?", help="a TOML file, or the name of a shipped scenario; none lists those")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run's folder (default: simulation-NAME)")
    parser.add_argument("--processes", type=int, default=1, help="processes side by side; results stay the same")
    parser.add_argument(
        "--engine", choices=("processes", "ray"), default="processes", help="ray takes the machines of a Ray cluster"
    )
    parser.add_argument("--ray-address", metavar="ADDRESS", help="of a running cluster (default: start one here)")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on with what is there")
    parser.add_argument("--show", action="store_true", help="print the scenario instead of running it")
    add_json(parser)
    parser.set_defaults(command=simulate)


def add_compare(subparsers: Subparsers) -> None:
    """Add `meritrec compare`."""
    summary = "put finished simulations side by side in one report"
    parser = subparsers.add_parser("compare", help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of finished runs, two at least")
    parser.add_argument("--out", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")
    add_json(parser)
    parser.set_defaults(command=compare)


def simulate(arguments: argparse.Namespace) -> None:
    """Run a scenario."""
    from sdk.simulation import command

    command.simulate(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Compare runs."""
    from sdk.simulation import command

    command.compare(arguments)
