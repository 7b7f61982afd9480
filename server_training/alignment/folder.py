"""From one run folder to another: the aligned model with everything that made the first a run.

An aligned run is a run: `evaluate`, `export`, `delta` and `inspect` work on it. Beside the files of a run it holds

align.json   settings, the run it started from, and the evaluation before and after
align.jsonl  a line per validation
align.html   all of it, to be read; written anew at every validation

`log.jsonl` is that of the run it started from. The weight of item neighbours is chosen on validation events again, by
the rule of training, so that before and after are compared on equal terms.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from device_runtime import Neighbours
from server_training.alignment.align import ROUNDS_FILE, Aligned, Alignment, AlignmentObserver, RoundRecord
from server_training.alignment.config import AlignConfig
from server_training.alignment.report import BeforeAfter, Measures, before_and_after
from server_training.errors import CheckpointInvalid, ConfigInvalid
from server_training.files import sha256_of, write_atomically
from server_training.pages.alignment import write_alignment_page
from server_training.training.checkpoint import CHECKPOINT_FILE, identity_of
from server_training.training.logs import LOG_FILE
from server_training.training.model_file import MODEL_FILE, load_model
from server_training.training.neighbours import weighted
from server_training.training.run_folder import CATALOG_FILE, EVALUATION_FILE, RUN_FILE, TOKENIZER_FILE, Run

ALIGN_FILE = "align.json"


@dataclass(frozen=True, slots=True)
class AlignResult:
    """What an alignment came to.

    Attributes:
        aligned: steps, best validation metric.
        report: of both models, on test events.
        cpu_minutes: of drawing, learning and validating.
        page: where it can be read.
    """

    aligned: Aligned
    report: BeforeAfter
    cpu_minutes: float
    page: Path


@dataclass(frozen=True, slots=True)
class Known:
    """What does not differ between alignments of one run, and costs time.

    Attributes:
        before: the evaluation of the run.
        prior: see `prior_of`; only for settings that ask for this one.
    """

    before: Measures | None = None
    prior: Neighbours | None = None


def align_run(
    start: Path,
    folder: Path,
    config: AlignConfig,
    observer: AlignmentObserver,
    *,
    fresh: bool = False,
    known: Known | None = None,
) -> AlignResult:
    """Align the model of a finished run and leave a finished run in `folder`; an interrupted one is resumed.

    Args:
        start: folder of the run; nothing is written there.
        folder: of the aligned run.
        config: settings.
        observer: told of progress.
        fresh: discard what the folder holds.
        known: what other alignments of the same run found already.

    Raises:
        TrainingError: no finished run, a head without probabilities, a folder that belongs to something else, a reward
            that this data cannot give, or a loss that is not finite.
        KeyboardInterrupt: it was asked to stop; call it again to go on.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointInvalid(f"{folder} is a file; choose another output folder")
    if folder.resolve() == start.resolve():
        raise ConfigInvalid(f"{folder} is the run to start from; choose another output folder")
    known = known or Known()
    run = Run.open(start)
    settings = {**config.to_dict(), "run": str(start.resolve())}
    folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        _discard(folder)
    elif (folder / LOG_FILE).exists() and not (folder / ALIGN_FILE).exists():
        raise CheckpointInvalid(f"{folder} holds a training run; choose another output folder, or pass --fresh")
    identity = identity_of(
        model=sha256_of(start / MODEL_FILE),
        catalog=sha256_of(start / CATALOG_FILE),
        data=run.info.data_sha256,
        align={name: value for name, value in settings.items() if name != "run"},
    )
    written = _Written(folder, settings, observer)
    shutil.copyfile(start / LOG_FILE, folder / LOG_FILE)
    aligned = Alignment(
        load_model(start / MODEL_FILE), run.split, run.catalog, folder, config, written, identity, known.prior
    ).run()
    return _finish(run, folder, settings, aligned, known.before)


class _Written:
    """Passes progress on, and keeps the page up to date."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], observer: AlignmentObserver) -> None:
        self._folder, self._observer = folder, observer
        _write(folder / ALIGN_FILE, {"settings": settings, "finished": False})

    def step(self, done: int, total: int, loss: float, reward: float) -> None:
        """Pass it on."""
        self._observer.step(done, total, loss, reward)

    def validated(self, record: RoundRecord) -> None:
        """Write the page, then pass it on."""
        write_alignment_page(self._folder)
        self._observer.validated(record)


def _finish(
    run: Run, folder: Path, settings: Mapping[str, Any], aligned: Aligned, before: Measures | None
) -> AlignResult:
    kept = load_model(folder / MODEL_FILE)
    with torch.no_grad():
        catalog = run.catalog.with_features(kept.features().numpy())
    reached = aligned.best
    if catalog.neighbours is not None:
        catalog, reached = weighted(catalog, kept.model, run.split, replace(catalog.neighbours, weight=1.0))
    write_atomically(folder / CATALOG_FILE, catalog.to_bytes())
    shutil.copyfile(run.folder / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    info = replace(
        run.info,
        best_valid_ndcg_at_10=reached,
        neighbour_weight=catalog.neighbours.weight if catalog.neighbours is not None else 0.0,
        alignment=settings,
    )
    _write(folder / RUN_FILE, asdict(info))
    report = before_and_after(run, Run.open(folder), before)
    rounds = [json.loads(line) for line in (folder / ROUNDS_FILE).read_text().splitlines()]
    minutes = sum(row["cpu_seconds"] for row in rounds) / 60
    content = {"settings": settings, "finished": True, "cpu_minutes": minutes, "report": report.to_dict()}
    _write(folder / ALIGN_FILE, content)
    return AlignResult(aligned, report, minutes, write_alignment_page(folder))


def _write(path: Path, content: object) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _discard(folder: Path) -> None:
    """Remove what an alignment leaves, and nothing else."""
    names = (RUN_FILE, CATALOG_FILE, TOKENIZER_FILE, MODEL_FILE, LOG_FILE, EVALUATION_FILE, CHECKPOINT_FILE)
    for name in (*names, ALIGN_FILE, ROUNDS_FILE):
        (folder / name).unlink(missing_ok=True)
