"""Checkpoints of a run: whole or absent, never half written; refused when they belong to something else.

A run of one process, or of several with a copy of the model each, has one file. A run of shards has a folder in the
format of torch.distributed.checkpoint, which as many processes as there are read and write together; fewer or more of
them can resume it. That format holds pickles: resume only your own runs.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards

from server_training.errors import CheckpointInvalid
from server_training.training.processes import Processes
from server_training.training.step import Optimizer
from server_training.training.tensor_file import save_tensors

CHECKPOINT_FILE = "checkpoint.pt"
SHARDS_FOLDER = "checkpoint.shards"
_PROGRESS_FILE = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        identity: names the data and settings it belongs to.
        epoch: finished epochs.
        batches: finished batches of the epoch after them.
        steps: optimiser steps.
        loss: summed loss of those batches.
        weight: summed weight of their targets.
        best: best validation NDCG@10, -1 before the first.
        waited: validations since.
    """

    identity: str
    epoch: int = 0
    batches: int = 0
    steps: int = 0
    loss: float = 0.0
    weight: float = 0.0
    best: float = -1.0
    waited: int = 0


def identity_of(**parts: object) -> str:
    """Return a digest of the JSON form of `parts`: equal for equal data and settings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class CheckpointFile:
    """The checkpoint of processes that each hold the whole model; the first one writes it."""

    def __init__(self, folder: Path, step: nn.Module, optimizer: Optimizer, processes: Processes) -> None:
        self._path = folder / CHECKPOINT_FILE
        self._step = step
        self._optimizer = optimizer
        self._processes = processes

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint."""
        if self._processes.first:
            content = {
                "progress": asdict(progress),
                "weights": self._step.state_dict(),
                "optimizer": self._optimizer.adam.state_dict(),
            }
            save_tensors(self._path, content)

    def load(self, identity: str) -> Progress:
        """Restore weights and optimiser; without a checkpoint, begin.

        Raises:
            CheckpointInvalid: it is damaged, or was made from other data or settings.
        """
        if not self._path.exists():
            return Progress(identity)
        try:
            content = torch.load(self._path, weights_only=True, map_location=self._processes.device)
            progress = Progress(**content["progress"])
        except (RuntimeError, EOFError, TypeError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise _unreadable(self._path, error) from error
        _check_identity(self._path, progress, identity)
        self._step.load_state_dict(content["weights"])
        self._optimizer.resume(content["optimizer"], progress.steps)
        return progress


class CheckpointShards:
    """The checkpoint of processes that each hold a shard; all of them write it."""

    def __init__(self, folder: Path, step: nn.Module, optimizer: Optimizer, processes: Processes) -> None:
        self._path = folder / SHARDS_FOLDER
        self._step = step
        self._optimizer = optimizer
        self._processes = processes

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint."""
        fresh = self._path.with_suffix(".new")
        if self._processes.first:
            shutil.rmtree(fresh, ignore_errors=True)
        self._processes.wait()
        weights, adam = get_state_dict(self._step, self._optimizer.adam)
        save_shards({"weights": weights, "optimizer": adam}, checkpoint_id=fresh)
        if self._processes.first:
            (fresh / _PROGRESS_FILE).write_text(json.dumps(asdict(progress)))
            old = self._path.with_suffix(".old")
            shutil.rmtree(old, ignore_errors=True)
            if self._path.exists():
                self._path.rename(old)
            fresh.rename(self._path)
            shutil.rmtree(old, ignore_errors=True)
        self._processes.wait()

    def load(self, identity: str) -> Progress:
        """Restore this process's share of weights and optimiser; without a checkpoint, begin.

        Raises:
            CheckpointInvalid: it is damaged, or was made from other data or settings.
        """
        path = self._path if self._path.exists() else self._path.with_suffix(".old")  # killed between two renames
        if not path.exists():
            return Progress(identity)
        try:
            progress = Progress(**json.loads((path / _PROGRESS_FILE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise _unreadable(path, error) from error
        _check_identity(path, progress, identity)
        weights, adam = get_state_dict(self._step, self._optimizer.adam)
        state: dict[str, Any] = {"weights": weights, "optimizer": adam}
        try:
            load_shards(state, checkpoint_id=path)
        except (CheckpointException, OSError, pickle.UnpicklingError) as error:
            raise _unreadable(path, error) from error
        set_state_dict(
            self._step,
            self._optimizer.adam,
            model_state_dict=state["weights"],
            optim_state_dict=state["optimizer"],
        )
        self._optimizer.done = progress.steps
        return progress


def _unreadable(path: Path, error: BaseException) -> CheckpointInvalid:
    return CheckpointInvalid(f"{path} cannot be read ({type(error).__name__}); delete it to start this run again")


def _check_identity(path: Path, progress: Progress, identity: str) -> None:
    if progress.identity != identity:
        raise CheckpointInvalid(
            f"{path} was made from other data or settings; choose another output folder, or pass --fresh to replace it"
        )


def checkpoints_of(folder: Path) -> list[Path]:
    """Every file or folder that a checkpoint may have left in a run's folder."""
    shards = folder / SHARDS_FOLDER
    return [folder / CHECKPOINT_FILE, shards, shards.with_suffix(".new"), shards.with_suffix(".old")]
