"""Ways to learn codebooks, under one face and by name.

Whatever the way, what is learnt has one form: an encoder into a latent space, codebooks whose chosen rows add up to a
point of that space, and a decoder back. Residual codebooks refine one another; unordered ones have rows that are zero
outside a block of their own, so that choosing the nearest row level by level chooses in every block by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from server_training.items.layers import Layers, Vectors

Quantiser = Literal["residual-kmeans", "balanced-kmeans", "rq-vae", "fsq", "parallel"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a quantiser may learn.

    Attributes:
        iterations: of Lloyd's algorithm per codebook, at most.
        steps: of the optimiser, for those learnt by gradient.
    """

    iterations: int = 25
    steps: int = 2000


@dataclass(frozen=True, slots=True)
class Learnt:
    """Codebooks and the way to their space.

    Attributes:
        codebooks: float32 [L, K, d]; K at most what was asked for.
        encoder: vectors to latent vectors of width d.
        decoder: latent vectors to vectors.
        assigned: uint16 [n, L], the codes of the vectors learnt from, where they are not simply the nearest.
    """

    codebooks: Vectors
    encoder: Layers = field(default_factory=Layers)
    decoder: Layers = field(default_factory=Layers)
    assigned: NDArray[np.uint16] | None = None


class LearnCodebooks(Protocol):
    """One way to learn codebooks."""

    def __call__(self, vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
        """Learn at most `size` codes for each of `levels` from vectors float32 [n, m]."""
        ...


def learner(name: Quantiser) -> LearnCodebooks:
    """The way of that name; those in torch are imported only when asked for."""
    return _WAYS[name]()


def _residual() -> LearnCodebooks:
    from server_training.items.residual import residual_kmeans

    return residual_kmeans


def _balanced() -> LearnCodebooks:
    from server_training.items.residual import balanced_kmeans

    return balanced_kmeans


def _rq_vae() -> LearnCodebooks:
    from server_training.items.rq_vae import rq_vae

    return rq_vae


def _fsq() -> LearnCodebooks:
    from server_training.items.fsq import fsq

    return fsq


def _parallel() -> LearnCodebooks:
    from server_training.items.parallel import parallel_codebooks

    return parallel_codebooks


_WAYS: dict[Quantiser, Callable[[], LearnCodebooks]] = {
    "residual-kmeans": _residual,
    "balanced-kmeans": _balanced,
    "rq-vae": _rq_vae,
    "fsq": _fsq,
    "parallel": _parallel,
}
