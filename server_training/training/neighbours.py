"""The neighbours a catalog carries: found from training events, their weight chosen on validation events.

EASE where its dense inverse is quick, item-kNN for larger catalogs; the strongest few of each item. A sequence model of
a megabyte and a list of neighbours err differently, so their sum is better than either; how much the list counts is
measured, and where it does not help it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from device_runtime import Catalog, Neighbours
from server_training.data.split import Split, Stage
from server_training.evaluation.baselines import ItemKnn
from server_training.evaluation.factor_models import Ease
from server_training.evaluation.metrics import ndcg_at, ranks_from_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.models.recommender import GenerativeRecommender
from server_training.training.windows import catalog_rows

HALF_LIFE = 2.0
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
#: Strengths are shares of one; this many fold they make log(1 + s) tell neighbours from strangers.
_CONTRAST = 1000.0
_LARGEST = 15_000  # items: EASE inverts a matrix of their square, while other processes of the run wait
_RESEMBLED = 100
_BATCH = 256
_ROWS = 1024


def find_neighbours(split: Split, catalog: Catalog, count: int) -> Neighbours | None:
    """The `count` strongest neighbours of every item, with weight 1; None when no item has any.

    Args:
        split: training events.
        catalog: its rows are what neighbours name.
        count: N, at most the other items of the catalog.
    """
    n = split.data.n_items
    count = min(count, n - 1)
    if count < 1:
        return None
    items, strengths = _strongest(split, count)
    if not strengths.any():
        return None
    row_of_item = catalog_rows(split.data, catalog)
    rows, weights = np.empty_like(items), np.empty_like(strengths)
    rows[row_of_item], weights[row_of_item] = row_of_item[items], strengths
    return Neighbours.build(rows, weights * _CONTRAST, HALF_LIFE, 1.0)


def introduced(found: Neighbours, content: NDArray[np.floating], used: NDArray[np.bool_]) -> Neighbours:
    """Put items that nobody has used yet beside those that they resemble.

    No event leads to such an item, and the model alone ranks it somewhere below what it knows. It enters the list of
    each of the `_RESEMBLED` used items nearest to it by content, with the list's strongest weight times the cosine, in
    place of the weakest where that is weaker.

    Args:
        found: neighbours from events, in catalog order.
        content: float [n, m], in catalog order; items of zeros resemble nothing.
        used: bool [n], items with training events.
    """
    lengths = np.linalg.norm(content, axis=1, keepdims=True)
    unit = content / np.where(lengths > 0, lengths, 1.0)
    known = np.flatnonzero(used)
    rows, weights = found.rows.copy(), found.weights.copy()
    for item in np.flatnonzero(~used & (lengths[:, 0] > 0)).tolist():
        cosines = unit[known] @ unit[item]
        nearest = np.argsort(-cosines, kind="stable")[:_RESEMBLED]
        for row, cosine in zip(known[nearest].tolist(), cosines[nearest].tolist(), strict=True):
            weight, weakest = int(cosine * int(weights[row].max())), int(weights[row].argmin())
            if weight > weights[row, weakest]:
                rows[row, weakest], weights[row, weakest] = item, weight
    return replace(found, rows=rows, weights=weights)


def _strongest(split: Split, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Neighbours [n, N] by item index and their strengths, 0 where an item has fewer."""
    n = split.data.n_items
    if n <= _LARGEST:
        table = Ease.fit(split).weights

        def block(rows: slice) -> NDArray[np.float32]:
            return table[rows]

    else:
        similar = ItemKnn.fit(split).similarity

        def block(rows: slice) -> NDArray[np.float32]:
            return np.asarray(similar[rows].toarray(), np.float32)

    items = np.empty((n, count), np.int64)
    strengths = np.empty((n, count), np.float32)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        part = np.maximum(block(rows), 0.0)
        best = np.argsort(-part, axis=1, kind="stable")[:, :count]
        items[rows], strengths[rows] = best, np.take_along_axis(part, best, axis=1)
    return items, strengths


def weighted(
    catalog: Catalog,
    model: GenerativeRecommender,
    split: Split,
    found: Neighbours,
    progress: Callable[[int, int], None] | None = None,
    weights: Sequence[float] = WEIGHTS,
) -> tuple[Catalog, float]:
    """Give the catalog the neighbours with the weight that is best on validation events, or none when none helps.

    Args:
        catalog: with the model's features, as the device will have it.
        model: trained.
        split: whose validation events decide.
        found: neighbours with weight 1.
        progress: told (users done, users).
        weights: tried.

    Returns:
        The catalog, and NDCG@10 on validation events.
    """
    scorer = ModelScorer(model, catalog.with_neighbours(None), split, Stage.VALID)
    targets, users = split.targets(Stage.VALID), split.users(Stage.VALID)
    totals = np.zeros(len(weights) + 1)
    for start in range(0, len(users), _BATCH):
        batch = users[start : start + _BATCH]
        scores, prior = scorer.score(batch), scorer.prior(batch, found)
        for place, weight in enumerate((0.0, *weights)):
            sums = scores + np.float32(weight) * prior
            for row, user in enumerate(batch.tolist()):
                sums[row, split.data.items[split.history(user, Stage.VALID)]] = -np.inf
            totals[place] += ndcg_at(ranks_from_scores(sums, targets[start : start + _BATCH]), 10).sum()
        if progress is not None:
            progress(min(start + _BATCH, len(users)), len(users))
    best = int(totals.argmax())
    reached = float(totals[best] / len(users))
    if best == 0:
        return catalog.with_neighbours(None), reached
    return catalog.with_neighbours(replace(found, weight=float(weights[best - 1]))), reached
