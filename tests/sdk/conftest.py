"""Signed bundles of sixty items around the golden program, whose weights are random: nothing here needs torch."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    Bundle,
    Catalog,
    Manifest,
    ModelStore,
    PublisherKey,
    file_entries,
    sign_bundle,
    write_bundle,
)
from sdk import Recommender, RecommenderConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle"
GOLDEN_KEY = Ed25519PrivateKey.from_private_bytes(bytes([6]) * 32).public_key().public_bytes_raw()
ITEMS = 60
NOW = 1_700_000_000


@dataclass(frozen=True)
class TinyBundle:
    """A bundle on disk and its publisher's key."""

    path: Path
    key: bytes


@dataclass(frozen=True)
class TinyPublisher:
    """Makes bundles of one program and catalog."""

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
    golden = Bundle.open(GOLDEN, trusted_keys=[GOLDEN_KEY], now=NOW)
    codes = np.stack(np.unravel_index(np.random.default_rng(0).permutation(8**3)[:ITEMS], (8,) * 3), axis=1)
    ids = [f"item-{n}" for n in range(ITEMS)]
    features = np.random.default_rng(1).normal(size=(ITEMS, 2))
    kinds = (("even", "odd", "tens"), [{n % 2} | ({2} if n % 10 == 0 else set()) for n in range(ITEMS)])
    catalog = Catalog.build(ids, codes, 8, [f"Title {n}" for n in range(ITEMS)], features, kinds)
    contents = {MODEL_FILE: bytes(golden.model), CATALOG_FILE: catalog.to_bytes()}
    fields = {field.name: getattr(golden.manifest, field.name) for field in dataclasses.fields(Manifest)}
    fields |= {"created_at": 0, "n_items": ITEMS, "catalog_namespace": "tiny"}
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
