"""Evaluation by one fixed rule: full ranking over the whole catalog, never sampled negatives.

A result says on which data (hash), by which split, with or without seen items, and how ties were broken: two
results are comparable when those agree. Sampled metrics are not offered; they can reverse the order of two
models (Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020). Knows nothing of how
scores are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server_training.data.split import Split, Stage
from server_training.errors import EvaluationInvalid
from server_training.evaluation.metrics import (
    Ranks,
    ndcg_at,
    ranks_from_lists,
    ranks_from_scores,
    recall_at,
    reciprocal_rank,
)

SCORED_TIES = "pessimistic: items that tie with the target stand before it"
_LISTED_TIES = "as listed"
SEEN_REMOVED = "items of the user's history are removed; a target that is among them is a miss"
SEEN_KEPT = "items of the user's history are kept"
_RESAMPLES = 1000


class Scorer(Protocol):
    """Anything that scores the whole catalog for some users, from their history before the target."""

    def score(self, user_indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores float32 ``[B, n_items]``, higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class EvalResult:
    """Metrics, and all one must know to compare them.

    Attributes:
        metrics: mean over users, e.g. ``recall@10``, ``ndcg@10``, ``mrr``.
        intervals: 95% bootstrap interval over users per metric; empty when none was asked for.
        data_sha256: :attr:`SequenceData.sha256`.
        stage: which held-out event was the target.
        split_rule: how events were divided.
        seen_rule: whether items of the history are in the ranking.
        tie_rule: how ties in score count.
        n_users: users evaluated.
        n_items: items in the catalog, all of them ranked.
        repeated_targets: users whose target is in their own history.
        tied_targets: users whose test event shares its second with the one before.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    data_sha256: str
    stage: str
    split_rule: str
    seen_rule: str
    tie_rule: str
    n_users: int
    n_items: int
    repeated_targets: int
    tied_targets: int

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def evaluate_scores(
    scorer: Scorer,
    split: Split,
    ks: Sequence[int] = (10,),
    seen_removed: bool = True,
    stage: Stage = Stage.TEST,
    *,
    batch_size: int = 256,
    rng: np.random.Generator | None = None,
) -> EvalResult:
    """Rank the whole catalog for every evaluated user.

    Args:
        scorer: scores every catalog item; it must know the history as of ``stage`` and nothing later.
        split: users and targets.
        ks: cut-offs of recall and NDCG.
        seen_removed: whether items of the user's history are taken out of the ranking.
        stage: validation or test.
        batch_size: users scored at once.
        rng: adds bootstrap intervals when given.

    Raises:
        EvaluationInvalid: scores of the wrong shape, NaN, or a cut-off below 1.
    """
    _check_cutoffs(ks)
    targets = split.targets(stage)
    ranks = np.empty(len(targets), np.int64)
    for start in range(0, len(targets), batch_size):
        users = split.users(stage)[start : start + batch_size]
        scores = np.array(scorer.score(users), copy=True)
        if scores.shape != (len(users), split.data.n_items):
            wanted = (len(users), split.data.n_items)
            raise EvaluationInvalid(f"expected scores of shape {wanted}, got {scores.shape}")
        if seen_removed:
            for row, seen in enumerate(_histories(split, users, stage)):
                scores[row, seen] = -np.inf
        ranks[start : start + batch_size] = ranks_from_scores(scores, targets[start : start + batch_size])
    return _result(ranks, split, ks, stage, seen_removed, SCORED_TIES, rng, with_mrr=True)


def evaluate_topk(
    lists: NDArray[np.integer],
    split: Split,
    ks: Sequence[int] = (10,),
    seen_removed: bool = True,
    stage: Stage = Stage.TEST,
    *,
    rng: np.random.Generator | None = None,
) -> EvalResult:
    """Evaluate lists that a recommender ranked itself, such as a beam search over semantic IDs.

    Args:
        lists: int ``[E, k]``, item indices, best first, -1 after the end of a short list; rows as
            ``split.users(stage)``.
        split: users and targets.
        ks: cut-offs, none above the width of the lists.
        seen_removed: the rule the lists were made by; lists that break it are refused.
        stage: validation or test.
        rng: adds bootstrap intervals when given.

    Raises:
        EvaluationInvalid: wrong shape, items outside the catalog or doubled, seen items in the lists though
            they are said to be removed, or a cut-off the lists are too short for.
    """
    _check_cutoffs(ks)
    if lists.ndim != 2 or len(lists) != len(split.users(stage)) or lists.shape[1] < max(ks):
        wanted = f"[{len(split.users(stage))}, >= {max(ks)}]"
        raise EvaluationInvalid(f"expected lists {wanted}, one row per evaluated user, got {lists.shape}")
    if lists.min() < -1 or lists.max() >= split.data.n_items:
        raise EvaluationInvalid(f"expected items in 0..{split.data.n_items - 1} or -1 in the lists")
    if seen_removed:
        for row, seen in enumerate(_histories(split, split.users(stage), stage)):
            if np.isin(lists[row], seen).any():
                user = split.data.users[split.users(stage)[row]]
                raise EvaluationInvalid(
                    f"the list of user {user!r} holds seen items, though they are said to be removed"
                )
    ranks = ranks_from_lists(lists, split.targets(stage))
    return _result(ranks, split, ks, stage, seen_removed, _LISTED_TIES, rng, with_mrr=False)


def _check_cutoffs(ks: Sequence[int]) -> None:
    if not ks or min(ks) < 1:
        raise EvaluationInvalid(f"expected cut-offs of at least 1, got {list(ks)}")


def _histories(split: Split, users: NDArray[np.int64], stage: Stage) -> Iterator[NDArray[np.int32]]:
    for user in users:
        yield split.data.items[split.history(int(user), stage)]


def _result(
    ranks: Ranks,
    split: Split,
    ks: Sequence[int],
    stage: Stage,
    seen_removed: bool,
    tie_rule: str,
    rng: np.random.Generator | None,
    *,
    with_mrr: bool,
) -> EvalResult:
    """Average over users. MRR needs the rank of every target, which a list cut at k does not give."""
    gains = {f"{name}@{k}": gain(ranks, k) for k in ks for name, gain in _GAINS.items()}
    if with_mrr:
        gains["mrr"] = reciprocal_rank(ranks)
    targets = split.targets(stage)
    repeated = sum(
        int(target in seen) for target, seen in zip(targets, _histories(split, split.users(stage), stage), strict=True)
    )
    return EvalResult(
        metrics={name: float(values.mean()) for name, values in gains.items()},
        intervals={} if rng is None else _intervals(gains, len(ranks), rng),
        data_sha256=split.data.sha256,
        stage=stage.value,
        split_rule=split.rule,
        seen_rule=SEEN_REMOVED if seen_removed else SEEN_KEPT,
        tie_rule=tie_rule,
        n_users=len(ranks),
        n_items=split.data.n_items,
        repeated_targets=repeated,
        tied_targets=split.tied_targets,
    )


_GAINS = {"recall": recall_at, "ndcg": ndcg_at}


def _intervals(
    gains: dict[str, NDArray[np.float64]], n: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals; all metrics see the same resampled users."""
    draws = [rng.integers(n, size=n) for _ in range(_RESAMPLES)]
    found: dict[str, tuple[float, float]] = {}
    for name, values in gains.items():
        low, high = np.quantile([values[draw].mean() for draw in draws], [0.025, 0.975])
        found[name] = (float(low), float(high))
    return found
