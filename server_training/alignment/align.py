"""The loop: drawing, learning, validating, keeping the best weights; resumable at any step.

Decisions:
- Every step seeds itself from (seed, step), so an alignment that was interrupted anywhere and resumed ends with the
  same weights, bit for bit, on the same machine.
- The weights kept are those with the best validation metric, those of the start among them: where nothing helps, the
  aligned model is the model it started from.
- Lists come from training events, validation events choose, and test events are looked at once, at the end.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from device_runtime import Catalog, Neighbours
from server_training.alignment.config import AlignConfig
from server_training.alignment.objectives import make_alignment_objective
from server_training.alignment.policy import Policy
from server_training.alignment.prior import prior_of
from server_training.alignment.prompts import PromptSource
from server_training.alignment.reward_choice import chosen_rewards
from server_training.alignment.rollouts import RolloutSampler
from server_training.alignment.step import losses
from server_training.data.split import Split, Stage
from server_training.errors import TrainingError
from server_training.evaluation.full_ranking import evaluate_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.models.code_index import CodeIndex
from server_training.training.checkpoint import CheckpointFile, Progress
from server_training.training.config import TrainConfig
from server_training.training.interrupt import StopRequest, stop_requests
from server_training.training.model_file import MODEL_FILE, TrainedModel, save_model
from server_training.training.processes import Processes
from server_training.training.step import Optimizer

ROUNDS_FILE = "align.jsonl"
_CHECKPOINT_EVERY_S = 300.0
_MEANS = ("loss", "kl", "reward", "hits", "informative")


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What the steps up to one validation did; a line of align.jsonl.

    After an interruption, means and seconds are of the part since.

    Attributes:
        steps: done so far; 0 for the start.
        loss, kl, reward, hits, informative: means over the round's steps, see `Losses` and `Drawn`; None at the start.
        cpu_seconds: of this process, drawing, learning and validating.
        valid: validation metrics by name.
        rewards: of parts that are measured by themselves, such as the reward model's validation AUC.
    """

    steps: int
    loss: float | None
    kl: float | None
    reward: float | None
    hits: float | None
    informative: float | None
    cpu_seconds: float
    valid: Mapping[str, float]
    rewards: Mapping[str, float]


class AlignmentObserver(Protocol):
    """Told of progress."""

    def step(self, done: int, total: int, loss: float, reward: float) -> None:
        """One step was done."""

    def validated(self, record: RoundRecord) -> None:
        """One round was validated and is on disk."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """How an alignment ended.

    Attributes:
        steps: done; fewer than configured after an early stop.
        best: the best validation metric.
        resumed_from: steps that an earlier call had done.
    """

    steps: int
    best: float
    resumed_from: int


class Alignment:
    """One alignment in its folder.

    Args:
        start: the model to begin with; it stays as it is.
        split: whose training events teach and validation events choose.
        catalog: its items, and the neighbours that lift scores.
        folder: for checkpoint, best weights and log; must exist.
        config: settings.
        observer: told of progress.
        identity: names the start, data and settings.
        prior: `prior_of` these, where it is known already.

    Raises:
        ConfigInvalid: the model has no probabilities, or a reward cannot be had from this data.
    """

    def __init__(
        self,
        start: TrainedModel,
        split: Split,
        catalog: Catalog,
        folder: Path,
        config: AlignConfig,
        observer: AlignmentObserver,
        identity: str,
        prior: Neighbours | None = None,
    ) -> None:
        self._config, self._folder, self._observer = config, folder, observer
        index = CodeIndex(catalog)
        first = Policy(start.model, start.features, index).eval().requires_grad_(False)
        self._policy = copy.deepcopy(first).requires_grad_(True)
        self._reference = copy.deepcopy(first)
        self._objective = make_alignment_objective(config.objective)
        rewards = chosen_rewards(config.rewards, first, split, catalog, config.train.seed)
        self._measured = rewards.measured
        sampler, model = config.sampler, start.model.config
        source = PromptSource(
            split,
            catalog,
            model.history_length,
            newest=sampler.newest,
            horizon=config.rewards.horizon,
            repeats=sampler.repeats,
            later=sampler.later,
            neighbours=(prior or prior_of(split, catalog, sampler.newest)) if sampler.neighbours else None,
        )
        self._sampler = RolloutSampler(
            source,
            sampler,
            self._objective,
            rewards.reward,
            first if rewards.needs_states else None,
            uniform=config.objective.reference == "none",
        )
        rates = TrainConfig(learning_rate=config.train.learning_rate, weight_decay=config.train.weight_decay)
        self._optimizer = Optimizer(self._policy, rates, config.train.steps * config.train.updates)
        both = nn.ModuleDict({"policy": self._policy, "reference": self._reference})
        self._checkpoint = CheckpointFile(folder, both, self._optimizer, Processes())
        self._judges = split.with_fewer_validated(config.train.validate_users, config.train.seed)
        self._scorer = ModelScorer(self._policy.model, catalog, self._judges, Stage.VALID, self._policy.features)
        self._progress = Progress(identity)
        self._sums: dict[str, float] = {}
        self._began = time.process_time()

    def run(self) -> Aligned:
        """Align, from where an earlier call stopped.

        Raises:
            CheckpointInvalid: the folder holds a checkpoint of something else.
            TrainingError: the loss is not finite, or nothing drawn teaches anything.
            KeyboardInterrupt: it was asked to stop; the checkpoint holds everything done.
        """
        identity = self._progress.identity
        self._progress = self._checkpoint.load(identity)
        # The optimiser counts its own steps, of which there are several to a drawing.
        self._optimizer.done = self._progress.steps * self._config.train.updates
        resumed = self._progress.steps
        with stop_requests() as stop:
            if self._progress.best < 0:
                (self._folder / ROUNDS_FILE).unlink(missing_ok=True)
                self._finish_round()
            while self._progress.steps < self._config.train.steps and not self._waited_enough():
                self._round(stop)
                self._finish_round()
        return Aligned(self._progress.steps, self._progress.best, resumed)

    def _waited_enough(self) -> bool:
        return 0 < self._config.train.patience <= self._progress.waited

    def _round(self, stop: StopRequest) -> None:
        saved = time.monotonic()
        left = self._config.train.steps - self._progress.steps
        for _ in range(min(self._config.train.validate_every - self._progress.batches, left)):
            self._step()
            if stop.asked or time.monotonic() - saved > _CHECKPOINT_EVERY_S:
                self._checkpoint.save(self._progress)
                saved = time.monotonic()
            if stop.asked:
                raise KeyboardInterrupt

    def _step(self) -> None:
        p, config = self._progress, self._config
        drawing, learning = np.random.SeedSequence((config.train.seed, p.steps)).generate_state(2, np.uint64)
        drawn = self._sampler.draw(self._policy.eval(), self._reference, int(drawing >> 1))
        if drawn is None:
            raise TrainingError(
                f"no list drawn in step {p.steps + 1} has rewards that differ, so there is nothing to learn; raise "
                "[sampler] length, windows or dynamic, set target = true, or add a reward that is never flat"
            )
        torch.manual_seed(int(learning >> 1))
        self._policy.train(config.train.dropout)
        loss = kl = 0.0
        old: Tensor | None = None
        both, objective = (self._policy, self._reference), self._objective
        for _ in range(config.train.updates):
            found = losses(*both, drawn.asked, drawn.rollout, objective, config.objective, old)
            old = found.log_probs
            loss, kl = float(found.total.detach()), float(found.kl)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in step {p.steps + 1}; lower [train] learning_rate (now "
                    f"{config.train.learning_rate}) or [objective] beta. The last good checkpoint is kept."
                )
            found.total.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        seen = {"loss": loss, "kl": kl, "reward": drawn.reward, "hits": drawn.hits, "informative": drawn.informative}
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in seen.items()} | {
            "count": self._sums.get("count", 0.0) + 1.0
        }
        self._progress = replace(p, steps=p.steps + 1, batches=p.batches + 1)
        self._observer.step(self._progress.steps, config.train.steps, loss, drawn.reward)

    def _finish_round(self) -> None:
        p = self._progress
        self._policy.eval()
        valid = evaluate_scores(self._scorer, self._judges, stage=Stage.VALID).metrics
        reached = valid[self._config.train.metric]
        better = reached > p.best
        if better:
            weights = {f"{name}.{key}": value for name in ("model", "features") for key, value in self._part(name)}
            save_model(self._folder / MODEL_FILE, self._policy.model.config, weights)
        if self._config.objective.reference == "previous":
            self._reference.load_state_dict(self._policy.state_dict())
        self._progress = Progress(
            p.identity, p.epoch + 1, 0, p.steps, best=max(p.best, reached), waited=0 if better else p.waited + 1
        )
        record = self._record(valid)
        self._checkpoint.save(self._progress)
        with (self._folder / ROUNDS_FILE).open("a") as log:
            log.write(json.dumps(asdict(record)) + "\n")
        self._observer.validated(record)

    def _part(self, name: str) -> list[tuple[str, object]]:
        return list(getattr(self._policy, name).state_dict().items())

    def _record(self, valid: Mapping[str, float]) -> RoundRecord:
        count = self._sums.pop("count", 0.0)
        means = {name: value / count for name, value in self._sums.items()} if count else dict.fromkeys(_MEANS)
        now = time.process_time()
        record = RoundRecord(
            steps=self._progress.steps,
            cpu_seconds=now - self._began,
            valid=dict(valid),
            rewards=self._measured,
            **means,
        )
        self._sums, self._began = {}, now
        return record
