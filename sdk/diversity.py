"""A ranking whose neighbours differ: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdk.blending import Blended


def diversify(ranked: Sequence[Blended], vectors: NDArray[np.float32], k: int, strength: float) -> list[Blended]:
    """Choose `k` items one after the other, each by its score and by how little it resembles those chosen.

    Scores are brought to 0..1 over the list; an item's worth is (1 − strength) × score − strength × the greatest
    cosine to an item chosen before.

    Args:
        ranked: best first.
        vectors: float32 [len(ranked), d]; a vector of zeros resembles nothing.
        k: how many.
        strength: 0 keeps the order, 1 looks at difference alone.
    """
    if not ranked or strength == 0:
        return list(ranked[:k])
    scores = np.array([b.score for b in ranked])
    relevance = (scores - scores.min()) / (float(np.ptp(scores)) or 1.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    nearest = np.full(len(ranked), -1.0)
    left = np.ones(len(ranked), bool)
    chosen: list[Blended] = []
    while len(chosen) < min(k, len(ranked)):
        worth = (1 - strength) * relevance - strength * np.maximum(nearest, 0)
        place = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(ranked[place])
        left[place] = False
        nearest = np.maximum(nearest, unit @ unit[place])
    return chosen
