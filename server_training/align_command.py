"""What `meritrec-server align` does; parsing is in `cli`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress

from server_training.alignment.align import RoundRecord
from server_training.alignment.config import AlignConfig, changed_alignment, load_align_config
from server_training.alignment.folder import align_run
from server_training.commands import overrides
from server_training.console import console, print_result, progress_bar
from server_training.errors import ConfigInvalid


def align_command(arguments: argparse.Namespace) -> None:
    """Align a run, or resume."""
    config = changed_alignment(load_align_config(arguments.config), overrides(arguments.set))
    start = _start(arguments.run, config)
    with progress_bar() as progress:
        result = align_run(start, arguments.out, config, AlignmentBar(progress), fresh=arguments.fresh)
    console.print(f"page: {result.page}")
    summary = {
        "run": str(arguments.out),
        "steps": result.aligned.steps,
        "resumed_from_step": result.aligned.resumed_from,
        "cpu_minutes": result.cpu_minutes,
        **result.report.to_dict(),
    }
    print_result(summary, arguments.json, result.report.table)


def _start(named: Path | None, config: AlignConfig) -> Path:
    if named is None and not config.run:
        raise ConfigInvalid('no run to start from; name it with --run, or in the file: run = "…"')
    return named if named is not None else Path(config.run)


class AlignmentBar:
    """Shows an alignment on stderr: a bar over all steps and a line per validation."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("aligning", total=None)

    def step(self, done: int, total: int, loss: float, reward: float) -> None:
        """Move the bar."""
        said = f"aligning  loss {loss:7.3f}  reward {reward:6.3f}"
        self._progress.update(self._task, completed=done, total=total, description=said)

    def validated(self, record: RoundRecord) -> None:
        """Print what a validation found."""
        seen = "" if record.reward is None else f"reward {record.reward:.4f}  KL {record.kl:.4f}  "
        self._progress.console.print(
            f"step {record.steps:5d}  {seen}valid NDCG@10 {record.valid['ndcg@10']:.4f}  "
            f"Recall@10 {record.valid['recall@10']:.4f}"
        )
