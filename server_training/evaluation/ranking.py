"""One pass over a scorer: the rank of every target with seen items kept and removed, and the lists themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_training.data.split import Split, Stage
from server_training.errors import EvaluationInvalid
from server_training.evaluation.full_ranking import Scorer
from server_training.evaluation.metrics import Ranks, ranks_from_scores

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a scorer says of every evaluated user of a split, rows as ``split.users(stage)``.

    Attributes:
        removed: ranks with the items of the user's history taken out; ``MISS`` for a target that is among them.
        kept: ranks among all items.
        lists: int64 ``[E, k]``, the best items with seen ones removed, -1 after the end.
    """

    removed: Ranks
    kept: Ranks
    lists: NDArray[np.int64]


def rank(
    scorer: Scorer,
    split: Split,
    stage: Stage = Stage.TEST,
    *,
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Rank the whole catalog for every evaluated user.

    Args:
        scorer: it must know the history as of ``stage`` and nothing later.
        split: users and targets.
        stage: validation or test.
        top: width of the lists.
        progress: told (users done, users).

    Raises:
        EvaluationInvalid: scores of the wrong shape, or NaN.
    """
    targets = split.targets(stage)
    n, k = len(targets), min(top, split.data.n_items)
    removed, kept = np.empty(n, np.int64), np.empty(n, np.int64)
    lists = np.full((n, k), -1, np.int64)
    for start in range(0, n, _BATCH):
        rows = slice(start, start + _BATCH)
        users = split.users(stage)[rows]
        scores = np.array(scorer.score(users), np.float32, copy=True)
        if scores.shape != (len(users), split.data.n_items):
            wanted = (len(users), split.data.n_items)
            raise EvaluationInvalid(f"expected scores of shape {wanted}, got {scores.shape}")
        kept[rows] = ranks_from_scores(scores, targets[rows])
        scores[_seen_cells(split, users, stage)] = -np.inf
        removed[rows] = ranks_from_scores(scores, targets[rows])
        lists[rows] = _best(scores, k)
        if progress is not None:
            progress(min(start + _BATCH, n), n)
    return Ranking(removed, kept, lists)


def _seen_cells(split: Split, users: NDArray[np.int64], stage: Stage) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows and columns of the items in each user's history."""
    histories = [split.history(int(user), stage) for user in users]
    lengths = np.array([history.stop - history.start for history in histories])
    items = [split.data.items[history] for history in histories]
    return np.repeat(np.arange(len(users)), lengths), np.concatenate(items) if items else np.empty(0, np.int32)


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k best columns of each row, best first, equal ones by column; -1 where nothing finite is left."""
    if k < scores.shape[1]:
        chosen = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    else:
        chosen = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    values = np.take_along_axis(scores, chosen, axis=1)
    order = np.lexsort((chosen, -values), axis=1)
    chosen, values = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(values, order, axis=1)
    return np.where(np.isneginf(values), -1, chosen).astype(np.int64)
