"""Scoring the whole catalog at once, for models whose items' scores are sums or dot products: no search, no beam.

Exact: what comes out are the best of all allowed items. A filter removes items from the answer but does not change the
probabilities of the others. Cost is one pass over the catalog: a fifth of a millisecond for 12,000 items of 64 numbers,
some tens for a million.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from device_runtime.beam import LEAST_BEAM, Found, best_of, checked
from device_runtime.catalog import Catalog
from device_runtime.encoder import Runner
from device_runtime.errors import ModelFailed
from device_runtime.row_filter import RowFilter
from device_runtime.sequence import ModelInputs
from device_runtime.steering import Steered

Floats = NDArray[np.float32]

#: Rows per call of a program's method `items`; part of the bundle format.
ITEMS_AT_ONCE = 256


class ItemVectors:
    """Keys of all catalog items (and vectors, when the model re-ranks), made by the model's method `items`.

    Attributes:
        keys: float32 [n, d], what a query is multiplied with.
        vectors: float32 [n, d], what the ranker reads; None when the model does not re-rank.
    """

    def __init__(self, session: Runner, catalog: Catalog, width: int, *, ranked: bool) -> None:
        """Run `items` over the whole catalog, a block of rows at a time.

        Raises:
            ModelFailed: the outputs have the wrong shape or are not finite.
        """
        outputs, at_once = 2 if ranked else 1, ITEMS_AT_ONCE
        tables = [np.empty((len(catalog), width), np.float32) for _ in range(outputs)]
        for start in range(0, len(catalog), at_once):
            rows = np.minimum(np.arange(start, start + at_once), len(catalog) - 1)  # the last one repeated
            found = session.run("items", catalog.codes_of(rows).astype(np.int64), catalog.features_of(rows))
            if len(found) != outputs:
                raise ModelFailed(f"items must return {outputs} tensors, it returned {len(found)}")
            for table, block in zip(tables, found, strict=True):
                part = table[start : start + at_once]
                part[:] = checked(block, (at_once, width))[: len(part)]
        self.keys: Floats = tables[0]
        self.vectors: Floats | None = tables[1] if ranked else None


def search_by_codes(
    encoded: tuple[NDArray[np.generic], ...],
    inputs: ModelInputs,
    catalog: Catalog,
    *,
    k: int,
    allowed: RowFilter | None = None,
) -> Found:
    """Find the `k` best items of a model that gives the log-probabilities of all codes at once.

    Args:
        encoded: of one history: log-probabilities [1, L, K].
        inputs: the history, for the catalog's neighbours.
        catalog: the items.
        k: how many.
        allowed: items that may be returned; all when None.

    Returns:
        Log-probabilities among all items of the catalog: the sums of their codes', normalised.

    Raises:
        ModelFailed: the model's outputs have the wrong shape or are not finite.
    """
    (table,) = _outputs(encoded, 1)
    table = checked(table, (1, catalog.levels, catalog.codebook_size))[0]
    scores = table[0][catalog.codes[:, 0]]
    for level in range(1, catalog.levels):
        scores = scores + table[level][catalog.codes[:, level]]
    return _best(normalised(scores + prior_of(inputs, catalog)), k, allowed)


def search_by_vectors(
    session: Runner,
    encoded: tuple[NDArray[np.generic], ...],
    inputs: ModelInputs,
    items: ItemVectors,
    catalog: Catalog,
    *,
    k: int,
    candidates: int,
    least: int = LEAST_BEAM,
    allowed: RowFilter | None = None,
    steered: Steered | None = None,
) -> Found:
    """Find the `k` best items by dot product, re-ranked when the model does so.

    Args:
        session: runs `rank(states [1, t, d], actions [1, t], vectors [1, c, d]) -> corrections [1, c]` when the model
            re-ranks.
        encoded: of one history: query [1, d], and states [1, t, d] when the model re-ranks, or what its adapters give:
            queries [1, H, d] and logits [1, C], as far as it has such.
        inputs: the history.
        items: of this model and catalog.
        catalog: the items.
        k: how many.
        candidates: C, how many are re-ranked; a model that does so gives no more items than that.
        least: candidates that `rank` must be given; C where the program's number is fixed.
        allowed: items that may be returned; all when None.
        steered: what the request wants of the adapters; None for a model without.

    Raises:
        ModelFailed: the model's outputs have the wrong shape or are not finite, or k > C though it re-ranks.
    """
    width = items.keys.shape[1]
    if steered is None:
        outputs = _outputs(encoded, 1 if items.vectors is None else 2)
        scores = items.keys @ checked(outputs[0], (1, width))[0]
    else:
        scores = composed(encoded, items.keys, catalog, steered)
    log_probs = normalised(scores + prior_of(inputs, catalog))
    if items.vectors is None:
        return _best(log_probs, k, allowed)
    if k > candidates:
        raise ModelFailed(f"k must be 1 to the model's {candidates} candidates, got {k}")
    found = _best(log_probs, candidates, allowed)
    if not len(found.rows):
        return found
    wide = np.resize(found.rows, max(least, len(found.rows)))  # too few are repeated
    states = checked(outputs[1], (1, inputs.actions.shape[1], width))
    (corrections,) = _outputs(session.run("rank", states, inputs.actions, items.vectors[wide][None]), 1)
    final = found.log_probs + checked(corrections, (1, len(wide)))[0][: len(found.rows)]
    # The ranker moves probability among the candidates; together they keep what retrieval gave them.
    final = normalised(final) + np.log(np.exp(found.log_probs).sum(dtype=np.float64)).astype(np.float32)
    order = np.lexsort((found.rows, -final))[:k]
    return Found(found.rows[order], final[order])


def composed(encoded: tuple[NDArray[np.generic], ...], keys: Floats, catalog: Catalog, steered: Steered) -> Floats:
    """Scores float32 [n] of all items: the main head's, and each adapter's times its weight.

    All queries meet the same keys, so their weighted sum is one query, and one pass over the catalog does for all.

    Raises:
        ModelFailed: the outputs are not those of the model's adapters.
    """
    heads, categories, width = len(steered.queries), len(steered.sliders), keys.shape[1]
    outputs = iter(_outputs(encoded, 1 + (heads > 0) + (categories > 0)))
    query = checked(next(outputs), (1, width))[0]
    if heads:
        query = query + steered.queries @ checked(next(outputs), (1, heads, width))[0]
    scores: Floats = keys @ query
    if categories:
        assert catalog.categories is not None
        logits = checked(next(outputs), (1, categories))[0]
        scores = scores + catalog.categories.sums(np.float32(steered.taxonomy) * logits + steered.sliders)
    return scores


def prior_of(inputs: ModelInputs, catalog: Catalog) -> Floats | np.float32:
    """What the catalog's neighbours add to every item's score for one history: float32 [n], or 0 without any."""
    if catalog.neighbours is None:
        return np.float32(0.0)
    found: Floats = catalog.neighbours.prior(catalog.rows_of(inputs.codes[0])[None])[0]
    return found


def normalised(scores: Floats) -> Floats:
    """Return log-softmax of `scores` [n]."""
    shifted = scores - scores.max()
    result: Floats = shifted - np.log(np.exp(shifted).sum(dtype=np.float64)).astype(np.float32)
    return result


def _best(log_probs: Floats, k: int, allowed: RowFilter | None) -> Found:
    """The `k` best allowed rows, equal ones by row."""
    if k < 1:
        raise ModelFailed(f"k must be at least 1, got {k}")
    rows = best_of(log_probs, np.arange(len(log_probs)) if allowed is None else allowed.rows(), k)
    order = np.lexsort((rows, -log_probs[rows]))
    return Found(rows[order], log_probs[rows][order])


def _outputs(found: tuple[NDArray[np.generic], ...], count: int) -> tuple[NDArray[np.generic], ...]:
    if len(found) != count:
        raise ModelFailed(f"the method must return {count} tensors, it returned {len(found)}")
    return found
