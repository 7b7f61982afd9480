"""Everything that is said of one system on one split: accuracy, lists, cold items and cold users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_training.data.split import Split, Stage
from server_training.evaluation.full_ranking import Scorer
from server_training.evaluation.lists import (
    coverage,
    diversity,
    gini,
    novelty,
    popularity_lift,
    popularity_percentiles,
)
from server_training.evaluation.metrics import Ranks, ndcg_at, recall_at, reciprocal_rank
from server_training.evaluation.names import CUTOFFS
from server_training.evaluation.ranking import Ranking, rank

LIST_LENGTH = 10
RARE_EVENTS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """A metric among some of the users.

    Attributes:
        users: how many.
        recall_at_10, ndcg_at_10: their means, seen items removed; 0 when there are none.
    """

    users: int
    recall_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True, slots=True)
class Profile:
    """One system on one split.

    Attributes:
        metrics: mean over users by name, seen items removed: recall@k, ndcg@k, mrr.
        metrics_kept: the same with seen items kept in the ranking.
        lists: coverage, gini, novelty, diversity (with vectors) and popularity lift of the top 10.
        cold_items: users by the training events of their target: none, 1 to 5, more.
        cold_users: users by the events of their history: up to 3, 4 to 10, more.
        ranking: ranks and lists per user.
    """

    metrics: dict[str, float]
    metrics_kept: dict[str, float]
    lists: dict[str, float]
    cold_items: dict[str, Group]
    cold_users: dict[str, Group]
    ranking: Ranking


def profile(
    scorer: Scorer,
    split: Split,
    stage: Stage = Stage.TEST,
    *,
    vectors: NDArray[np.float32] | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Evaluate a scorer in one pass.

    Args:
        scorer: it must know the history as of ``stage`` and nothing later.
        split: users, targets and training events.
        stage: validation or test.
        vectors: float32 ``[n_items, d]`` for the diversity of lists, such as text vectors; left out when None.
        cutoffs: of recall and NDCG.
        progress: told (users done, users).

    Raises:
        EvaluationInvalid: scores of the wrong shape, or NaN.
    """
    found = rank(scorer, split, stage, top=LIST_LENGTH, progress=progress)
    counts = np.bincount(split.data.items[split.train_events()], minlength=split.data.n_items)
    return Profile(
        accuracy(found.removed, cutoffs),
        accuracy(found.kept, cutoffs),
        _list_metrics(found.lists, split, stage, counts, vectors),
        _by_item(found.removed, counts[split.targets(stage)]),
        _by_user(found.removed, split, stage),
        found,
    )


def accuracy(ranks: Ranks, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """Means of recall@k, ndcg@k and mrr."""
    found: dict[str, float] = {}
    for k in cutoffs:
        found[f"recall@{k}"] = float(recall_at(ranks, k).mean())
        found[f"ndcg@{k}"] = float(ndcg_at(ranks, k).mean())
    found["mrr"] = float(reciprocal_rank(ranks).mean())
    return found


def _list_metrics(
    lists: NDArray[np.int64],
    split: Split,
    stage: Stage,
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32] | None,
) -> dict[str, float]:
    percentiles = popularity_percentiles(counts)
    histories = np.full(len(split.users(stage)), np.nan)
    for row, user in enumerate(split.users(stage).tolist()):
        items = split.data.items[split.history(user, stage)]
        if len(items):
            histories[row] = percentiles[items].mean()
    found = {
        "coverage@10": coverage(lists, split.data.n_items),
        "gini@10": gini(lists, split.data.n_items),
        "novelty@10": novelty(lists, counts),
        "popularity_lift@10": popularity_lift(lists, histories, counts),
    }
    if vectors is not None:
        found["diversity@10"] = diversity(lists, vectors)
    return found


def _by_item(ranks: Ranks, events: NDArray[np.int64]) -> dict[str, Group]:
    return {
        "no training event": _group(ranks, events == 0),
        f"1 to {RARE_EVENTS}": _group(ranks, (events > 0) & (events <= RARE_EVENTS)),
        "more": _group(ranks, events > RARE_EVENTS),
    }


def _by_user(ranks: Ranks, split: Split, stage: Stage) -> dict[str, Group]:
    spans = [split.history(user, stage) for user in split.users(stage).tolist()]
    lengths = np.array([span.stop - span.start for span in spans])
    return {
        "up to 3 events": _group(ranks, lengths <= 3),
        "4 to 10": _group(ranks, (lengths > 3) & (lengths <= 10)),
        "more": _group(ranks, lengths > 10),
    }


def _group(ranks: Ranks, members: NDArray[np.bool_]) -> Group:
    chosen = ranks[members]
    if not len(chosen):
        return Group(0, 0.0, 0.0)
    return Group(len(chosen), float(recall_at(chosen, 10).mean()), float(ndcg_at(chosen, 10).mean()))
