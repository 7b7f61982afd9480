"""The order of windows in an epoch: the same for every process, from the seed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from server_training.training.windows import Windows


def epoch_batches(
    windows: Windows, batch_size: int, seed: int, epoch: int, openings: float = 0.0
) -> list[NDArray[np.int64]]:
    """Divide all windows into batches of `batch_size` (the last may be smaller), in random order.

    Windows of like length share a batch, so that little padding is computed; which of them do is drawn every epoch. Of
    openings, as many are drawn as are `openings` times the other windows.
    """
    rng = np.random.default_rng((seed, epoch))
    lengths = windows.lengths
    taken = np.flatnonzero(lengths > 0)
    if openings:
        empty = np.flatnonzero(lengths == 0)
        few = min(len(empty), round(openings * len(taken)))
        taken = np.concatenate([taken, rng.choice(empty, few, replace=False)])
    drawn = np.lexsort((rng.random(len(taken)), lengths[taken] + rng.integers(-1, 2, len(taken))))
    order = taken[drawn]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def share_of(batch: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """The windows of a global batch that process `rank` of `world` computes."""
    return batch[rank::world]


def session_weights(session: int, decay: float) -> NDArray[np.float32]:
    """Float32 [S]: the powers of `decay` from 0 on."""
    return np.float32(decay) ** np.arange(session, dtype=np.float32)


def total_weight(windows: Windows, batch: NDArray[np.int64], weights: NDArray[np.float32]) -> float:
    """Summed weights of all targets of a batch, counted without looking at an event."""
    starts, stops, ends = windows.first_inputs[batch], windows.stops[batch], windows.ends[batch]
    known = (np.clip(np.minimum(stops, ends - 1 - later) - starts, 0, None).sum() for later in range(len(weights)))
    return float(sum(weight * count for weight, count in zip(weights.tolist(), known, strict=True)))
