"""A small catalog, random histories, and models of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from device_runtime import Catalog
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.models.heads import Items
from server_training.models.recommender import GenerativeRecommender, ModelBatch

SIZE, LENGTH, ITEMS = 8, 6, 64


@pytest.fixture(scope="package")
def catalog() -> Catalog:
    packed = np.random.default_rng(3).permutation(SIZE**3)[:ITEMS]
    codes = np.stack(np.unravel_index(packed, (SIZE,) * 3), axis=1)
    features = np.random.default_rng(4).normal(size=(ITEMS, 5))
    return Catalog.build([f"i{n}" for n in range(ITEMS)], codes, SIZE, None, features)


@dataclass(frozen=True)
class Lab:
    """A model with its items and one batch of histories."""

    model: GenerativeRecommender
    items: Items
    features: Tensor
    batch: ModelBatch


def histories(seed: int, n: int, padded: int) -> ModelBatch:
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randint(ITEMS, (n, LENGTH), generator=rng)
    actions = torch.randint(1, 7, (n, LENGTH), generator=rng)
    gaps = torch.randint(1, 32, (n, LENGTH), generator=rng)
    ages = torch.randint(1 << 24, (n, LENGTH), generator=rng).sort(dim=1, descending=True).values
    for tensor, fill in ((rows, -1), (actions, 0), (gaps, 0), (ages, 0)):
        tensor[:, :padded] = fill
    return ModelBatch(rows, actions, gaps, ages)


@pytest.fixture
def lab(catalog: Catalog) -> Any:
    def make(seed: int = 0, n: int = 3, padded: int = 0, **changes: Any) -> Lab:
        torch.manual_seed(seed)
        sizes = {"levels": 3, "codebook_size": SIZE, "history_length": LENGTH, "width": 16, "content_features": 2}
        config = ModelConfig(**{**sizes, "own_features": 3, **changes})
        model = GenerativeRecommender(config).eval()
        _randomise(model)
        features = torch.from_numpy(catalog.features_of(np.arange(ITEMS)))
        index = CodeIndex(catalog)
        with torch.no_grad():
            items = Items(index, model.items(index.codes, features))
        return Lab(model, items, features, histories(seed, n, padded))

    return make


def _randomise(model: GenerativeRecommender) -> None:
    """Give biases that start at zero something to say, so that a test can see them."""
    for parameter in model.parameters():
        if not parameter.abs().sum():
            torch.nn.init.normal_(parameter, std=0.3)
