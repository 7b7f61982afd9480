"""Training examples: fixed-length windows over each user's training events, cut from the newest backwards.

Every position of a window predicts the event after it, so a window of T inputs gives T targets; with a session of S,
every position predicts the next S events. An opening is a window without inputs: from nothing, a person's first event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from device_runtime import Catalog, ModelInputs, encode_batch, gap_buckets, seconds_before
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, Stage
from server_training.models.recommender import ModelBatch

PAD = -1


@dataclass(frozen=True, slots=True)
class Windows:
    """Histories and what followed them, compact: a few numbers per event.

    Attributes:
        events: int64 [E], catalog row of every event of the data.
        actions: int8 [E].
        at: int64 [E], Unix seconds.
        starts, stops: int64 [N], each window's input events are `starts:stops`.
        ends: int64 [N], targets lie before this event.
        length: T.
    """

    events: NDArray[np.int64]
    actions: NDArray[np.int8]
    at: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    ends: NDArray[np.int64]
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Int64 [N]: how many events each window holds; 0 for an opening."""
        return self.stops - self.starts

    @property
    def first_inputs(self) -> NDArray[np.int64]:
        """Int64 [N]: the place of the first position that has a target; padding for an opening."""
        return np.minimum(self.starts, self.stops - 1)

    def take(self, windows: NDArray[np.int64], *, trim: bool = True) -> ModelBatch:
        """Return some windows as a batch.

        The moment of the request is that of the event after each window, as on a device, where it is known.

        Args:
            windows: int64 [B].
            trim: cut columns that are padding in all of them.
        """
        starts, stops = self.starts[windows], self.stops[windows]
        width = int((stops - starts).max(initial=1)) if trim else self.length
        places = stops[:, None] - width + np.arange(width)
        real = places >= starts[:, None]
        safe = np.where(real, places, 0)
        now = self.at[np.minimum(stops, len(self.at) - 1)]
        following = np.concatenate([self.at[safe[:, 1:]], now[:, None]], axis=1)
        return ModelBatch(
            torch.from_numpy(np.where(real, self.events[safe], PAD)),
            torch.from_numpy(np.where(real, self.actions[safe], 0).astype(np.int64)),
            torch.from_numpy(np.where(real, gap_buckets(following - self.at[safe]), 0)),
            torch.from_numpy(np.where(real, seconds_before(now[:, None], self.at[safe]), 0)),
        )

    def inputs(self, window: int, catalog: Catalog, shortest: int = 2, most: int | None = None) -> ModelInputs:
        """One window as the device encodes it, by the device's own code.

        Args:
            window: which.
            catalog: of the model.
            shortest: positions that it is padded to.
            most: take so many of its newest events; all when None.
        """
        start, stop = int(self.starts[window]), int(self.stops[window])
        start = start if most is None else max(start, stop - most)
        length = max(shortest, stop - start)
        place = slice(length - (stop - start), length)
        rows, actions, at = (np.full((1, length), fill, np.int64) for fill in (PAD, 0, 0))
        rows[0, place], actions[0, place] = self.events[start:stop], self.actions[start:stop]
        at[0, place] = self.at[start:stop]
        return encode_batch(rows, actions, at, self.at[[min(stop, len(self.at) - 1)]], catalog)

    def targets(self, windows: NDArray[np.int64], session: int, width: int) -> Tensor:
        """Int64 [B, width, session]: catalog rows of the next events after each position, -1 where there is none."""
        return self.following(windows, session, width, self.events, PAD)

    def following(
        self, windows: NDArray[np.int64], session: int, width: int, values: NDArray[np.integer], fill: int
    ) -> Tensor:
        """Int64 [B, width, session, ...]: the values [E, ...] of the next events, `fill` where there is none."""
        starts, stops, ends = self.first_inputs[windows], self.stops[windows], self.ends[windows]
        inputs = stops[:, None] - width + np.arange(width)
        wanted = inputs[..., None] + 1 + np.arange(session)
        known = (inputs >= starts[:, None])[..., None] & (wanted < ends[:, None, None])
        found = values[np.where(known, wanted, 0)].astype(np.int64)
        found[~known] = fill
        return torch.from_numpy(found)


def catalog_rows(data: SequenceData, catalog: Catalog) -> NDArray[np.int64]:
    """Return int64 [n_items]: the catalog row of each item of `data`."""
    return np.array([catalog.index_of(item) for item in data.item_ids], dtype=np.int64)


def used_rows(split: Split, catalog: Catalog) -> NDArray[np.bool_]:
    """Return bool [n_items], in catalog order: items with a training event."""
    used = np.zeros(len(catalog), bool)
    used[catalog_rows(split.data, catalog)[split.data.items[split.train_events()]]] = True
    return used


def training_windows(split: Split, catalog: Catalog, length: int, *, openings: bool = False) -> Windows:
    """Cut all training events into windows of at most `length` inputs; with `openings`, one more per user, empty."""
    offsets = split.data.offsets[:-1]
    ends = np.asarray(split.train_stop, np.int64)
    counts = np.maximum(0, ends - 1 - offsets)  # inputs per user: every training event but the last
    pieces = -(-counts // length)
    owner = np.repeat(np.arange(len(ends)), pieces)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    stops = ends[owner] - 1 - nth * length
    starts = np.maximum(offsets[owner], stops - length)
    if openings:
        people = np.flatnonzero(ends > offsets)
        first = offsets[people]
        owner = np.concatenate([owner, people])
        starts, stops = np.concatenate([starts, first]), np.concatenate([stops, first])
    return _windows(split.data, catalog, starts, stops, ends[owner], length)


def history_windows(split: Split, stage: Stage, catalog: Catalog, length: int, step: int = 1) -> Windows:
    """One window per evaluated user: the history before the held-out event, as `device_runtime.Reading` cuts it."""
    stops = split.target_events(stage)
    offsets = split.data.offsets[:-1][split.users(stage)]
    starts = offsets + np.maximum(0, -(-(stops - offsets - length) // step) * step)
    return _windows(split.data, catalog, starts, stops, stops, length)


def _windows(
    data: SequenceData,
    catalog: Catalog,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    ends: NDArray[np.int64],
    length: int,
) -> Windows:
    rows = catalog_rows(data, catalog)[data.items]
    return Windows(rows, data.actions, data.timestamps, starts, stops, ends, length)
