"""Two recommenders that need no training: popularity and item neighbours.

What any model must beat, on the same split and by the same rule. Both learn from training events only and
count every event alike, whatever its action: the task is to say which item comes next. Knows nothing of
metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Popularity:
    """Ranks by the number of training events; the same list for everyone.

    Attributes:
        counts: float32 ``[n_items]``.
    """

    counts: NDArray[np.float32]

    @classmethod
    def fit(cls, split: Split) -> Popularity:
        """Count the training events of each item."""
        items = split.data.items[split.train_events()]
        return cls(np.bincount(items, minlength=split.data.n_items).astype(np.float32))

    def score(self, user_indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores float32 ``[B, n_items]``."""
        return np.tile(self.counts, (len(user_indices), 1))


@dataclass(frozen=True, slots=True)
class ItemKnnConfig:
    """Settings of :class:`ItemKnn`; the defaults were picked once on validation events of MovieLens-100K.

    Attributes:
        neighbours: similar items kept per item.
        shrinkage: added to the cosine's denominator, so that a few common users do not make two items alike.
        half_life: events after which an event of the history counts half; infinity for no decay.
    """

    neighbours: int = 50
    shrinkage: float = 10.0
    half_life: float = 2.0

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.shrinkage < 0 or not self.half_life > 0:
            raise ConfigInvalid(f"expected neighbours >= 1, shrinkage >= 0 and half_life > 0, got {self}")


@dataclass(frozen=True, slots=True)
class ItemKnn:
    """Scores an item by its similarity to the events of a user's history, recent ones first.

    Similarity is the cosine of the two items' sets of training users, with shrinkage (Sarwar et al.,
    "Item-based collaborative filtering", WWW 2001; shrinkage after Bell and Koren 2007).

    Attributes:
        similarity: ``[n_items, n_items]``; row: item of the history, column: item scored.
        histories: ``[n_users, n_items]``, recency weights of what is known at the stage.
    """

    similarity: sparse.csr_array
    histories: sparse.csr_array

    @classmethod
    def fit(cls, split: Split, stage: Stage = Stage.TEST, config: ItemKnnConfig | None = None) -> ItemKnn:
        """Learn similarities from training events; take histories as known at ``stage``."""
        config = config or ItemKnnConfig()
        return cls(_similarity(split, config), history_matrix(split, stage, config.half_life))

    def score(self, user_indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores float32 ``[B, n_items]``."""
        scores: NDArray[np.float32] = (self.histories[user_indices] @ self.similarity).toarray()
        return scores.astype(np.float32, copy=False)


def training_matrix(split: Split) -> sparse.csr_array:
    """Who used what in training: 1 in ``[n_users, n_items]``, however often."""
    events = split.train_events()
    owner = np.repeat(np.arange(split.data.n_users), np.diff(split.data.offsets))[events]
    shape = (split.data.n_users, split.data.n_items)
    uses = sparse.csr_array((np.ones(len(events), np.float32), (owner, split.data.items[events])), shape=shape)
    uses.sum_duplicates()
    uses.data[:] = 1.0
    return uses


def _similarity(split: Split, config: ItemKnnConfig) -> sparse.csr_array:
    uses = training_matrix(split)
    norms = np.sqrt(np.asarray(uses.sum(axis=0)).ravel())
    by_item = sparse.csr_array(uses.T)
    blocks = [
        _nearest_rows(by_item[start : start + _BATCH] @ uses, norms, start, config)
        for start in range(0, split.data.n_items, _BATCH)
    ]
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def _nearest_rows(
    common: sparse.csr_array, norms: NDArray[np.float64], start: int, config: ItemKnnConfig
) -> sparse.csr_array:
    """Cosines of a block of items from their counts of common users, the largest of each row only."""
    rows = np.arange(common.shape[0])
    table = common.toarray() / (norms[start + rows, None] * norms[None, :] + config.shrinkage + 1e-9)
    table[rows, start + rows] = 0.0
    if config.neighbours < table.shape[1]:
        floor = np.partition(table, -config.neighbours, axis=1)[:, -config.neighbours, None]
        table[table < floor] = 0.0
    return sparse.csr_array(table.astype(np.float32))


def history_matrix(split: Split, stage: Stage, half_life: float) -> sparse.csr_array:
    """Recency weights ``[n_users, n_items]`` of what is known at a stage: 1 for the last event, halved by age."""
    data = split.data
    stops = np.array([split.history(user, stage).stop for user in range(data.n_users)], np.int64)
    owner = np.repeat(np.arange(data.n_users), np.diff(data.offsets))
    age = stops[owner] - 1 - np.arange(len(data.items))
    known = age >= 0
    weights = np.exp2(-age[known] / half_life).astype(np.float32)
    cells = (weights, (owner[known], data.items[known]))
    return sparse.csr_array(sparse.coo_array(cells, shape=(data.n_users, data.n_items)))
