"""A list in which items that are alike do not crowd together: greedy maximum of a determinantal point process.

After Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process" (NeurIPS 2018): an item's
quality times its distance to what was chosen before it, found by an incremental Cholesky factorisation in O(n·k²) for k
of n. Only orders what it is given: nothing enters a list here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdk.blending import Blended
from sdk.errors import InvalidInput

_GONE = -np.inf
_STEEPEST = 1e9
_ALIKE = 1e-10  # squared distance below which an item adds nothing to what was chosen


def diversify(ranked: Sequence[Blended], vectors: NDArray[np.float32], k: int, strength: float) -> list[Blended]:
    """Choose `k` items one after another, each the best by score and distance to those before it.

    The kernel is q_i·q_j·S_ij with S_ij = exp(−‖u_i − u_j‖²), u being the vectors at unit length, and log q_i² =
    2·(1 − strength)/strength · r_i, where r_i falls evenly with rank from 1 for the best item to 0 for the last. Greedy
    choice of the largest log q_i² + log d_i², d_i being the distance to the span of those chosen. Copies of chosen
    items add nothing and come after the others, in order of rank. The best item always stays first.

    Args:
        ranked: the best first.
        vectors: float32 [len(ranked), d], their vectors, of any length; one of zeros is like no other.
        k: how many to choose.
        strength: 0 leaves the order alone, 1 looks at distances only (after the first item).

    Raises:
        InvalidInput: shapes do not fit, vectors are not finite, k is below 1, or strength is not within 0..1.
    """
    if not 0.0 <= strength <= 1.0:
        raise InvalidInput(f"diversity must be within 0 and 1, got {strength!r}")
    if k < 1:
        raise InvalidInput(f"k must be at least 1, got {k!r}")
    if vectors.ndim != 2 or len(vectors) != len(ranked) or not np.isfinite(vectors).all():
        raise InvalidInput(f"expected finite vectors [{len(ranked)}, d], one per item, got {vectors.shape}")
    if strength == 0.0 or len(ranked) <= 1:
        return list(ranked[:k])
    rank = np.linspace(1.0, 0.0, len(ranked))
    quality = min(2.0 * (1.0 - strength) / strength, _STEEPEST) * rank
    return [ranked[place] for place in _greedy(quality, _similarity(vectors), min(k, len(ranked)))]


def _similarity(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Gaussian kernel of the directions [n, n]: positive definite for distinct ones, 1 for equal ones."""
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = exact / np.where(lengths > 0, lengths, 1.0)
    known = lengths[:, 0] > 0
    similar: NDArray[np.float64] = np.exp(2.0 * np.minimum(unit @ unit.T - 1.0, 0.0)) * np.outer(known, known)
    np.fill_diagonal(similar, 1.0)
    return similar


def _greedy(quality: NDArray[np.float64], similar: NDArray[np.float64], k: int) -> list[int]:
    """Places in order of choice.

    Args:
        quality: [n], log q².
        similar: [n, n], ones on the diagonal.
        k: at most n.
    """
    n = len(quality)
    factors = np.zeros((k, n))
    left = np.ones(n)  # squared distance to the span of what was chosen, per unit of quality
    open_ = np.ones(n, bool)
    chosen: list[int] = []
    best = 0
    while True:
        chosen.append(best)
        open_[best] = False
        if len(chosen) == k:
            return chosen
        row = len(chosen) - 1
        if left[best] > _ALIKE:
            factors[row] = (similar[best] - factors[:row, best] @ factors[:row]) / np.sqrt(left[best])
            left = left - factors[row] ** 2
        adds = open_ & (left > _ALIKE)
        gain = np.where(adds, quality + np.log(np.maximum(left, _ALIKE)), _GONE)
        best = int(gain.argmax()) if adds.any() else int(open_.argmax())
