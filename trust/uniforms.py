"""Random numbers by place instead of by order: number c of stream s is the same whoever asks for it, and when.

A stored walk is redrawn in parts and in any order; with one draw per (stream, cell) the vectorised and the compiled
kernels see the same numbers. SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) with a stream's key as its state.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trust.rows import Floats, Ints

_MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST_FACTOR = 0xBF58476D1CE4E5B9
SECOND_FACTOR = 0x94D049BB133111EB
UNIT = 2.0**-53


def stream_key(seed: int, stream: int) -> np.uint64:
    """Return the state of one stream of a seed; both may be any integers."""
    return np.uint64(_mixed(_start(seed) + GOLDEN * (stream + 1)))


@lru_cache(maxsize=256)
def _start(seed: int) -> int:
    return _mixed(seed)


def seeded(seed: int) -> np.random.Generator:
    """Return numpy's generator for any integer; its own seeds must not be negative."""
    return np.random.default_rng(seed & _MASK)


def _mixed(state: int) -> int:
    state &= _MASK
    state = ((state ^ (state >> 30)) * FIRST_FACTOR) & _MASK
    state = ((state ^ (state >> 27)) * SECOND_FACTOR) & _MASK
    return state ^ (state >> 31)


def uniforms(key: np.uint64, places: Ints) -> Floats:
    """float64 [places] in [0, 1): numbers `places` (zero or more) of the stream `key`."""
    state: npt.NDArray[np.uint64] = places.astype(np.uint64)
    state += np.uint64(1)
    state *= np.uint64(GOLDEN)
    state += key
    state ^= state >> np.uint64(30)
    state *= np.uint64(FIRST_FACTOR)
    state ^= state >> np.uint64(27)
    state *= np.uint64(SECOND_FACTOR)
    state ^= state >> np.uint64(31)
    drawn: Floats = (state >> np.uint64(11)).astype(np.float64) * UNIT
    return drawn
