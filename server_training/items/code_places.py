"""Giving every item codes of its own: what residual quantisation leaves undecided.

Residual quantisation sends like items to the same codes. Here the first L - 1 codes, the prefix, stay as
quantised while there is room, and the last code is dealt out inside each prefix so that no two items share
it, at the least total squared distance. A prefix has room for K items; those that do not fit go to the
nearest prefix with room, nearest depth first: the last prefix code is changed before an earlier one. Knows
nothing of how codebooks are learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from server_training.errors import TokenizerError
from server_training.items.kmeans import Vectors, nearest, squared_distances

Codes = NDArray[np.uint16]
Prefix = tuple[int, ...]


def quantise(vectors: Vectors, codebooks: Vectors) -> Codes:
    """Codes uint16 ``[n, L]``, level by level the nearest centre to what is left; not unique.

    Args:
        vectors: float32 ``[n, d]``.
        codebooks: float32 ``[L, K, d]``.
    """
    left = vectors
    codes = np.empty((len(vectors), len(codebooks)), np.uint16)
    for level, centres in enumerate(codebooks):
        found, _ = nearest(left, centres)
        codes[:, level] = found
        left = left - centres[found]
    return codes


def unique_codes(vectors: Vectors, codebooks: Vectors, wanted: Codes | None = None) -> tuple[Codes, int]:
    """Distinct codes uint16 ``[n, L]`` for all vectors, and how many of them left their own prefix.

    Args:
        vectors: float32 ``[n, d]``.
        codebooks: float32 ``[L, K, d]``.
        wanted: codes to start from, uint16 ``[n, L]``; as quantised when None.

    Raises:
        TokenizerError: more vectors than there are codes.
    """
    levels, size = codebooks.shape[:2]
    _check_room(len(vectors), 0, size, levels)
    codes = quantise(vectors, codebooks) if wanted is None else wanted.copy()
    members: dict[Prefix, list[int]] = {}
    for item, prefix in enumerate(map(tuple, codes[:, :-1].tolist())):
        members.setdefault(prefix, []).append(item)
    outside = _trim(members, vectors, codebooks)
    for item in outside:
        prefix = next(p for p in nearest_prefixes(vectors[item], codebooks[:-1]) if len(members.get(p, ())) < size)
        members.setdefault(prefix, []).append(item)
    for prefix, items in members.items():
        codes[items, :-1] = prefix
        codes[items, -1] = _deal(vectors[items] - _centre(prefix, codebooks), codebooks[-1])
    return codes, len(outside)


def free_codes(vectors: Vectors, codebooks: Vectors, taken: Codes) -> Codes:
    """Distinct codes uint16 ``[n, L]`` outside ``taken``, each vector in turn at its nearest free place.

    Raises:
        TokenizerError: fewer free codes than vectors.
    """
    levels, size = codebooks.shape[:2]
    _check_room(len(vectors), len(taken), size, levels)
    used: dict[Prefix, set[int]] = {}
    for *prefix, last in taken.tolist():
        used.setdefault(tuple(prefix), set()).add(last)
    codes = np.empty((len(vectors), levels), np.uint16)
    for row, vector in enumerate(vectors):
        prefix = next(p for p in nearest_prefixes(vector, codebooks[:-1]) if len(used.get(p, ())) < size)
        here = used.setdefault(prefix, set())
        distance = squared_distances((vector - _centre(prefix, codebooks))[None], codebooks[-1])[0]
        distance[list(here)] = np.inf
        last = int(distance.argmin())
        here.add(last)
        codes[row] = (*prefix, last)
    return codes


def nearest_prefixes(vector: Vectors, codebooks: Vectors) -> Iterator[Prefix]:
    """All prefixes over ``codebooks`` ``[l, K, d]``, depth first, at each level the nearest code first."""
    if not len(codebooks):
        yield ()
        return
    for code in np.argsort(squared_distances(vector[None], codebooks[0])[0], kind="stable"):
        for rest in nearest_prefixes(vector - codebooks[0][code], codebooks[1:]):
            yield (int(code), *rest)


def _check_room(wanted: int, taken: int, size: int, levels: int) -> None:
    if wanted + taken > size**levels:
        raise TokenizerError(
            f"expected at most {size}^{levels} = {size**levels} items, got {wanted + taken}; "
            "raise the codebook size or the number of levels"
        )


def _trim(members: dict[Prefix, list[int]], vectors: Vectors, codebooks: Vectors) -> list[int]:
    """Cut every prefix down to the K items nearest to it; return the others in item order."""
    size = codebooks.shape[1]
    outside: list[int] = []
    for prefix, items in members.items():
        if len(items) > size:
            left = vectors[items] - _centre(prefix, codebooks)
            order = np.argsort(np.einsum("nd,nd->n", left, left), kind="stable")
            members[prefix] = sorted(items[place] for place in order[:size])
            outside += [items[place] for place in order[size:]]
    return sorted(outside)


def _centre(prefix: Sequence[int], codebooks: Vectors) -> Vectors:
    total = np.zeros(codebooks.shape[2], np.float32)
    for level, code in enumerate(prefix):
        total += codebooks[level, code]
    return total


def _deal(left: Vectors, centres: Vectors) -> NDArray[np.int64]:
    """A last code for each of the at most K members of one prefix, all different."""
    cost = squared_distances(left, centres)
    wish: NDArray[np.int64] = cost.argmin(axis=1)
    if len(np.unique(wish)) == len(wish):
        return wish
    dealt: NDArray[np.int64] = linear_sum_assignment(cost)[1]
    return dealt
