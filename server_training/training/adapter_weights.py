"""The weights that adapter heads have where a request says nothing: chosen on validation events, zero where none helps.

One head after the other, each with the others' weights as they are, until a round changes nothing: with a handful of
heads and weights that costs a few passes over kept scores.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import Catalog
from server_training.data.split import Split, Stage
from server_training.evaluation.metrics import ndcg_at, ranks_from_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.models.recommender import GenerativeRecommender

WEIGHTS = (-0.2, 0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_ROUNDS = 3
_SCORES = 50_000_000  # kept at once; with more, fewer people decide
_LEAST_GAIN = 1e-4  # of NDCG@10: smaller ones are noise


def choose_weights(model: GenerativeRecommender, catalog: Catalog, split: Split) -> tuple[NDArray[np.float32], float]:
    """Return float32 [heads] and the NDCG@10 that they reach on validation events.

    Args:
        model: trained, with adapters; its own weights of them are not looked at.
        catalog: with the model's features and, where there is a taxonomy, categories.
        split: whose validation events decide.
    """
    assert model.adapters is not None
    users = split.users(Stage.VALID)
    users = users[:: -(-len(users) * len(catalog) * (1 + len(model.adapters.names)) // _SCORES)]
    targets = np.array([split.data.items[split.history(int(user), Stage.VALID).stop] for user in users])
    base, heads = ModelScorer(model, catalog, split, Stage.VALID).parts(users)
    for row, user in enumerate(users.tolist()):
        base[row, split.data.items[split.history(user, Stage.VALID)]] = -np.inf

    def reached(weights: NDArray[np.float32]) -> float:
        sums = base + np.einsum("h,uhn->un", weights, heads)
        return float(ndcg_at(ranks_from_scores(sums, targets), 10).mean())

    chosen = np.zeros(heads.shape[1], np.float32)
    best = reached(chosen)
    for _ in range(_ROUNDS):
        before = chosen.copy()
        for head in range(len(chosen)):
            for weight in WEIGHTS:
                tried = chosen.copy()
                tried[head] = weight
                found = reached(tried)
                if found > best + _LEAST_GAIN:
                    best, chosen = found, tried
        if np.array_equal(before, chosen):
            break
    return chosen, best


def set_weights(model: GenerativeRecommender, weights: NDArray[np.float32]) -> None:
    """Give a model's adapters the weights [heads] that count where a request says nothing."""
    assert model.adapters is not None
    model.adapters.weights.copy_(torch.from_numpy(weights))
