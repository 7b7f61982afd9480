"""What an item is used with: vectors from co-occurrence in users' histories.

Positive pointwise mutual information of items within a window of a user's TRAINING events, context counts smoothed by
the power 0.75 (Levy, Goldberg, Dagan, TACL 2015), then a truncated SVD. An item nobody used in training takes the mean
of its nearest items by text.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from server_training.data.split import Split
from server_training.items.text import Vectors, unit

_SMOOTHING = 0.75
_BATCH = 1024


def co_occurrence(split: Split, window: int) -> sparse.csr_array:
    """Symmetric counts ``[n, n]`` of item pairs at most ``window`` training events of one user apart."""
    events = split.train_events()
    owner = np.repeat(np.arange(split.data.n_users), np.diff(split.data.offsets))[events]
    items = split.data.items[events]
    n = split.data.n_items
    counts = sparse.csr_array((n, n), dtype=np.float64)
    for distance in range(1, window + 1):
        same = owner[distance:] == owner[:-distance]
        left, right = items[:-distance][same], items[distance:][same]
        apart = left != right
        pairs = (np.ones(int(apart.sum())), (left[apart], right[apart]))
        counts += sparse.coo_array(pairs, shape=(n, n)).tocsr()
    return sparse.csr_array(counts + counts.T)


def use_vectors(counts: sparse.csr_array, size: int, seed: int) -> Vectors:
    """Unit vectors by SVD of the positive pointwise mutual information; zeros for items without pairs."""
    n = counts.shape[0]
    size = min(size, n - 1)
    if not counts.nnz or size < 1:
        return np.zeros((n, max(size, 0)), np.float32)
    pairs = counts.tocoo()
    row, column = pairs.coords
    totals = np.asarray(counts.sum(axis=1)).ravel()
    context = totals**_SMOOTHING
    ratio = pairs.data * context.sum() / (totals[row] * context[column])
    positive = np.maximum(np.log(ratio), 0.0)
    matrix = sparse.csr_array((positive, (row, column)), shape=(n, n))
    from sklearn.decomposition import TruncatedSVD  # takes seconds to import: only where it is used

    svd = TruncatedSVD(size, random_state=seed)
    left = svd.fit_transform(matrix)
    # U·sqrt(S) rather than U·S: the first directions, mostly popularity, weigh less.
    vectors = unit(left / np.sqrt(np.maximum(svd.singular_values_, 1e-12)))
    vectors[totals == 0] = 0.0
    return vectors


def by_neighbours(wanted: Vectors, text: Vectors, use: Vectors, neighbours: int) -> Vectors:
    """Unit mean of the co-occurrence vectors of the nearest known items by text; zeros without text."""
    filled = np.zeros((len(wanted), use.shape[1]), np.float32)
    if not len(text) or not text.shape[1]:
        return filled
    count = min(neighbours, len(text))
    for start in range(0, len(wanted), _BATCH):
        near = np.maximum(wanted[start : start + _BATCH] @ text.T, 0.0)
        best = np.argsort(-near, axis=1, kind="stable")[:, :count]
        shares = np.take_along_axis(near, best, axis=1)
        filled[start : start + _BATCH] = np.einsum("bk,bkd->bd", shares, use[best])
    return unit(filled)
