"""A signed bundle made without training: random weights from a seed, sixty items."""

from __future__ import annotations

import shutil
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
    ModelStore,
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


@dataclass(frozen=True)
class TinyPublisher:
    """Makes bundles of one program and catalog, with random weights from a seed."""

    key: PublisherKey
    contents: dict[str, bytes]
    fields: dict[str, Any]

    def publish(self, path: Path, version: int, **changes: Any) -> Path:
        contents = self.contents | changes.pop("contents", {})
        fields = self.fields | {"model_version": version, "files": file_entries(contents)} | changes
        write_bundle(path, Manifest(**fields), contents)
        sign_bundle(path, self.key)
        return path


@pytest.fixture(scope="session")
def tiny_publisher() -> TinyPublisher:
    torch.manual_seed(0)
    config = ModelConfig(
        levels=3, codebook_size=8, history_length=8, width=16, layers=1, heads=2, own_features=1, head="autoregressive"
    )
    model = GenerativeRecommender(config).eval()
    codes = np.random.default_rng(0).permutation(8**3)[:ITEMS]
    ids = [f"item-{n}" for n in range(ITEMS)]
    rows = np.stack([codes // 64, codes // 8 % 8, codes % 8], axis=1)
    categories = (("even", "odd", "tens"), [{n % 2} | ({2} if n % 10 == 0 else set()) for n in range(ITEMS)])
    catalog = Catalog.build(ids, rows, 8, [f"Title {n}" for n in range(ITEMS)], categories=categories)
    contents = {MODEL_FILE: lower_xnnpack(model, BEAM), CATALOG_FILE: catalog.to_bytes()}
    shape = shape_of(model, BEAM)
    fields = {
        "created_at": 0,
        "expires_at": 1 << 39,
        "runtime": "executorch 1.5.1",
        "backend": "xnnpack",
        "quantization": "fp32",
        "methods": shape.methods(),
        "window_step": 1,
        "n_items": ITEMS,
        **asdict(shape),
        "catalog_namespace": "tiny",
        "metrics": {},
        "training_data": TrainingData("none", "none", "0" * 64),
    }
    return TinyPublisher(PublisherKey.create(), contents, fields)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_publisher: TinyPublisher) -> TinyBundle:
    path = tiny_publisher.publish(tmp_path_factory.mktemp("tiny") / "bundle", 1)
    return TinyBundle(path, tiny_publisher.key.public)


@pytest.fixture
def newer_bundle(tmp_path: Path, tiny_publisher: TinyPublisher) -> Callable[..., Path]:
    """Publishes a version, once, and returns its folder."""

    def publish(version: int, **changes: Any) -> Path:
        path = tmp_path / f"bundle-{version}"
        return path if path.exists() else tiny_publisher.publish(path, version, **changes)

    return publish


Opener = Callable[..., Recommender]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: TinyBundle) -> Path:
    """A device's store of models with the bundle installed: copied, it spares each device the trial of the model."""
    path = tmp_path_factory.mktemp("models") / "models"
    ModelStore.open(path, trusted_keys=[tiny_bundle.key]).install(tiny_bundle.path, now=NOW)
    return path


@pytest.fixture
def opened(tmp_path: Path, tiny_bundle: TinyBundle, tiny_models: Path) -> Opener:
    def open_(name: str = "device", config: RecommenderConfig | None = None, **options: Any) -> Recommender:
        if not (tmp_path / name).exists():
            shutil.copytree(tiny_models, tmp_path / name / "models")
        return Recommender.open(
            tmp_path / name,
            bundle=tiny_bundle.path,
            trusted_keys=[tiny_bundle.key],
            config=config,
            clock=lambda: float(NOW),
            **options,
        )

    return open_
