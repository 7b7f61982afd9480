"""Checkpoints of a run: whole or absent, never half written; refused when they belong to something else."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from server_training.errors import CheckpointInvalid
from server_training.files import write_atomically

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State after `epoch` finished epochs; `identity` names the data and settings it belongs to."""

    identity: str
    epoch: int
    best: float
    state: dict[str, Any]


def identity_of(**parts: object) -> str:
    """Return a digest of the JSON form of `parts`: equal for equal data and settings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run."""
    content = {
        "identity": checkpoint.identity,
        "epoch": checkpoint.epoch,
        "best": checkpoint.best,
        "state": checkpoint.state,
    }
    write_atomically(folder / CHECKPOINT_FILE, lambda path: torch.save(content, path))


def load(folder: Path, identity: str) -> Checkpoint | None:
    """Return the checkpoint in `folder`, or None when there is none.

    Raises:
        CheckpointInvalid: it is damaged, or was made from other data or settings.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        content = torch.load(path, weights_only=True)
        checkpoint = Checkpoint(**content)
    except (RuntimeError, EOFError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointInvalid(
            f"{path} cannot be read ({type(error).__name__}); delete it to start this run again"
        ) from error
    if checkpoint.identity != identity:
        raise CheckpointInvalid(
            f"{path} was made from other data or settings; choose another output folder, or pass --fresh to replace it"
        )
    return checkpoint
