"""Training: one loop for one process or many, resumable at any step, the best weights kept.

Decisions:
- Every step seeds itself from (seed, step, process), so a run that was interrupted anywhere and resumed ends with the
  same weights, bit for bit, on the same machine and number of processes.
- The weights kept are those with the best validation NDCG@10, by full ranking over the catalog.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from device_runtime import TAXONOMY, Catalog
from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid, TrainingError
from server_training.evaluation.full_ranking import evaluate_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.models.adapters import category_members
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.models.items import FeatureTable
from server_training.models.objectives import make_objective
from server_training.models.recommender import GenerativeRecommender, count_parameters
from server_training.training.batches import epoch_batches, session_weights, share_of, total_weight
from server_training.training.checkpoint import CheckpointFile, Progress, identity_of
from server_training.training.config import TrainConfig
from server_training.training.interrupt import StopRequest, stop_requests
from server_training.training.logs import LOG_FILE, EpochRecord, Journal
from server_training.training.model_file import MODEL_FILE, TrainedModel, load_model, save_model
from server_training.training.precision import is_low
from server_training.training.processes import Processes
from server_training.training.returns import ask_levels_of
from server_training.training.step import Hindsight, Optimizer, TrainingStep
from server_training.training.windows import training_windows
from server_training.training.wrapping import full_weights, wrapped

if TYPE_CHECKING:
    from server_training.training.checkpoint_shards import CheckpointShards

_CHECKPOINT_EVERY_S = 300.0


class TrainingObserver(Protocol):
    """Told of progress; the commands show it, tests ignore it."""

    def step(self, done: int, total: int, loss: float) -> None:
        """One optimiser step was done."""

    def epoch(self, record: EpochRecord) -> None:
        """One epoch was done and its checkpoint is on disk."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The best model of a run.

    Attributes:
        trained: the model with its items' features, in evaluation mode.
        best_valid_ndcg_at_10: what it reached.
        parameters: numbers learned, features included.
        epochs: how many were trained; fewer than configured after an early stop.
        resumed_from: epochs that an earlier call had finished.
    """

    trained: TrainedModel
    best_valid_ndcg_at_10: float
    parameters: int
    epochs: int
    resumed_from: int


def train(
    split: Split,
    catalog: Catalog,
    folder: Path,
    model_config: ModelConfig,
    config: TrainConfig,
    observer: TrainingObserver,
    *,
    content: NDArray[np.float32] | None = None,
    vectors: NDArray[np.floating] | None = None,
    processes: Processes | None = None,
    sharded: bool = False,
) -> TrainResult:
    """Train in `folder`, resuming from its checkpoint if there is one.

    Args:
        split: what may be learned from.
        catalog: the items and their codes.
        folder: for checkpoint, best weights and log.
        model_config: sizes.
        config: settings.
        observer: told of progress, in the first process.
        content: [n, content_features], numbers of each catalog row known from its content.
        vectors: [n_items, m], by item index of the data, what asks for diversity compare; needed by models with asks.
        processes: this one among its fellows; alone when None.
        sharded: split the model over the processes instead of copying it.

    Raises:
        CheckpointInvalid: the folder holds a checkpoint of other data or settings.
        TrainingError: the loss is not finite.
        KeyboardInterrupt: it was asked to stop; the checkpoint holds everything done.
    """
    run = _Run(
        split, catalog, folder, model_config, config, observer, content, vectors, processes or Processes(), sharded
    )
    start = run.resume()
    with stop_requests() as stop:
        run.train(stop)
    trained = load_model(folder / MODEL_FILE)
    parameters = count_parameters(trained.model) + trained.features.own.numel()
    return TrainResult(trained, run.progress.best, parameters, run.progress.epoch, start)


class _Run:
    """Everything one process holds during a run."""

    def __init__(
        self,
        split: Split,
        catalog: Catalog,
        folder: Path,
        model_config: ModelConfig,
        config: TrainConfig,
        observer: TrainingObserver,
        content: NDArray[np.float32] | None,
        vectors: NDArray[np.floating] | None,
        processes: Processes,
        sharded: bool,
    ) -> None:
        self.config, self.observer, self.processes, self.sharded = config, observer, processes, sharded
        self.folder = folder
        self.identity = identity_of(
            data=split.data.sha256,
            split=split.rule,
            catalog=catalog.to_bytes().hex(),
            content=None if content is None else content.tobytes().hex(),
            model=model_config.to_dict(),
            train=config.to_dict(),
        )
        torch.manual_seed(config.seed)
        model = GenerativeRecommender(model_config)
        counts = _counts(split, catalog)
        features = FeatureTable(len(catalog), model_config.own_features, _tensor(content), counts > 0)
        # With shards no process holds a model to validate: the first one gathers a copy.
        both = copy.deepcopy((model, features)) if sharded else (model, features)
        self.gathered = nn.ModuleDict({"model": both[0], "features": both[1]})
        self.scorer = ModelScorer(both[0], catalog, split, Stage.VALID, both[1])
        objective = make_objective(config.objective, counts, config.negatives)
        members = category_members(catalog) if TAXONOMY in model_config.adapters else None
        self.step = TrainingStep(model, features, CodeIndex(catalog), objective, config, members)
        self.step.to(processes.device)
        self.asks = _asks(split, model_config, config, vectors)
        self.windows = training_windows(split, catalog, model_config.history_length, openings=config.openings > 0)
        self.weights = session_weights(config.session, config.session_decay)
        self.wrapped = wrapped(self.step, processes, sharded=sharded)
        per_epoch = len(epoch_batches(self.windows, config.batch_size, config.seed, 0, config.openings))
        self.total_steps = config.epochs * per_epoch
        self.optimizer = Optimizer(self.wrapped, config, self.total_steps)
        self.checkpoint = _store(sharded=sharded)(folder, self.step, self.optimizer, processes)
        self.split = split
        self.progress = Progress(self.identity)
        self.journal: Journal | None = Journal(folder) if processes.first else None

    def resume(self) -> int:
        """Restore what an earlier call left; return its finished epochs."""
        self.progress = self.checkpoint.load(self.identity)
        if self.journal is not None and not self.progress.steps:
            (self.folder / LOG_FILE).unlink(missing_ok=True)
        return self.progress.epoch

    def train(self, stop: StopRequest) -> None:
        """Train the epochs that are left."""
        while self.progress.epoch < self.config.epochs and not self._waited_enough():
            began = time.perf_counter()
            weight_before = self.progress.weight
            self._epoch(stop)
            seconds = time.perf_counter() - began
            self._finish_epoch(seconds, self.progress.weight - weight_before)

    def _waited_enough(self) -> bool:
        return 0 < self.config.patience <= self.progress.waited

    def _epoch(self, stop: StopRequest) -> None:
        batches = epoch_batches(
            self.windows, self.config.batch_size, self.config.seed, self.progress.epoch, self.config.openings
        )
        saved = time.monotonic()
        for batch in batches[self.progress.batches :]:
            self._step(batch)
            stopping = bool(self.processes.summed(float(stop.asked)))
            due = self.processes.summed(float(time.monotonic() - saved > _CHECKPOINT_EVERY_S)) > 0
            if stopping or due:
                self.checkpoint.save(self.progress)
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt

    def _step(self, batch: NDArray[np.int64]) -> None:
        self.wrapped.train()
        # One stream of random numbers per process and step: dropout differs between processes, and no state is kept.
        seed = np.random.SeedSequence((self.config.seed, self.progress.steps, self.processes.rank))
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        mine = share_of(batch, self.processes.rank, self.processes.world)
        weight = total_weight(self.windows, batch, self.weights)
        try:
            loss = self._loss(mine) if len(mine) else self._loss(batch[:1]) * 0.0  # fewer windows than processes
            # DDP and FSDP average over processes; the sum over all targets of the batch is what is wanted.
            (loss * (self.processes.world / weight)).backward()  # type: ignore[no-untyped-call]
            total = self.processes.summed(float(loss.detach()))
        except RuntimeError as error:
            if self.processes.world == 1:
                raise
            raise TrainingError(
                f"another process of this run ended or did not answer in time ({error}); start all of them again, "
                "they resume from the last checkpoint"
            ) from error
        if not math.isfinite(total):
            raise TrainingError(
                f"the loss became {total} in epoch {self.progress.epoch + 1}, step {self.progress.batches + 1}; lower "
                f"the learning rate (now {self.config.learning_rate}). The last good checkpoint is kept."
            )
        self.optimizer.step()
        p = self.progress
        self.progress = replace(
            p, batches=p.batches + 1, steps=p.steps + 1, loss=p.loss + total, weight=p.weight + weight
        )
        if self.processes.first:
            self.observer.step(self.progress.steps, self.total_steps, total / weight)

    def _loss(self, rows: NDArray[np.int64]) -> Tensor:
        device = self.processes.device
        batch = self.windows.take(rows).to(device)
        wanted = self.windows.targets(rows, self.config.session, batch.rows.shape[1])
        low = is_low(self.config, device)
        with torch.autocast(device.type, torch.bfloat16) if low else contextlib.nullcontext():
            loss: Tensor = self.wrapped(
                batch,
                wanted.to(device),
                torch.from_numpy(self.weights).to(device),
                self._hindsight(rows, batch.rows.shape[1]),
            )
        return loss

    def _hindsight(self, rows: NDArray[np.int64], width: int) -> Hindsight:
        device, session = self.processes.device, self.config.session
        actions = asks = None
        if self.step.model.adapters is not None:
            actions = self.windows.following(rows, session, width, self.windows.actions, 0).to(device)
        if self.asks is not None:
            asks = self.windows.following(rows, 1, width, self.asks, 0)[:, :, 0].to(device)
        return Hindsight(actions, asks)

    def _finish_epoch(self, seconds: float, trained_weight: float) -> None:
        p = self.progress
        epoch = p.epoch + 1
        valid: dict[str, float] = {}
        if epoch % self.config.validate_every == 0 or epoch == self.config.epochs:
            valid = self._validate()
        better = valid.get("ndcg@10", -1.0) > p.best
        if better:
            self._keep()
        record = EpochRecord(
            epoch,
            p.loss / p.weight,
            seconds,
            trained_weight / seconds,
            self.optimizer.rate,
            valid.get("ndcg@10"),
            valid.get("recall@10"),
        )
        best = max(p.best, valid.get("ndcg@10", -1.0))
        waited = 0 if better else p.waited + bool(valid)
        self.progress = Progress(self.identity, epoch, 0, p.steps, best=best, waited=waited)
        self.checkpoint.save(self.progress)
        if self.journal is not None:
            self.journal.write(record)
            self.observer.epoch(record)

    def _validate(self) -> dict[str, float]:
        """Metrics of the validation events, the same numbers in every process."""
        if self.sharded:
            weights = full_weights(self.step)
            if self.processes.first:
                self.gathered.load_state_dict(weights)
        found: dict[str, float] = {}
        if self.processes.first:
            found = evaluate_scores(self.scorer, self.split, stage=Stage.VALID).metrics
        return {name: self.processes.summed(found.get(name, 0.0)) for name in ("ndcg@10", "recall@10")}

    def _keep(self) -> None:
        if self.processes.first:
            save_model(self.folder / MODEL_FILE, self.step.model.config, self.gathered.state_dict())


def _store(*, sharded: bool) -> type[CheckpointFile] | type[CheckpointShards]:
    if not sharded:
        return CheckpointFile
    from server_training.training.checkpoint_shards import CheckpointShards  # what it needs takes seconds to import

    return CheckpointShards


def _tensor(content: NDArray[np.float32] | None) -> Tensor | None:
    return None if content is None else torch.from_numpy(np.ascontiguousarray(content, np.float32))


def _asks(
    split: Split, model: ModelConfig, config: TrainConfig, vectors: NDArray[np.floating] | None
) -> NDArray[np.int64] | None:
    """Levels int64 [E, A] of all events; None for a model without asks."""
    if not model.asks:
        return None
    if vectors is None:
        raise ConfigInvalid("asks need the item vectors that diversity is measured by; pass vectors to train")
    return ask_levels_of(split, model.asks, model.ask_levels, config.discount, vectors)


def _counts(split: Split, catalog: Catalog) -> Tensor:
    """Training events per catalog row."""
    counts = np.bincount(split.data.items[split.train_events()], minlength=split.data.n_items)
    rows = np.zeros(len(catalog), np.int64)
    for item, count in zip(split.data.item_ids, counts.tolist(), strict=True):
        rows[catalog.index_of(item)] = count
    return torch.from_numpy(rows)
