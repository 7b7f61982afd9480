"""Checkpoints of a run: whole or absent, never half written; refused when they belong to something else.

A run of one process, or of several with a copy of the model each, has one file. A run of shards has a folder:
`checkpoint_shards`.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from server_training.errors import CheckpointInvalid
from server_training.training.processes import Processes
from server_training.training.step import Optimizer
from server_training.training.tensor_file import save_tensors

CHECKPOINT_FILE = "checkpoint.pt"
SHARDS_FOLDER = "checkpoint.shards"


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
            raise unreadable(self._path, error) from error
        check_identity(self._path, progress, identity)
        self._step.load_state_dict(content["weights"])
        self._optimizer.resume(content["optimizer"], progress.steps)
        return progress


def unreadable(path: Path, error: BaseException) -> CheckpointInvalid:
    """Return the refusal of a checkpoint that cannot be read."""
    return CheckpointInvalid(f"{path} cannot be read ({type(error).__name__}); delete it to start this run again")


def check_identity(path: Path, progress: Progress, identity: str) -> None:
    """Refuse a checkpoint of other data or settings.

    Raises:
        CheckpointInvalid: it is one.
    """
    if progress.identity != identity:
        raise CheckpointInvalid(
            f"{path} was made from other data or settings; choose another output folder, or pass --fresh to replace it"
        )


def checkpoints_of(folder: Path) -> list[Path]:
    """Every file or folder that a checkpoint may have left in a run's folder."""
    shards = folder / SHARDS_FOLDER
    return [folder / CHECKPOINT_FILE, shards, shards.with_suffix(".new"), shards.with_suffix(".old")]
