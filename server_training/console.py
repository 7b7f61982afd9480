"""What the commands show on stderr while they work; stdout is for results only."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from server_training.training.logs import EpochRecord

console = Console(stderr=True, soft_wrap=True)

# Upstream says on import that optional GPU kernels are missing and that an enum is registered twice. A user of these
# commands can do nothing about either.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def progress_bar() -> Progress:
    """Return a bar with counts and time left, on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class TrainingBar:
    """Shows training: a bar over all steps and a line per validated epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("training", total=None)

    def step(self, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=total, description=f"training  loss {loss:6.3f}")

    def epoch(self, record: EpochRecord) -> None:
        """Print what a validated epoch reached."""
        if record.valid_ndcg_at_10 is not None:
            self._progress.console.print(
                f"epoch {record.epoch:3d}  loss {record.loss:.3f}  valid NDCG@10 {record.valid_ndcg_at_10:.4f}  "
                f"{record.events_per_s:,.0f} events/s"
            )


@contextmanager
def training_bar(*, shown: bool = True) -> Iterator[TrainingBar]:
    """Show training on stderr while the block runs; of several processes only one should."""
    with progress_bar() as progress:
        progress.disable = not shown
        yield TrainingBar(progress)


@contextmanager
def counting_bar(description: str) -> Iterator[CountingBar]:
    """Show a count of known length on stderr while the block runs."""
    with progress_bar() as progress:
        yield CountingBar(progress, description)


@contextmanager
def naming_bar() -> Iterator[NamingBar]:
    """Show one bar per named task on stderr while the block runs."""
    with progress_bar() as progress:
        yield NamingBar(progress)


class NamingBar:
    """A callable `(name, done, total)` that moves the bar of that name."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        """Move a bar; one that is done starts again."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)


class CountingBar:
    """A callable `(done, total)` that moves a bar."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=None)

    def __call__(self, done: int, total: int | None) -> None:
        """Move the bar; without a total it only counts."""
        self._progress.update(self._task, completed=done, total=total)


def text_lines(content: dict[str, object], indent: str = "  ") -> list[str]:
    """Return one line per field, fields of fields indented."""
    lines = []
    for name, value in content.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}:", *text_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value:,.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")
    return lines


def print_result(content: object, as_json: bool, text: Callable[[], str]) -> None:
    """Print a command's result to stdout, as JSON or as `text` says it."""
    print(json.dumps(content, indent=2, ensure_ascii=False) if as_json else text())
