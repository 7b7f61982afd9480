"""How sure a difference is: several seeds, and bootstrap over the users they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_training.errors import EvaluationInvalid

RESAMPLES = 2000
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over several seeds.

    Attributes:
        mean: over seeds and users.
        deviation: standard deviation of the seeds' means; 0 for one seed.
        low, high: 95 % percentile bootstrap interval over users, of their means over seeds.
        seeds: how many.
    """

    mean: float
    deviation: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one system is than another on the same users.

    Attributes:
        mean: of the first minus the second.
        low, high: 95 % percentile bootstrap interval.
        p_value: share of resamples on the other side of zero, twice; at least 1 / resamples.
    """

    mean: float
    low: float
    high: float
    p_value: float


def spread(gains: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> Spread:
    """Summarise the per-user gains ``[E]`` of each seed.

    Raises:
        EvaluationInvalid: no seed, or seeds over different users.
    """
    table = _table(gains)
    means = table.mean(axis=1)
    low, high = np.quantile(_resampled(table.mean(axis=0), rng), [0.025, 0.975])
    deviation = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    return Spread(float(means.mean()), deviation, float(low), float(high), len(means))


def paired_difference(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]], rng: np.random.Generator
) -> Difference:
    """Compare two systems user by user, each averaged over its seeds.

    Raises:
        EvaluationInvalid: no seed, or gains over different users.
    """
    mine, theirs = _table(first), _table(second)
    if mine.shape[1] != theirs.shape[1]:
        raise EvaluationInvalid(f"expected gains of the same users, got {mine.shape[1]} and {theirs.shape[1]}")
    gap = mine.mean(axis=0) - theirs.mean(axis=0)
    drawn = _resampled(gap, rng)
    low, high = np.quantile(drawn, [0.025, 0.975])
    beyond = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Difference(float(gap.mean()), float(low), float(high), min(1.0, max(2 * beyond, 1 / len(drawn))))


def _table(gains: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    if not len(gains) or any(g.ndim != 1 or g.shape != gains[0].shape or not len(g) for g in gains):
        raise EvaluationInvalid("expected the gains [E] of at least one seed, all over the same users")
    return np.stack(gains).astype(np.float64)


def _resampled(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of `RESAMPLES` samples with replacement, some at a time."""
    n = len(values)
    means = [
        values[rng.integers(n, size=(min(_BLOCK, RESAMPLES - start), n))].mean(axis=1)
        for start in range(0, RESAMPLES, _BLOCK)
    ]
    return np.concatenate(means)
