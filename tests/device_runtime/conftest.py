"""What the tests of this room share: a small catalog, a bundle around it, and a real program exported once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
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
    PublisherKey,
    TrainingData,
    file_entries,
    sign_bundle,
    write_bundle,
)

LENGTH, LEVELS, SIZE, WIDTH, BEAM = 6, 3, 8, 16, 4
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
    examples: dict[str, tuple[Any, ...]]


@pytest.fixture(scope="session")
def exported() -> Exported:
    """A tiny recommender with the methods of a bundle, through ExecuTorch's XNNPACK delegate."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from torch.export import export

        modules, examples = _modules(torch)
        programs = {name: export(module, examples[name]) for name, module in modules.items()}
        edge = to_edge_transform_and_lower(programs, partitioner={name: [XnnpackPartitioner()] for name in programs})
        return Exported(bytes(edge.to_executorch().buffer), modules, examples)


def _modules(torch: Any) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    nn = torch.nn
    code, action, gap = nn.Embedding(SIZE + 1, WIDTH), nn.Embedding(7, WIDTH), nn.Embedding(32, WIDTH)
    heads = nn.ModuleList(nn.Linear(WIDTH, SIZE) for _ in range(LEVELS))

    class Encode(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.code, self.action, self.gap, self.heads = code, action, gap, heads

        def forward(self, codes: Any, actions: Any, gaps: Any) -> Any:
            state = torch.tanh((self.code(codes).sum(2) + self.action(actions) + self.gap(gaps)).mean(1))
            return state, self.heads[0](state)

    class Decode(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, level: int) -> None:
            super().__init__()
            self.code, self.head = code, heads[level]

        def forward(self, state: Any, prefix: Any) -> Any:
            return self.head(torch.tanh(state + self.code(prefix).sum(1)))

    integers = torch.int64
    history = torch.zeros(1, LENGTH, dtype=integers)
    modules: dict[str, Any] = {"encode": Encode().eval()}
    examples: dict[str, tuple[Any, ...]] = {
        "encode": (torch.zeros(1, LENGTH, LEVELS, dtype=integers), history, history)
    }
    for level in range(1, LEVELS):
        modules[f"decode_{level}"] = Decode(level).eval()
        examples[f"decode_{level}"] = (torch.zeros(BEAM, WIDTH), torch.zeros(BEAM, level, dtype=integers))
    return modules, examples


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
            "methods": ("encode", "decode_1", "decode_2"),
            "history_length": LENGTH,
            "beam_width": BEAM,
            "levels": LEVELS,
            "codebook_size": SIZE,
            "n_items": len(catalog),
            "state_width": WIDTH,
            "catalog_namespace": "test",
            "metrics": {"recall@10": 0.5},
            "training_data": TrainingData("made up", "CC0", "0" * 64),
            "files": file_entries(contents),
        }
        return Manifest(**(fields | changes))

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
