"""Graphs and clocks for the trust benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trust import GraphLimits, TrustGraph, from_arrays

OUT_DEGREE = 10
LIMITS = GraphLimits(authors=200_000, trust_edges=96, item_edges=96)
Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MadeGraph:
    """Trust and item edges whose targets' popularity follows a power law (Zipf, exponent 0.7)."""

    peers: list[str]
    items: list[str]
    author: Array
    friend: Array
    weight: npt.NDArray[np.float64]
    fan: Array
    item: Array

    def load(self) -> TrustGraph:
        """Load it in bulk."""
        ones = np.ones(len(self.fan))
        trust, likes = (self.author, self.friend, self.weight), (self.fan, self.item, ones)
        return from_arrays(self.peers, trust, self.items, likes, limits=LIMITS, pinned=["p0"])

    @property
    def busiest(self) -> str:
        """The author with the most edges: the ego, the worst case for an edit."""
        return self.peers[int(np.bincount(self.author).argmax())]


def made_graph(edges: int, seed: int = 0) -> MadeGraph:
    """Make a graph of about so many trust edges and as many item edges."""
    rng = np.random.default_rng(seed)
    n = edges // OUT_DEGREE
    popularity = np.cumsum(np.arange(1, n + 1) ** -0.7)

    def drawn(count: int) -> Array:
        return np.asarray(np.searchsorted(popularity, rng.random(count) * popularity[-1]), dtype=np.int64)

    author = np.repeat(np.arange(n), OUT_DEGREE)
    pairs = np.unique(author * n + drawn(len(author)))
    pairs = pairs[pairs // n != pairs % n]
    likes = np.unique(np.repeat(np.arange(n), OUT_DEGREE) * n + drawn(n * OUT_DEGREE))
    return MadeGraph(
        [f"p{i}" for i in range(n)],
        [f"i{i}" for i in range(n)],
        pairs // n,
        pairs % n,
        rng.uniform(0.5, 2.0, len(pairs)),
        likes // n,
        likes % n,
    )


def median_ms(call: Callable[[], object], repeats: int = 9) -> float:
    """Return the median time of a call in milliseconds, after one that is not counted."""
    call()
    return statistics.median(timed_ms(call) for _ in range(repeats))


def timed_ms(call: Callable[[], object]) -> float:
    """Return the time of one call in milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3
