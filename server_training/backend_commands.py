"""`meritrec-server backends`: what every backend needs, and a trial of each."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from server_training.console import console, counting_bar, print_result
from server_training.errors import ConfigInvalid
from server_training.files import write_atomically

if TYPE_CHECKING:  # what it imports takes a second
    from server_training.export.support import Kept


def backends_command(arguments: argparse.Namespace) -> None:
    """List the backends; with a run, try them, keep what happened, and write the page."""
    from server_training.export.backends import BACKENDS

    if arguments.run is not None:
        _try(arguments)
    elif arguments.page is not None:
        _write_page(arguments.results, arguments.page)
    content = {
        name: {
            "target": backend.target,
            "quantizations": list(backend.quantizations),
            "environment": backend.environment,
            "missing": backend.missing(),
        }
        for name, backend in BACKENDS.items()
    }
    lines = [
        f"{name:10} {backend.target} ({', '.join(backend.quantizations)}): {backend.missing() or 'ready'}"
        for name, backend in BACKENDS.items()
    ]
    if arguments.run is None:
        print_result(content, arguments.json, lambda: "\n".join(lines))


def _try(arguments: argparse.Namespace) -> None:
    from server_training.export.support import try_backends

    with counting_bar("backends tried") as bar:
        bar(0, None)

        def told(kept: Kept, done: int, total: int) -> None:
            console.print(f"{kept.trial.backend} {kept.trial.quantization}: {summary(kept)}")
            bar(done, total)

        made = try_backends(
            arguments.run,
            arguments.results,
            arguments.environments,
            arguments.only,
            again=arguments.again,
            told=told,
        )
    if arguments.page is not None:
        _write_page(arguments.results, arguments.page)
    content = [dataclasses.asdict(kept) for kept in made]
    print_result(
        content,
        arguments.json,
        lambda: "\n".join(f"{kept.trial.backend} {kept.trial.quantization}: {summary(kept)}" for kept in made),
    )


def summary(kept: Kept) -> str:
    """Return what happened in one sentence."""
    trial = kept.trial
    if trial.missing is not None or trial.problem is not None:
        return trial.missing or f"not lowered: {trial.problem}"
    lowered = f"lowered, {trial.program_bytes:,} bytes"
    if trial.runtime is None:
        return f"{lowered}; not run: {trial.not_run}"
    return f"{lowered}; {trial.runtime} differs by {trial.max_error:.2g}, top ten {trial.top10_overlap:.1%} in common"


def _write_page(results: Path, page: Path) -> None:
    from server_training.export.support import kept_trials
    from server_training.pages.backends import backends_page

    if not results.is_dir():
        raise ConfigInvalid(f"{results} holds no trials to write a page from; make them with --run, or name --results")
    write_atomically(page, backends_page(list(kept_trials(results))).encode())
    console.print(f"page: {page}")
