"""Checkpoints of a run whose processes hold a shard of the model each.

A folder in the format of torch.distributed.checkpoint, which as many processes as there are read and write together;
fewer or more of them can resume it. That format holds pickles: resume only your own runs. What reads and writes it
takes seconds to import, so sharded runs alone import this module.
"""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards

from server_training.training.checkpoint import SHARDS_FOLDER, Progress, check_identity, unreadable
from server_training.training.processes import Processes
from server_training.training.step import Optimizer

_PROGRESS_FILE = "progress.json"


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
            raise unreadable(path, error) from error
        check_identity(path, progress, identity)
        weights, adam = get_state_dict(self._step, self._optimizer.adam)
        state: dict[str, Any] = {"weights": weights, "optimizer": adam}
        try:
            load_shards(state, checkpoint_id=path)
        except (CheckpointException, OSError, pickle.UnpicklingError) as error:
            raise unreadable(path, error) from error
        set_state_dict(
            self._step,
            self._optimizer.adam,
            model_state_dict=state["weights"],
            optim_state_dict=state["optimizer"],
        )
        self._optimizer.done = progress.steps
        return progress
