"""From a history to what the decoding head reads, and what the model remembers of it for the next call.

A model whose backbone counts distances only (no absolute positions) computes the same keys and values for an event
however the history goes on, except for the newest event, whose gap to the next one is not known yet. So they are kept,
and the next call computes the newest two positions only: one more event costs one step instead of the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import ModelFailed
from device_runtime.sequence import ModelInputs

RESUMED = 2  # positions that a program's method `extend` computes; part of the bundle format
_LEAST = 2  # positions that it must be given
_MOST_STEPS = 4  # with more new events than that the whole history is computed again

Floats = NDArray[np.float32]


class Runner(Protocol):
    """What the searches need of a session."""

    def run(self, method: str, *inputs: NDArray[np.generic]) -> tuple[NDArray[np.generic], ...]:
        """Run a method of the model."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """A history and, of its events but the newest, what the model remembers.

    Attributes:
        inputs: of the history.
        states: float32 [1, t, d], where the head reads every state; else [1, t, 0].
        memory: float32 [1, S, t, d].
    """

    inputs: ModelInputs
    states: Floats
    memory: Floats


class Encoder:
    """Runs `encode`, or `extend` where the history goes on from the one before.

    Args:
        session: runs the model's methods.
        remembers: whether the program has `extend`.
        states_at: which output holds the states [1, t, d] of all positions; None when the head reads none of them.
    """

    def __init__(self, session: Runner, *, remembers: bool, states_at: int | None) -> None:
        self._session = session
        self._remembers = remembers
        self._states_at = states_at
        self._kept: _Kept | None = None

    def __call__(self, inputs: ModelInputs, *asks: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
        """Return what `encode` returns for one history, without the memory.

        What is asked for meets the state behind the backbone, so what is kept of a history serves all asks. Safe to
        call from several threads: each call reads and replaces what is kept as a whole.
        """
        if not self._remembers:
            return self._session.run("encode", *inputs.arrays(), *asks)
        kept, length = self._kept, inputs.actions.shape[1]
        known = 0 if kept is None else _in_common(kept.inputs, inputs)
        steps = length - RESUMED - known
        if kept is None or known < _LEAST or steps > _MOST_STEPS:
            return self._whole(inputs, asks)
        past = _Kept(kept.inputs, kept.states[:, :known], kept.memory[:, :, :known])
        for place in range(known, known + steps):
            past, _ = self._step(past, inputs, asks, place)
        self._kept, outputs = self._step(past, inputs, asks, length - RESUMED)
        return outputs

    def _whole(self, inputs: ModelInputs, asks: tuple[NDArray[np.int64], ...]) -> tuple[NDArray[np.generic], ...]:
        *outputs, memory = self._session.run("encode", *inputs.arrays(), *asks)
        states = np.zeros((1, memory.shape[2], 0), np.float32)
        if self._states_at is not None:
            states = outputs[self._states_at].astype(np.float32, copy=False)
        # Padded histories cannot be gone on from: `extend` takes every event remembered for a real one.
        real = bool((inputs.actions[0] > 0).all())
        self._kept = _Kept(inputs, states[:, :-1], memory[:, :, :-1].astype(np.float32, copy=False)) if real else None
        return tuple(outputs)

    def _step(
        self, past: _Kept, inputs: ModelInputs, asks: tuple[NDArray[np.int64], ...], place: int
    ) -> tuple[_Kept, tuple[NDArray[np.generic], ...]]:
        """Compute the positions `place` and `place + 1`; remember the first, which nothing to come can change."""
        newest = slice(place, place + RESUMED)
        arrays = [
            inputs.codes[:, newest],
            inputs.features[:, newest],
            inputs.actions[:, newest],
            inputs.gaps[:, newest],
        ]
        arrays += [inputs.ages[:, :place], inputs.ages[:, newest], past.memory[:, :, :place]]
        *outputs, memory = self._session.run("extend", *map(np.ascontiguousarray, arrays), *asks)
        if memory.shape != (1, past.memory.shape[1], RESUMED, past.memory.shape[3]):
            raise ModelFailed(f"extend returned a memory of shape {memory.shape}; get the bundle again")
        grown = np.concatenate([past.memory[:, :, :place], memory[:, :, :1]], axis=2)
        states = past.states
        if self._states_at is not None:
            every = np.concatenate([past.states[:, :place], outputs[self._states_at]], axis=1)
            outputs[self._states_at], states = every, every[:, :-1].astype(np.float32, copy=False)
        return _Kept(inputs, states, grown.astype(np.float32, copy=False)), tuple(outputs)


def _in_common(before: ModelInputs, now: ModelInputs) -> int:
    """How many first events the two have in common, not counting what a call computes anyway.

    Times are given as seconds before the request, so they may all differ by the same number.
    """
    most = min(before.actions.shape[1] - 1, now.actions.shape[1] - RESUMED)
    if most < 1:
        return 0
    same = (before.actions[0, :most] == now.actions[0, :most]) & (now.actions[0, :most] > 0)
    same &= (before.gaps[0, :most] == now.gaps[0, :most]) & (before.codes[0, :most] == now.codes[0, :most]).all(axis=1)
    same &= (before.features[0, :most] == now.features[0, :most]).all(axis=1)
    passed = now.ages[0, :most] - before.ages[0, :most]
    same &= passed == passed[-1]
    return most if same.all() else 0
