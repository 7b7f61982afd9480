"""Two strong recommenders that ignore order: EASE in closed form, and implicit alternating least squares.

Both learn from training events only, as binary user-item pairs, and score a user by the history known at the stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid
from server_training.evaluation.baselines import history_matrix, training_matrix

LARGEST_EASE = 25_000
_USERS = 4096

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ease:
    """Scores are the user's history times item-item weights with a zero diagonal (Steck, WWW 2019).

    Attributes:
        weights: float32 ``[n_items, n_items]``.
        histories: ``[n_users, n_items]``.
    """

    weights: Matrix
    histories: sparse.csr_array

    @classmethod
    def fit(
        cls, split: Split, stage: Stage = Stage.TEST, *, regularisation: float = 100.0, half_life: float = np.inf
    ) -> Ease:
        """Solve for the weights.

        Args:
            split: training events.
            stage: histories as known then.
            regularisation: added to the diagonal of the Gram matrix.
            half_life: events after which an event of the history counts half; the paper has none.

        Raises:
            ConfigInvalid: the catalog is too large for a dense inverse.
        """
        n = split.data.n_items
        if n > LARGEST_EASE:
            raise ConfigInvalid(f"EASE inverts a {n} x {n} matrix; above {LARGEST_EASE:,} items use iALS instead")
        uses = training_matrix(split)
        gram = (uses.T @ uses).toarray().astype(np.float32)
        gram[np.diag_indices(n)] += np.float32(regularisation)
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices(n)] = 0.0
        return cls(np.ascontiguousarray(weights, np.float32), history_matrix(split, stage, half_life))

    def score(self, user_indices: NDArray[np.int64]) -> Matrix:
        """Scores float32 ``[B, n_items]``."""
        scores: Matrix = np.asarray(self.histories[user_indices] @ self.weights, np.float32)
        return scores


@dataclass(frozen=True, slots=True)
class Ials:
    """Implicit matrix factorisation (Hu, Koren, Volinsky, ICDM 2008; settings after Rendle et al., RecSys 2022).

    Attributes:
        items: float32 ``[n_items, d]``.
        histories: ``[n_users, n_items]``, from which a user's vector is solved.
        unobserved: weight of every pair that was not observed.
        regularisation: strength for a user with a history of one event.
    """

    items: Matrix
    histories: sparse.csr_array
    unobserved: float
    regularisation: float

    @classmethod
    def fit(
        cls,
        split: Split,
        stage: Stage = Stage.TEST,
        *,
        size: int = 64,
        sweeps: int = 12,
        unobserved: float = 0.01,
        regularisation: float = 0.003,
        half_life: float = np.inf,
        seed: int = 0,
    ) -> Ials:
        """Alternate between users and items."""
        uses = training_matrix(split)
        by_item = sparse.csr_array(uses.T)
        rng = np.random.default_rng(seed)
        items = (rng.standard_normal((split.data.n_items, size)) / size**0.5).astype(np.float32)
        for _ in range(sweeps):
            users = solve(uses, items, unobserved, regularisation)
            items = solve(by_item, users, unobserved, regularisation)
        return cls(items, history_matrix(split, stage, half_life), unobserved, regularisation)

    def score(self, user_indices: NDArray[np.int64]) -> Matrix:
        """Scores float32 ``[B, n_items]``."""
        users = solve(self.histories[user_indices], self.items, self.unobserved, self.regularisation)
        scores: Matrix = users @ self.items.T
        return scores


def solve(observed: sparse.csr_array, fixed: Matrix, unobserved: float, regularisation: float) -> Matrix:
    """Best vectors float32 ``[rows, d]`` of the rows of `observed`, given those of its columns.

    Minimises, for each row, sum over observed of w (x.y - 1)^2 + unobserved * sum over all of (x.y)^2 + lambda |x|^2,
    with lambda = regularisation * (observed in the row + unobserved * columns), the frequency scaling of Rendle et al.
    """
    d = fixed.shape[1]
    gram = unobserved * (fixed.T @ fixed)
    counts = np.diff(observed.indptr)
    strength = regularisation * (counts + unobserved * observed.shape[1])
    vectors = np.zeros((observed.shape[0], d), np.float32)
    for start in range(0, observed.shape[0], _USERS):
        rows = observed[start : start + _USERS]
        for offset in np.flatnonzero(np.diff(rows.indptr)):
            span = slice(rows.indptr[offset], rows.indptr[offset + 1])
            seen, weight = fixed[rows.indices[span]], rows.data[span]
            matrix = gram + (seen.T * weight) @ seen
            matrix[np.diag_indices(d)] += strength[start + offset]
            vectors[start + offset] = linalg.solve(matrix, weight @ seen, assume_a="pos", check_finite=False)
    return vectors
