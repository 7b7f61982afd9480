"""Unordered codebooks: each describes another part of the vector, none refines another.

Optimised product quantisation (Ge et al., CVPR 2013): a rotation shares the variance out evenly among blocks, k-means
runs in each block, and rotation and clusters are improved in turn. Tokens that do not depend on one another can be
predicted side by side (the unordered tokens of REG4Rec).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from server_training.items.kmeans import Vectors, kmeans, means, nearest
from server_training.items.layers import Layers
from server_training.items.quantisers import Effort, Learnt


def parallel_codebooks(vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
    """Codebooks over disjoint blocks of the rotated vector."""
    wide = np.pad(vectors, ((0, 0), (0, max(0, levels - vectors.shape[1]))))  # a block needs a number at least
    rng = np.random.default_rng(seed)
    mean = wide.mean(axis=0)
    centred = wide - mean
    blocks = _shared_out(centred, levels)
    rotation = np.concatenate(blocks, axis=1)
    bounds = np.cumsum([0, *(block.shape[1] for block in blocks)])
    parts = [slice(start, stop) for start, stop in pairwise(bounds)]
    turned = centred @ rotation
    books = [kmeans(turned[:, part], size, rng, effort.iterations) for part in parts]
    for _ in range(effort.iterations):
        owners = [nearest(turned[:, part], book)[0] for part, book in zip(parts, books, strict=True)]
        rebuilt = np.concatenate([book[owner] for book, owner in zip(books, owners, strict=True)], axis=1)
        left, _, right = np.linalg.svd(centred.T @ rebuilt)
        rotation = (left @ right).astype(np.float32)
        turned = centred @ rotation
        books = [means(turned[:, part], owner, book) for part, owner, book in zip(parts, owners, books, strict=True)]
    narrow = vectors.shape[1]
    return Learnt(
        _in_place(books, parts, size),
        Layers(((rotation[:narrow], -mean @ rotation),)),
        Layers(((np.ascontiguousarray(rotation.T[:, :narrow]), mean[:narrow]),)),
    )


def _shared_out(centred: Vectors, blocks: int) -> list[Vectors]:
    """Principal axes dealt to equally wide blocks, the largest to where the product of variances is least so far."""
    variances, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    widths = [len(part) for part in np.array_split(np.arange(len(variances)), blocks)]
    dealt: list[list[int]] = [[] for _ in range(blocks)]
    weight = np.zeros(blocks)
    for axis in np.argsort(-variances, kind="stable"):
        open_blocks = [block for block in range(blocks) if len(dealt[block]) < widths[block]]
        block = min(open_blocks, key=lambda one: (weight[one], one))
        dealt[block].append(int(axis))
        weight[block] += np.log(max(float(variances[axis]), 1e-12)) + 30.0  # above zero, so that members count
    return [axes[:, members].astype(np.float32) for members in dealt]


def _in_place(books: list[Vectors], parts: list[slice], size: int) -> Vectors:
    """Block codebooks as rows of full width, zero elsewhere."""
    full: NDArray[np.float32] = np.zeros((len(books), size, parts[-1].stop), np.float32)
    for level, (book, part) in enumerate(zip(books, parts, strict=True)):
        full[level, :, part] = book
    return full
