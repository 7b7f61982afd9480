"""Ranking metrics for one held-out target per user, from its rank in the whole catalog.

Ties count against the model: an item that ties with the target stands before it, so a scorer that says the
same of everything finds nothing. A target that cannot be shown (removed, or not in the list) has rank
:data:`MISS`. Knows nothing of users or splits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from server_training.errors import EvaluationInvalid

Ranks = NDArray[np.int64]
MISS: Final = np.iinfo(np.int64).max


def ranks_from_scores(scores: NDArray[np.floating], targets: NDArray[np.integer]) -> Ranks:
    """Rank of each target, 1 for the best: one more than the other items that score at least as high.

    Args:
        scores: ``[B, n]``, higher is better; -inf marks an item that is not to be shown.
        targets: ``[B]``, column of each row's target.

    Raises:
        EvaluationInvalid: wrong shapes, a target outside the catalog, or NaN among the scores.
    """
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise EvaluationInvalid(f"expected scores [B, n] and targets [B], got {scores.shape} and {targets.shape}")
    if len(targets) and not (targets.min() >= 0 and targets.max() < scores.shape[1]):
        raise EvaluationInvalid(f"expected targets in 0..{scores.shape[1] - 1}, got one outside")
    if np.isnan(scores).any():
        raise EvaluationInvalid("expected scores without NaN; the model or its input is broken")
    own = np.take_along_axis(scores, targets[:, None].astype(np.int64), axis=1)
    # The target is among those that score at least as high as it does: the sum is its rank already.
    ranks = (scores >= own).sum(axis=1, dtype=np.int64)
    return np.where(np.isneginf(own[:, 0]), MISS, ranks)


def ranks_from_lists(lists: NDArray[np.integer], targets: NDArray[np.integer]) -> Ranks:
    """Rank of each target in its ranked list.

    Args:
        lists: ``[B, k]`` item indices, best first, -1 after the end of a short list.
        targets: ``[B]`` item indices.

    Raises:
        EvaluationInvalid: wrong shapes, or an item that stands twice in one list.
    """
    if lists.ndim != 2 or targets.shape != lists.shape[:1]:
        raise EvaluationInvalid(f"expected lists [B, k] and targets [B], got {lists.shape} and {targets.shape}")
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise EvaluationInvalid("expected every item at most once in a ranked list, got one twice")
    hits = lists == targets[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, MISS).astype(np.int64)


def recall_at(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Per user, 1 when the target is among the first ``k``, else 0 (with one target, also the hit rate)."""
    return (ranks <= k).astype(np.float64)


def ndcg_at(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Per user, 1 / log2(1 + rank) when the target is among the first ``k``, else 0."""
    gains = 1.0 / np.log2(1.0 + np.minimum(ranks, k))
    return np.where(ranks <= k, gains, 0.0)


def reciprocal_rank(ranks: Ranks) -> NDArray[np.float64]:
    """Per user, 1 / rank; 0 for a target that cannot be shown."""
    return np.where(ranks == MISS, 0.0, 1.0 / ranks)
