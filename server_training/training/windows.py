"""Training examples: fixed-length windows over each user's training events, cut from the newest backwards.

Every position of a window predicts the event after it, so a window of T inputs gives T targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from device_runtime import Catalog, encode_batch
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, Stage

PAD = -1


@dataclass(frozen=True, slots=True)
class Windows:
    """Model inputs and targets.

    Attributes:
        codes: int64 [N, T, L], left-padded.
        actions: int64 [N, T].
        gaps: int64 [N, T].
        targets: int64 [N, T], catalog row of the event after each position, -1 where there is none.
    """

    codes: Tensor
    actions: Tensor
    gaps: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Tensor) -> Windows:
        """Return the windows at `rows` int64 [n]."""
        return Windows(self.codes[rows], self.actions[rows], self.gaps[rows], self.targets[rows])


def catalog_rows(data: SequenceData, catalog: Catalog) -> NDArray[np.int64]:
    """Return int64 [n_items]: the catalog row of each item of `data`."""
    return np.array([catalog.index_of(item) for item in data.item_ids], dtype=np.int64)


def training_windows(split: Split, catalog: Catalog, length: int) -> Windows:
    """Cut all training events into windows of at most `length` inputs."""
    stops: list[int] = []
    starts: list[int] = []
    for user, stop in enumerate(split.train_stop.tolist()):
        first = int(split.data.offsets[user])
        for end in range(stop - 1, first, -length):
            stops.append(end)
            starts.append(max(first, end - length))
    return _windows(split.data, catalog, np.array(starts, np.int64), np.array(stops, np.int64), length)


def history_windows(split: Split, stage: Stage, catalog: Catalog, length: int) -> Windows:
    """One window per evaluated user: the history before the held-out event.

    "Now" is the time of the held-out event: on a device, the moment of the request is known.
    """
    stops = split.target_events(stage)
    starts = np.maximum(split.data.offsets[:-1][split.users], stops - length)
    return _windows(split.data, catalog, starts, stops, length)


def _windows(
    data: SequenceData, catalog: Catalog, starts: NDArray[np.int64], stops: NDArray[np.int64], length: int
) -> Windows:
    events = stops[:, None] - length + np.arange(length)  # [N, T], left padding where before `starts`
    real = events >= starts[:, None]
    safe = np.where(real, events, 0)
    row_of_item = catalog_rows(data, catalog)
    rows = np.where(real, row_of_item[data.items[safe]], PAD)
    actions = np.where(real, data.actions[safe], 0).astype(np.int64)
    inputs = encode_batch(rows, actions, data.timestamps[safe], data.timestamps[stops], catalog)
    targets = np.where(real, row_of_item[data.items[safe + real]], PAD)
    return Windows(*(torch.from_numpy(a) for a in (inputs.codes, inputs.actions, inputs.gaps, targets)))
