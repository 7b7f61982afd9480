"""Constrained beam search: from a history to catalog items, level by level, never an invalid or doubled item.

The probability of a code is normalised over the codes that the catalog allows after the prefix; a filter (seen,
blocked) removes items from the search but does not change the probabilities of the others. Expansion is one numpy
pass over beam × codebook; there is no Python loop over hypotheses or items.

A beam of width B returns the true best k whenever no prefix of theirs falls out of the B best prefixes. It returns k
items whenever k are allowed and k <= B: every prefix kept leads to an allowed item, so a full beam leads to B of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import Catalog
from device_runtime.errors import ModelFailed
from device_runtime.sequence import ModelInputs

Floats = NDArray[np.float32]


class Runner(Protocol):
    """What the search needs of a session."""

    def run(self, method: str, *inputs: NDArray[np.generic]) -> tuple[NDArray[np.generic], ...]:
        """Run a method of the model."""
        ...


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
    inputs: ModelInputs,
    catalog: Catalog,
    *,
    k: int,
    beam_width: int,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """Find the `k` most probable items among those allowed.

    Args:
        session: runs `encode(codes, features, actions, gaps, ages) -> (state [1, d], logits [1, K])` and, for
            each level l >= 1,
            `decode_l(state [B, d], prefix [B, l]) -> logits [B, K]` with B = `beam_width`.
        inputs: one history (N = 1).
        catalog: the items.
        k: how many, at most `beam_width`.
        beam_width: B, fixed when the program was exported.
        allowed: bool [n], items that may be returned; all when None.

    Raises:
        ModelFailed: the model's outputs have the wrong shape or are not finite, or k > beam_width.
    """
    if not 1 <= k <= beam_width:
        raise ModelFailed(f"k must be 1 to the model's beam width {beam_width}, got {k}")
    running = _running_count(allowed, len(catalog))
    state, logits = _two(session.run("encode", *inputs.arrays()))
    size = catalog.codebook_size
    prefixes = np.zeros((1, 0), dtype=np.int64)
    scores: Floats = np.zeros(1, dtype=np.float32)
    wide = np.repeat(checked(state, (1, state.shape[-1])), beam_width, axis=0)
    for level in range(catalog.levels):
        if level:
            (logits,) = session.run(f"decode_{level}", wide, _padded(prefixes, beam_width))
            logits = logits[: len(prefixes)]
        borders = catalog.next_borders(prefixes)
        steps = _log_probs(checked(logits, (len(prefixes), size)), np.diff(borders, axis=1) > 0)
        total = (scores[:, None] + steps).ravel()
        best = _best(total, np.diff(running[borders], axis=1).ravel() > 0, beam_width)
        prefixes = np.concatenate([prefixes[best // size], (best % size)[:, None]], axis=1)
        scores = total[best]
    rows, _ = catalog.ranges(prefixes)
    order = np.argsort(-scores, kind="stable")[:k]  # prefixes are sorted, so ties stay in row order
    return Found(rows[order], scores[order])


def _running_count(allowed: NDArray[np.bool_] | None, items: int) -> NDArray[np.int64]:
    """Return int64 [n + 1]: how many of the first rows are allowed, so that a range's count is a difference."""
    if allowed is None:
        return np.arange(items + 1)
    if allowed.shape != (items,) or allowed.dtype != np.bool_:
        raise ModelFailed(f"allowed must be bool [{items}], one per catalog row, got {allowed.dtype} {allowed.shape}")
    return np.concatenate([[0], np.cumsum(allowed, dtype=np.int64)])


def _best(total: Floats, possible: NDArray[np.bool_], beam_width: int) -> NDArray[np.int64]:
    """Return the flat indices of the best possible hypotheses, at most `beam_width`, ascending.

    Ascending keeps the prefixes in catalog order at every level, so equal scores are resolved by row.
    """
    candidates = np.flatnonzero(possible)
    return np.sort(candidates[np.argsort(-total[candidates], kind="stable")[:beam_width]])


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


def _padded(prefixes: NDArray[np.int64], beam_width: int) -> NDArray[np.int64]:
    if len(prefixes) == beam_width:
        return np.ascontiguousarray(prefixes)
    return np.concatenate([prefixes, np.zeros((beam_width - len(prefixes), prefixes.shape[1]), dtype=np.int64)])


def checked(numbers: NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    """Return a model's output, or raise `ModelFailed` where it is not finite float32 of that shape."""
    if numbers.shape != shape or numbers.dtype != np.float32:
        raise ModelFailed(f"the model answered {numbers.dtype} {numbers.shape} where float32 {shape} was expected")
    result = numbers.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        raise ModelFailed("the model answered numbers that are not finite; the bundle is unusable, go back to the last")
    return result
