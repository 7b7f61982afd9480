"""Makes the golden bundle: `python -m tests.golden.make_bundle`, only when the format changes, which is a decision."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import torch

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    PUBLISHERS_FILE,
    README_FILE,
    Catalog,
    Manifest,
    Neighbours,
    PublisherSet,
    Statement,
    TrainingData,
    file_entries,
    manifest_digest,
    sign_bundle,
    sign_delta,
    statements_to_bytes,
    write_bundle,
    write_delta,
)
from server_training.export.lower import lower_xnnpack
from server_training.export.quantize import quantized
from server_training.models.config import ModelConfig
from server_training.models.methods import shape_of, window_step
from server_training.models.recommender import GenerativeRecommender
from tests.golden.ask import answers
from tests.golden.facts import (
    ANSWERS,
    DELTA,
    FOLDER,
    FOREVER,
    ITEMS,
    LEVELS,
    NOW,
    PINNED,
    PUBLISHER,
    SIZE,
)


def main() -> None:
    """Write the bundle, an update of its catalog, and what they answer."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    config = ModelConfig(
        LEVELS, codebook_size=SIZE, history_length=8, width=16, layers=1, heads=2, own_features=2, backbone="rotary"
    )
    model = quantized(GenerativeRecommender(config), "8da8w")
    codes = np.stack(np.unravel_index(rng.permutation(SIZE**LEVELS)[: ITEMS + 1], (SIZE,) * LEVELS), axis=1)
    ids = [f"item-{n}" for n in range(ITEMS)]
    kinds = (["drama", "comédie"], [[n % 2] if n % 3 else [0, 1] for n in range(ITEMS)])
    catalog = Catalog.build(
        ids, codes[:ITEMS], SIZE, [f"Titel №{n}" for n in range(ITEMS)], rng.normal(size=(50, 2)), kinds
    )
    catalog = catalog.with_neighbours(Neighbours.build(rng.integers(0, 50, (50, 3)), rng.random((50, 3)), 4.0, 0.5))
    contents = {MODEL_FILE: lower_xnnpack(model, 16), CATALOG_FILE: catalog.to_bytes(), README_FILE: b"# golden\n"}
    shape = shape_of(model, 16)
    manifest = Manifest(
        model_version=1,
        created_at=NOW,
        expires_at=FOREVER,
        runtime="executorch 1.5.1",
        backend="xnnpack",
        quantization="8da8w",
        methods=shape.methods(),
        window_step=window_step(shape),
        n_items=ITEMS,
        catalog_namespace="golden",
        metrics={"recall@10": 0.25},
        training_data=TrainingData("made up", "CC0-1.0", "0" * 64),
        files=file_entries(contents),
        **asdict(shape),
    )
    for folder in (FOLDER, DELTA):
        shutil.rmtree(folder, ignore_errors=True)
    write_bundle(FOLDER, manifest, contents)
    statement = Statement(PublisherSet(1, (PUBLISHER.public,), 1)).signed_by(PINNED).signed_by(PUBLISHER)
    (FOLDER / PUBLISHERS_FILE).write_bytes(statements_to_bytes([statement]))
    sign_bundle(FOLDER, PUBLISHER)
    added = Catalog.from_columns(["new"], codes[ITEMS:], SIZE, ["neu"], np.ones((1, 2), np.int8), catalog.scales)
    fields = {
        "bundle_sha256": manifest_digest(manifest.to_bytes()),
        "sequence": 1,
        "created_at": NOW,
        "expires_at": FOREVER,
        "withdrawn": ("item-0", "item-7"),
    }
    write_delta(DELTA, fields, added)
    sign_delta(DELTA, PUBLISHER)
    ANSWERS.write_text(json.dumps(answers(), indent=1) + "\n")


if __name__ == "__main__":
    main()
