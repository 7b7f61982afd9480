"""What a run writes while it trains: a line of JSON per epoch always, TensorBoard's events when it is installed."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch did; a line of log.jsonl.

    Attributes:
        epoch: from 1.
        loss: mean per target.
        seconds: of this epoch; after an interruption, of its last part.
        events_per_s: targets learned per second of it.
        learning_rate: of the next step.
        valid_ndcg_at_10: None in epochs that are not validated.
        valid_recall_at_10: likewise.
    """

    epoch: int
    loss: float
    seconds: float
    events_per_s: float
    learning_rate: float
    valid_ndcg_at_10: float | None
    valid_recall_at_10: float | None


class Journal:
    """Appends records in a run's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOG_FILE
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / TENSORBOARD_FOLDER))

    def write(self, record: EpochRecord) -> None:
        """Append one epoch."""
        fields = asdict(record)
        with self._file.open("a") as log:
            log.write(json.dumps(fields) + "\n")
        if self._board is not None:
            for name, value in fields.items():
                if name != "epoch" and value is not None:
                    self._board.add_scalar(name, value, record.epoch)
            self._board.flush()
