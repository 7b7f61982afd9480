"""A signed bundle made without training: random weights from a seed, sixty items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    Catalog,
    Manifest,
    PublisherKey,
    TrainingData,
    file_entries,
    sign_bundle,
    write_bundle,
)
from sdk import Recommender, RecommenderConfig
from server_training.export.lower import lower_xnnpack
from server_training.models.config import ModelConfig
from server_training.models.methods import shape_of
from server_training.models.recommender import GenerativeRecommender

ITEMS = 60
BEAM = 32
NOW = 1_700_000_000


@dataclass(frozen=True)
class TinyBundle:
    """A bundle on disk and its publisher's key."""

    path: Path
    key: bytes


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    torch.manual_seed(0)
    config = ModelConfig(
        levels=3, codebook_size=8, history_length=8, width=16, layers=1, heads=2, own_features=1, head="autoregressive"
    )
    model = GenerativeRecommender(config).eval()
    codes = np.random.default_rng(0).permutation(8**3)[:ITEMS]
    ids = [f"item-{n}" for n in range(ITEMS)]
    rows = np.stack([codes // 64, codes // 8 % 8, codes % 8], axis=1)
    catalog = Catalog.build(ids, rows, 8, [f"Title {n}" for n in range(ITEMS)])
    contents = {MODEL_FILE: lower_xnnpack(model, BEAM), CATALOG_FILE: catalog.to_bytes()}
    shape = shape_of(model, BEAM)
    manifest = Manifest(
        model_version=1,
        created_at=0,
        expires_at=1 << 39,
        runtime="executorch 1.5.1",
        backend="xnnpack",
        quantization="fp32",
        methods=shape.methods(),
        window_step=1,
        n_items=ITEMS,
        **asdict(shape),
        catalog_namespace="tiny",
        metrics={},
        training_data=TrainingData("none", "none", "0" * 64),
        files=file_entries(contents),
    )
    path = tmp_path_factory.mktemp("tiny") / "bundle"
    write_bundle(path, manifest, contents)
    key = PublisherKey.create()
    sign_bundle(path, key)
    return TinyBundle(path, key.public)


Opener = Callable[..., Recommender]


@pytest.fixture
def opened(tmp_path: Path, tiny_bundle: TinyBundle) -> Opener:
    def open_(name: str = "device", config: RecommenderConfig | None = None, **options: Any) -> Recommender:
        return Recommender.open(
            tmp_path / name,
            bundle=tiny_bundle.path,
            trusted_keys=[tiny_bundle.key],
            config=config,
            clock=lambda: float(NOW),
            **options,
        )

    return open_
