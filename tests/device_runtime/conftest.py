"""What the tests of this room share: a small catalog, a bundle around it, and a real program exported once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    README_FILE,
    Catalog,
    Manifest,
    ModelShape,
    PublisherKey,
    TrainingData,
    file_entries,
    sign_bundle,
    write_bundle,
)

LENGTH, LEVELS, SIZE, WIDTH, BEAM = 6, 3, 8, 16, 4
SHAPE = ModelShape("autoregressive", LENGTH, 2, BEAM, 2, LEVELS, SIZE, 1, WIDTH, memory_rows=0)
CREATED, EXPIRES = 1_700_000_000, 1_800_000_000


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    rng = np.random.default_rng(7)
    packed = rng.choice(SIZE**LEVELS, size=40, replace=False)
    codes = np.stack(np.unravel_index(packed, (SIZE,) * LEVELS), axis=1)
    ids = [f"item-{i}" for i in range(40)]
    return Catalog.build(ids, codes, SIZE, [f"Title {i}" for i in range(40)])


@dataclass(frozen=True)
class Exported:
    """A program and the PyTorch modules it was made from."""

    program: bytes
    modules: dict[str, Any]


@pytest.fixture(scope="session")
def exported() -> Exported:
    """The recommender itself, tiny and untrained, lowered as the server does it."""
    import torch

    from server_training.export.lower import lower_xnnpack
    from server_training.models.config import ModelConfig
    from server_training.models.methods import methods_of
    from server_training.models.recommender import GenerativeRecommender

    torch.manual_seed(0)
    config = ModelConfig(
        LEVELS, codebook_size=SIZE, history_length=LENGTH, width=WIDTH, layers=1, own_features=1, head="autoregressive"
    )
    model = GenerativeRecommender(config).eval()
    modules = {name: method.module.eval() for name, method in methods_of(model, BEAM).items()}
    return Exported(lower_xnnpack(model, BEAM), modules)


@pytest.fixture(scope="session")
def publisher() -> PublisherKey:
    return PublisherKey.create()


@pytest.fixture(scope="session")
def manifest_for(catalog: Catalog) -> Callable[..., Manifest]:
    """Make the manifest of `contents`, with fields changed at will."""

    def make(contents: dict[str, bytes], **changes: Any) -> Manifest:
        fields: dict[str, Any] = {
            "model_version": 3,
            "created_at": CREATED,
            "expires_at": EXPIRES,
            "runtime": "executorch 1.5.1",
            "backend": "xnnpack",
            "quantization": "fp32",
            "window_step": 1,
            "n_items": len(catalog),
            "catalog_namespace": "test",
            "metrics": {"recall@10": 0.5},
            "training_data": TrainingData("made up", "CC0", "0" * 64),
            "files": file_entries(contents),
        }
        sizes = {name: changes.pop(name) for name in asdict(SHAPE) if name in changes}
        shape = replace(SHAPE, **sizes)
        return Manifest(**({"methods": shape.methods()} | fields | asdict(shape) | changes))

    return make


@pytest.fixture
def bundle_path(
    tmp_path: Path, catalog: Catalog, publisher: PublisherKey, manifest_for: Callable[..., Manifest]
) -> Path:
    """A signed bundle whose model is not a program: enough for everything before the runtime."""
    contents = {MODEL_FILE: b"program" * 50, CATALOG_FILE: catalog.to_bytes(), README_FILE: b"# a model\n"}
    path = tmp_path / "bundle"
    write_bundle(path, manifest_for(contents), contents)
    sign_bundle(path, publisher)
    return path
