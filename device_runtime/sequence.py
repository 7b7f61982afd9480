"""Events become model inputs here, for training and for devices alike: one implementation, no train/serve skew.

A history is a row of positions, padded on the left where a program has a fixed or a least length. Each position
carries the item's codes and features, the action, the time to the event after it in logarithmic buckets (for the last
event: to the moment of the request), after HSTU (Zhai et al., ICML 2024), and how long before the request it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import Catalog
from device_runtime.errors import HistoryInvalid

PAD_ROW = -1
MAX_SECONDS = 1 << 40
MAX_GAP_BUCKET = 30
N_GAPS = MAX_GAP_BUCKET + 2  # bucket 0 is padding, bucket 1 + b covers gaps of [2**b, 2**(b+1)) seconds


class Action(IntEnum):
    """What a person did with an item; the numbers are part of the model's input format."""

    PAD = 0
    VIEW = 1
    LIKE = 2
    DISLIKE = 3
    SAVE = 4
    BUY = 5
    SKIP = 6


N_ACTIONS = len(Action)


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One event: item id, action, and Unix seconds."""

    item: str
    action: Action
    at: int


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """Inputs of the method `encode`.

    Attributes:
        codes: int64 [N, T, L], pad code K where padded.
        features: float32 [N, T, R], 0 where padded.
        actions: int64 [N, T], 0 where padded.
        gaps: int64 [N, T], 0 where padded.
        ages: int64 [N, T], seconds before the request, 0 where padded or after it.
        dropped: events left out because the catalog does not hold their item.
    """

    codes: NDArray[np.int64]
    features: NDArray[np.float32]
    actions: NDArray[np.int64]
    gaps: NDArray[np.int64]
    ages: NDArray[np.int64]
    dropped: int = 0

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Return the inputs in the order of the method."""
        return self.codes, self.features, self.actions, self.gaps, self.ages


def encode_batch(
    rows: NDArray[np.int64],
    actions: NDArray[np.int64],
    at: NDArray[np.int64],
    now: NDArray[np.int64],
    catalog: Catalog,
) -> ModelInputs:
    """Encode left-padded histories.

    Args:
        rows: int64 [N, T], catalog rows, -1 where padded; padding only on the left.
        actions: int64 [N, T], `Action` values; ignored where padded.
        at: int64 [N, T], Unix seconds; ignored where padded.
        now: int64 [N], the moment of the request.
        catalog: whose rows and codes are meant.

    Raises:
        HistoryInvalid: shapes that do not fit, rows or actions out of range, or padding after an event.
    """
    if rows.ndim != 2 or actions.shape != rows.shape or at.shape != rows.shape or now.shape != rows.shape[:1]:
        raise HistoryInvalid(f"expected rows, actions and times [N, T] and now [N], got {rows.shape} and {now.shape}")
    real = rows >= 0
    if (real[:, :-1] & ~real[:, 1:]).any():
        raise HistoryInvalid("a history may be padded on the left only")
    if rows.size and (rows.max() >= len(catalog) or rows.min() < PAD_ROW):
        raise HistoryInvalid(f"expected catalog rows below {len(catalog)}, got {rows.min()} to {rows.max()}")
    if (actions[real] < 1).any() or (actions[real] >= N_ACTIONS).any():
        raise HistoryInvalid(f"expected actions 1 to {N_ACTIONS - 1}")
    codes = np.where(real[..., None], catalog.codes_of(rows).astype(np.int64), catalog.codebook_size)
    features = np.where(real[..., None], catalog.features_of(rows), np.float32(0))
    following = np.concatenate([at[:, 1:], now[:, None]], axis=1)
    gaps = np.where(real, gap_buckets(following - at), 0)
    ages = np.where(real, seconds_before(now[:, None], at), 0)
    return ModelInputs(codes, features, np.where(real, actions, 0), gaps, ages)


def seconds_before(now: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Seconds from `at` to `now`, never negative."""
    seconds: NDArray[np.int64] = np.clip(now - at, 0, MAX_SECONDS)
    return seconds


def gap_buckets(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map gaps to buckets 1..31: 1 + floor(log2(max(1, seconds))), capped; a clock that ran backwards counts as 1 s."""
    # frexp is exact where log2 rounds: 2**b is mantissa 0.5 and exponent b + 1.
    exponent = np.frexp(np.maximum(seconds, 1).astype(np.float64))[1].astype(np.int64)
    return np.minimum(exponent, 1 + MAX_GAP_BUCKET)


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a history a model reads.

    Attributes:
        longest: T, events at most.
        shortest: positions at least; shorter histories are padded. `longest` for programs of fixed shapes.
        step: a history longer than T is read from an event whose number is a multiple of this, so that between two
            steps histories only grow, and a model that remembers can go on; at 1 the last T events are read.
    """

    longest: int
    shortest: int = 2
    step: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            HistoryInvalid: one is outside its range.
        """
        if not 1 <= self.shortest <= self.longest or not 1 <= self.step <= self.longest:
            raise HistoryInvalid(
                f"a model reads 1 <= shortest <= longest events, in steps of at most that many; got {self}"
            )

    def start(self, events: int) -> int:
        """The number of the first event that is read of a history of so many."""
        return max(0, -(-(events - self.longest) // self.step) * self.step)


def encode_history(
    events: Sequence[HistoryEvent], catalog: Catalog, reading: Reading, now: int, *, earlier: int = 0
) -> ModelInputs:
    """Encode what a model reads of one person's history; N is 1.

    Args:
        events: in time order; items the catalog does not hold are dropped and counted.
        catalog: of the model that will read this.
        reading: of the model.
        now: Unix seconds of the request.
        earlier: how many events came before those given, which are at least the last `reading.longest` then.

    Raises:
        HistoryInvalid: an event has no usable action or time.
    """
    found = [(catalog.row_of(event.item), event) for event in events]
    known = [(row, event) for row, event in found if row >= 0]
    kept = known[max(0, reading.start(earlier + len(known)) - earlier) :]
    length = max(len(kept), reading.shortest)
    rows = np.full((1, length), PAD_ROW, dtype=np.int64)
    actions = np.zeros((1, length), dtype=np.int64)
    at = np.zeros((1, length), dtype=np.int64)
    if kept:
        rows[0, -len(kept) :] = [row for row, _ in kept]
        actions[0, -len(kept) :] = [int(event.action) for _, event in kept]
        at[0, -len(kept) :] = [_checked_time(event.at) for _, event in kept]
    inputs = encode_batch(rows, actions, at, np.array([_checked_time(now)], dtype=np.int64), catalog)
    return replace(inputs, dropped=len(events) - len(known))


def _checked_time(seconds: int) -> int:
    if not 0 <= seconds <= MAX_SECONDS:
        raise HistoryInvalid(f"times must be Unix seconds, 0 to {MAX_SECONDS}, got {seconds!r}")
    return seconds
