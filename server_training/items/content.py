"""Numbers of an item that come from its content alone: its text vector, reduced.

They stand beside the semantic ID in the catalog, so that a new item is described as finely as an old one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ContentProjection:
    """Principal components of content vectors, scaled so that the numbers of a catalog have variance 1 on average.

    Attributes:
        mean: float32 [m].
        components: float32 [m, size], scale included.
    """

    mean: Vectors
    components: Vectors

    @classmethod
    def fit(cls, vectors: Vectors, size: int) -> ContentProjection:
        """Fit on vectors float32 [n, m]; directions beyond what they span stay zero."""
        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        components = np.zeros((vectors.shape[1], size))
        kept = min(size, vectors.shape[1])
        components[:, :kept] = axes[:, ::-1][:, :kept]
        spread = (centred @ components[:, :kept]).std() if kept else 0.0
        scale = 1.0 / spread if spread > 1e-9 else 0.0
        return cls(mean.astype(np.float32), (components * scale).astype(np.float32))

    def apply(self, vectors: Vectors) -> Vectors:
        """Map vectors float32 [k, m] to content features float32 [k, size]."""
        return ((vectors - self.mean) @ self.components).astype(np.float32)
