"""Constrained beam search: from a history to catalog items, level by level, never an invalid or doubled item.

The probability of a code is normalised over the codes that the catalog allows after the prefix; a filter (seen,
blocked) removes items from the search but does not change the probabilities of the others. Expansion is one numpy
pass over beam × codebook; there is no Python loop over hypotheses or items.

A beam of width B returns the true best k whenever no prefix of theirs falls out of the B best prefixes. It returns k
items whenever k are allowed and k <= B: every prefix kept leads to an allowed item, so a full beam leads to B of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import Catalog
from device_runtime.encoder import Runner
from device_runtime.errors import ModelFailed
from device_runtime.row_filter import RowFilter

Floats = NDArray[np.float32]
LEAST_BEAM = 2  # hypotheses that a decode step of varying width must be given


@dataclass(frozen=True, slots=True)
class Found:
    """Items found, the most probable first; equal ones by row.

    Attributes:
        rows: int64 [m], catalog rows, distinct, m <= k.
        log_probs: float32 [m], natural logarithms.
    """

    rows: NDArray[np.int64]
    log_probs: Floats


def beam_search(
    session: Runner,
    encoded: tuple[NDArray[np.generic], ...],
    catalog: Catalog,
    *,
    k: int,
    beam_width: int,
    least_width: int = LEAST_BEAM,
    allowed: RowFilter | None = None,
) -> Found:
    """Find the `k` most probable items among those allowed.

    Args:
        session: runs `decode_l(state [b, d], prefix [b, l]) -> logits [b, K]` for each level l >= 1.
        encoded: of one history: state [1, d] and logits [1, K] of the first code.
        catalog: the items.
        k: how many, at most `beam_width`.
        beam_width: B, hypotheses kept at every level.
        least_width: hypotheses that a decode step must be given, fewer are padded; B where the program's is fixed.
        allowed: items that may be returned; all when None.

    Raises:
        ModelFailed: the model's outputs have the wrong shape or are not finite, or k > beam_width.
    """
    if not 1 <= k <= beam_width:
        raise ModelFailed(f"k must be 1 to the model's beam width {beam_width}, got {k}")
    state, logits = _two(encoded)
    size, width = catalog.codebook_size, state.shape[-1]
    prefixes = np.zeros((1, 0), dtype=np.int64)
    scores: Floats = np.zeros(1, dtype=np.float32)
    first = checked(state, (1, width))
    for level in range(catalog.levels):
        if level:
            given = _padded(prefixes, least_width)
            (logits,) = session.run(f"decode_{level}", np.repeat(first, len(given), axis=0), given)
            logits = logits[: len(prefixes)]
        borders = catalog.next_borders(prefixes)
        steps = _log_probs(checked(logits, (len(prefixes), size)), np.diff(borders, axis=1) > 0)
        total = (scores[:, None] + steps).ravel()
        counts = borders if allowed is None else allowed.rank(borders)
        best = _best(total, np.diff(counts, axis=1).ravel() > 0, beam_width)
        prefixes = np.concatenate([prefixes[best // size], (best % size)[:, None]], axis=1)
        scores = total[best]
    rows, _ = catalog.ranges(prefixes)
    order = np.argsort(-scores, kind="stable")[:k]  # prefixes are sorted, so ties stay in row order
    return Found(rows[order], scores[order])


def _best(total: Floats, possible: NDArray[np.bool_], beam_width: int) -> NDArray[np.int64]:
    """Return the flat indices of the best possible hypotheses, at most `beam_width`, ascending.

    Ascending keeps the prefixes in catalog order at every level, so equal scores are resolved by row.
    """
    return np.sort(best_of(total, np.flatnonzero(possible), beam_width))


def best_of(scores: Floats, candidates: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the `k` candidates of the highest scores, of equal ones the first, in no order.

    Args:
        scores: [n].
        candidates: indices into them, ascending.
        k: how many.
    """
    if len(candidates) <= k:
        return candidates
    values = scores[candidates]
    floor = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > floor)
    level = np.flatnonzero(values == floor)[: k - len(above)]
    best: NDArray[np.int64] = candidates[np.concatenate([above, level])]
    return best


def _two(outputs: tuple[NDArray[np.generic], ...]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    if len(outputs) != 2:
        raise ModelFailed(f"encode must return a state and logits, it returned {len(outputs)} tensors")
    return outputs[0], outputs[1]


def _log_probs(logits: Floats, allowed: NDArray[np.bool_]) -> Floats:
    masked = np.where(allowed, logits, -np.inf)
    with np.errstate(over="ignore"):  # logits may lie further apart than a float32 reaches: probability zero
        shifted = masked - masked.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _padded(prefixes: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    if len(prefixes) >= least:
        return np.ascontiguousarray(prefixes)
    return np.concatenate([prefixes, np.zeros((least - len(prefixes), prefixes.shape[1]), dtype=np.int64)])


def checked(numbers: NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    """Return a model's output, or raise `ModelFailed` where it is not finite float32 of that shape."""
    if numbers.shape != shape or numbers.dtype != np.float32:
        raise ModelFailed(f"the model answered {numbers.dtype} {numbers.shape} where float32 {shape} was expected")
    result = numbers.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        raise ModelFailed("the model answered numbers that are not finite; the bundle is unusable, go back to the last")
    return result
