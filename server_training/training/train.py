"""Training: teacher-forced next-code cross-entropy over allowed codes, one process, resumable.

Decisions:
- AdamW under a one-cycle schedule, gradient clipping at norm 1.
- Each epoch seeds itself from (seed, epoch): a run that was interrupted and resumed ends with the same weights.
- The weights kept are those with the best validation NDCG@10, by full ranking over the catalog.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from device_runtime import Catalog
from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid, TrainingError
from server_training.evaluation.full_ranking import evaluate_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.files import write_atomically
from server_training.models.code_index import CodeIndex
from server_training.models.generative import GenerativeRecommender, ModelConfig, count_parameters
from server_training.training import checkpoint as checkpoints
from server_training.training.checkpoint import Checkpoint
from server_training.training.windows import Windows, training_windows

MODEL_FILE = "model.pt"
LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train; the defaults suit some hundred thousand interactions on two CPU cores."""

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    validate_every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot train anything.

        Raises:
            ConfigInvalid: a number is outside its range.
        """
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigInvalid(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise ConfigInvalid(f"learning_rate must be between 0 and 1, got {self.learning_rate}")


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch did; a line of log.jsonl."""

    epoch: int
    loss: float
    seconds: float
    events_per_s: float
    valid_ndcg_at_10: float | None


class TrainingObserver(Protocol):
    """Told of progress; the commands show it, tests ignore it."""

    def step(self, done: int, total: int, loss: float) -> None:
        """One optimiser step was done."""

    def epoch(self, record: EpochRecord) -> None:
        """One epoch was done and its checkpoint is on disk."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The best model of a run."""

    model: GenerativeRecommender
    best_valid_ndcg_at_10: float
    parameters: int
    resumed_from: int


def train(
    split: Split,
    catalog: Catalog,
    folder: Path,
    model_config: ModelConfig,
    config: TrainConfig,
    observer: TrainingObserver,
) -> TrainResult:
    """Train in `folder`, resuming from its checkpoint if there is one.

    Raises:
        CheckpointInvalid: the folder holds a checkpoint of other data or settings.
        TrainingError: the loss is not finite.
    """
    identity = checkpoints.identity_of(
        data=split.data.sha256,
        codes=catalog.to_bytes().hex(),
        model=asdict(model_config),
        train=asdict(config),
    )
    windows = training_windows(split, catalog, model_config.history_length)
    torch.manual_seed(config.seed)
    run = _Run(GenerativeRecommender(model_config), CodeIndex(catalog), windows, config)
    previous = checkpoints.load(folder, identity)
    if previous is not None:
        run.restore(previous.state)
    else:
        (folder / LOG_FILE).unlink(missing_ok=True)
    scorer = ModelScorer(run.model, catalog, split, Stage.VALID)
    best = previous.best if previous else -1.0
    start = previous.epoch if previous else 0
    for epoch in range(start, config.epochs):
        began = time.perf_counter()
        loss = run.epoch(epoch, observer)
        seconds = time.perf_counter() - began
        valid = None
        if (epoch + 1) % config.validate_every == 0 or epoch + 1 == config.epochs:
            valid = evaluate_scores(scorer, split, stage=Stage.VALID).metrics["ndcg@10"]
            if valid > best:
                best = valid
                save_model(folder / MODEL_FILE, run.model)
        checkpoints.save(folder, Checkpoint(identity, epoch + 1, best, run.state()))
        record = EpochRecord(epoch + 1, loss, seconds, run.n_targets / seconds, valid)
        with (folder / LOG_FILE).open("a") as log:
            log.write(json.dumps(asdict(record)) + "\n")
        observer.epoch(record)
    model = load_model(folder / MODEL_FILE)
    return TrainResult(model, best, count_parameters(model), start)


class _Run:
    """Model, optimiser and schedule of one run."""

    def __init__(self, model: GenerativeRecommender, index: CodeIndex, windows: Windows, config: TrainConfig) -> None:
        self.model = model
        self.index = index
        self.windows = windows
        self.config = config
        self.n_targets = int((windows.targets >= 0).sum())
        self.steps_per_epoch = math.ceil(len(windows) / config.batch_size)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            config.learning_rate,
            total_steps=config.epochs * self.steps_per_epoch,
            pct_start=0.1,
        )

    def epoch(self, epoch: int, observer: TrainingObserver) -> float:
        """Run one pass over the windows; return the mean loss per step."""
        torch.manual_seed(self.config.seed * 1_000_003 + epoch)
        self.model.train()
        order = torch.randperm(len(self.windows))
        total = 0.0
        batches = torch.split(order, self.config.batch_size)
        for number, rows in enumerate(batches):
            loss = self._step(self.windows.take(rows))
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}, step {number + 1}; lower the learning rate "
                    f"(now {self.config.learning_rate}). The last good checkpoint is kept."
                )
            total += loss
            observer.step(epoch * self.steps_per_epoch + number + 1, self.config.epochs * self.steps_per_epoch, loss)
        return total / len(batches)

    def _step(self, batch: Windows) -> float:
        states = self.model.states(batch.codes, batch.actions, batch.gaps)
        real = batch.targets >= 0
        loss = self.index.loss(self.model, states[real], batch.targets[real])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def save_model(path: Path, model: GenerativeRecommender) -> None:
    """Write sizes and weights."""
    content = {"config": model.config.to_dict(), "weights": model.state_dict()}
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def load_model(path: Path) -> GenerativeRecommender:
    """Read what `save_model` wrote, in evaluation mode.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        content = torch.load(path, weights_only=True)
        model = GenerativeRecommender(ModelConfig(**content["config"]))
        model.load_state_dict(content["weights"])
    except FileNotFoundError as error:
        raise TrainingError(f"{path} is missing; run `meritrec-server train` first") from error
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        # torch's own message goes on to suggest loading without its safeguard; ours does not repeat it.
        raise TrainingError(f"{path} cannot be read ({type(error).__name__}); train again with --fresh") from error
    return model.eval()
