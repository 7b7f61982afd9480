"""Moments of the training events at which the policy is asked: what was known then, and what came next.

A prompt is a target event and the window of inputs it lies in, the same windows as in training, so one pass of the
backbone answers several prompts. Targets are training events always: validation chooses and test reports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from device_runtime import Catalog, Neighbours
from server_training.alignment.policy import PolicyInputs
from server_training.data.split import Split
from server_training.errors import ConfigInvalid
from server_training.training.windows import training_windows

PAD = -1


@dataclass(frozen=True, slots=True)
class Prompts:
    """Some prompts.

    Attributes:
        windows: int64 [P], the window each lies in, ascending.
        events: int64 [P], its target.
    """

    windows: NDArray[np.int64]
    events: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.events)

    def chosen(self, which: NDArray[np.bool_]) -> Prompts:
        """Those that `which` [P] marks."""
        return Prompts(self.windows[which], self.events[which])


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts, ready for a policy and for rewards.

    Attributes:
        inputs: for the policy.
        history: int64 [P, T], catalog rows of what was known, the newest last, -1 where padded.
        wanted: int64 [P, S], catalog rows of the next training events, -1 after the end.
    """

    inputs: PolicyInputs
    history: Tensor
    wanted: Tensor


class PromptSource:
    """All prompts of a split's training events.

    Args:
        split: whose training events.
        catalog: names rows.
        length: T, events the model reads.
        newest: of each person, only so many of the newest training events are targets; 0 for all that have an input.
        horizon: S, events after each moment that rewards may look at.
        repeats: whether items of the history may be shown; without, they are hidden unless one is the target.
        later: whether items that the person chose later in training, beyond the horizon, may be shown; without, they
            are hidden: they are not wrong, only early, and must not be learned as wrong.
        neighbours: whose prior, at its weight, is part of the policy; None for none.

    Raises:
        ConfigInvalid: nobody has two training events.
    """

    def __init__(
        self,
        split: Split,
        catalog: Catalog,
        length: int,
        *,
        newest: int = 0,
        horizon: int = 1,
        repeats: bool = False,
        later: bool = False,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._table = training_windows(split, catalog, length)
        self._horizon, self._repeats, self._later, self._neighbours = horizon, repeats, later, neighbours
        owners = np.searchsorted(split.data.offsets, self._table.starts, side="right") - 1
        self._first = split.data.offsets[owners]
        # The target of the input at `e` is the event `e + 1`.
        self._from = self._table.starts + 1
        if newest:
            self._from = np.maximum(self._from, split.train_stop[owners] - newest)
        self._eligible = np.flatnonzero(self._from <= self._table.stops)
        if not len(self._eligible):
            raise ConfigInvalid("nobody has two training events, so there is no moment to align at")

    def __len__(self) -> int:
        """How many prompts there are."""
        return int((self._table.stops - self._from + 1)[self._eligible].sum())

    def draw(self, rng: np.random.Generator, windows: int, per_window: int) -> Prompts:
        """Draw windows, and up to `per_window` targets in each."""
        drawn = np.sort(rng.choice(self._eligible, min(windows, len(self._eligible)), replace=False))
        chosen = []
        for window in drawn.tolist():
            targets = np.arange(self._from[window], self._table.stops[window] + 1)
            chosen.append(np.sort(rng.permutation(targets)[:per_window]))
        return Prompts(np.repeat(drawn, [len(part) for part in chosen]), np.concatenate(chosen))

    def ask(self, prompts: Prompts) -> Asked:
        """Make tensors of prompts."""
        table = self._table
        windows, row = np.unique(prompts.windows, return_inverse=True)
        batch = table.take(windows)
        column = batch.rows.shape[1] - table.stops[prompts.windows] + prompts.events - 1
        history = self._events(table.starts[prompts.windows], prompts.events)
        wanted = self._following(prompts)
        inputs = PolicyInputs(
            batch,
            torch.from_numpy(np.stack([row, column], axis=1)),
            torch.from_numpy(self._hidden(prompts, wanted)),
            None if self._neighbours is None else torch.from_numpy(self._neighbours.prior(history)),
        )
        return Asked(inputs, torch.from_numpy(history), torch.from_numpy(wanted))

    def _following(self, prompts: Prompts) -> NDArray[np.int64]:
        places = prompts.events[:, None] + np.arange(self._horizon)
        known = places < self._table.ends[prompts.windows][:, None]
        return np.where(known, self._table.events[np.where(known, places, 0)], PAD)

    def _hidden(self, prompts: Prompts, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        nothing = np.full((len(prompts), 1), PAD)
        first, ends = self._first[prompts.windows], self._table.ends[prompts.windows]
        seen = nothing if self._repeats else self._events(first, prompts.events)
        later = nothing if self._later else self._events(np.minimum(prompts.events + self._horizon, ends), ends)
        both = np.concatenate([seen, later], axis=1)
        return np.where(both == wanted[:, :1], PAD, both)

    def _events(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
        """Catalog rows of the events `starts:stops`, int64 [P, W], the newest last, -1 where padded."""
        width = int((stops - starts).max(initial=1))
        places = stops[:, None] - width + np.arange(width)
        real = places >= starts[:, None]
        return np.where(real, self._table.events[np.where(real, places, 0)], PAD)
