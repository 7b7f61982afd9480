"""`meritrec-server`: prepare, train, align, evaluate, export, try backends, update, sign, rotate keys, inspect.

Results go to stdout (JSON with --json), progress and errors to stderr. Exit codes: 0 done; 1 refused or failed, with
one sentence why; 2 wrong usage; 130 interrupted (the same command resumes a training).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from device_runtime import DeviceError
from server_training import align_command, backend_commands, commands, publishing
from server_training.alignment.config import shipped_alignments
from server_training.errors import TrainingError
from server_training.evaluation.names import BASELINES, CUTOFFS
from server_training.files import default_cache
from server_training.run_config import shipped
from server_training.training.processes import DEFAULT_TIMEOUT_S

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

Command = Callable[[argparse.Namespace], None]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    command: Command = arguments.command
    try:
        command(arguments)
    except (TrainingError, DeviceError) as error:
        print(f"meritrec-server: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"meritrec-server: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(
            "meritrec-server: interrupted; what was finished is kept, run the same command to go on",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="meritrec-server",
        description="Train, evaluate, quantise, export and sign recommendation models for devices.",
        epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.",
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_prepare, _train, _align, _evaluate, _export, _backends, _delta, _sign, _rotate, _inspect):
        add(subparsers)
    return parser


def _add(subparsers: Subparsers, name: str, summary: str, command: Command) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _prepare(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "prepare",
        "read interactions and items, check them, write the Parquet contract",
        commands.prepare_command,
    )
    parser.add_argument(
        "source",
        type=Path,
        nargs="?",
        help="RecBole folder, CSV file or Parquet folder; MovieLens-100K is fetched when left out",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        help="where fetched data is kept (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _train(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "train",
        "give items semantic IDs and train the model; resumes where it was interrupted",
        commands.train_command,
    )
    parser.add_argument("data", type=Path, help="prepared folder")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--fresh", action="store_true", help="discard what the run folder holds and start again")
    parser.add_argument(
        "--config",
        metavar="NAME",
        help=f"a .toml file, or one of {', '.join(shipped())} (default: the built-in defaults)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.NAME=VALUE",
        help="change one setting, such as train.epochs=5; may be repeated",
    )
    parser.add_argument(
        "--sharded",
        action="store_true",
        help="under torchrun: split the model over the processes (FSDP) instead of copying it (DDP)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="under torchrun: seconds to wait for a process that does not answer (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _align(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "align",
        "move a trained model towards what people want, by rewards on its own lists; resumes where it was interrupted",
        align_command.align_command,
    )
    parser.add_argument("config", help=f"a .toml file, or one of {', '.join(shipped_alignments())}")
    parser.add_argument("--run", type=Path, help="run folder to start from (default: the one that the file names)")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    parser.add_argument("--fresh", action="store_true", help="discard what the run folder holds and start again")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.NAME=VALUE",
        help="change one setting, such as train.steps=100; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the evaluation as JSON")


def _evaluate(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "evaluate",
        "rank the full catalog for every test user, beside the baselines",
        commands.evaluate_command,
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="run", help="run folder; runs that differ in the seed only are averaged"
    )
    parser.add_argument(
        "--at", type=int, nargs="+", default=[10], choices=CUTOFFS, metavar="K", help="cut-offs shown (default: 10)"
    )
    parser.add_argument(
        "--baselines",
        nargs="*",
        choices=BASELINES,
        help="(default: popularity, item-kNN, and EASE or for large catalogs iALS)",
    )
    parser.add_argument("--json", action="store_true", help="print metrics and rules as JSON")


def _export(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "export",
        "quantise, lower through ExecuTorch, verify, and write an unsigned bundle",
        commands.export_command,
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--backend",
        default="xnnpack",
        help="what the program is made for, such as portable, vulkan, coreml (default: %(default)s)",
    )
    parser.add_argument(
        "--quantize", choices=("8da8w", "8da4w", "int8", "fp32"), help="(default: the first that the backend takes)"
    )
    parser.add_argument("--beam", type=int, default=32, help="beam width fixed in the program (default: %(default)s)")
    parser.add_argument("--model-version", type=int, default=1, help="devices refuse to go back (default: 1)")
    parser.add_argument("--valid-days", type=int, default=365, help="devices refuse it after (default: %(default)s)")
    parser.add_argument(
        "--namespace", required=True, help="name of the catalog; peers with the same one mean the same items"
    )
    parser.add_argument("--data-name", default="unnamed", help="name of the training data, for the model card")
    parser.add_argument("--data-licence", default="unstated", help="terms of the training data")
    parser.add_argument("--json", action="store_true", help="print the verification as JSON")


def _backends(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "backends",
        "list what export can make programs for and what is missing; with --run, try all of it and say what came of it",
        backend_commands.backends_command,
    )
    parser.add_argument("--run", type=Path, help="run folder; every backend and scheme is tried on its model")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("backend-trials"),
        help="folder that keeps what happened; trials that are there are not repeated (default: %(default)s)",
    )
    parser.add_argument(
        "--environments", type=Path, help="folder of environments that .ci/backend-environment made, by their names"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="BACKEND", help="(default: every one)")
    parser.add_argument("--again", action="store_true", help="repeat trials that are there")
    parser.add_argument("--page", type=Path, help="Markdown file to write from the kept trials")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _delta(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "delta",
        "update the catalog of a published bundle without training: items added and withdrawn since",
        publishing.delta_command,
    )
    parser.add_argument("run", type=Path, help="run folder that the bundle was exported from")
    parser.add_argument("--bundle", type=Path, required=True, help="the published bundle")
    parser.add_argument("--out", type=Path, required=True, help="folder of the update")
    parser.add_argument("--items", type=Path, help=".csv, .jsonl or .parquet: item, title, text, attributes")
    parser.add_argument("--withdraw", type=Path, help="text file with an item id per line")
    parser.add_argument("--sequence", type=int, default=1, help="devices refuse to go back (default: 1)")
    parser.add_argument("--valid-days", type=int, default=365, help="devices refuse it after (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _sign(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "sign",
        "sign a bundle or an update with a publisher key; repeat with other keys for a threshold",
        publishing.sign_command,
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle or update")
    parser.add_argument("--key", type=Path, required=True, help="publisher key file")
    parser.add_argument("--new-key", action="store_true", help="make the key file first; refuses to replace one")
    parser.add_argument("--publishers", type=Path, help="chain of key rotations to put into the bundle, see rotate")
    parser.add_argument("--json", action="store_true", help="print the public key as JSON")


def _rotate(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "rotate",
        "replace the keys that may sign: write a new statement, or sign the newest one",
        publishing.rotate_command,
    )
    parser.add_argument("file", type=Path, help="chain of statements, publishers.json; made when it is not there")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--keys", nargs="+", metavar="HEX", help="public keys of a new statement")
    what.add_argument("--sign", type=Path, metavar="KEY", help="key file that signs the newest statement")
    parser.add_argument("--threshold", type=int, default=1, help="how many of --keys must sign (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the chain as JSON")


def _inspect(subparsers: Subparsers) -> None:
    parser = _add(
        subparsers,
        "inspect",
        "say what a prepared folder, run folder or bundle holds",
        commands.inspect_command,
    )
    parser.add_argument("path", type=Path, help="prepared folder, run folder or bundle")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
