"""One trained, exported and signed bundle, made from a tiny made data set by the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from device_runtime import PublisherKey, sign_bundle
from server_training.data.prepare import prepare
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import VerifyLimits
from server_training.models.config import ModelConfig
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.logs import EpochRecord
from server_training.training.run_folder import Run, train_run

NAMESPACE = "made"
ITEMS = 200


class Silent:
    """A training observer that shows nothing."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Ignore."""

    def epoch(self, record: EpochRecord) -> None:
        """Ignore."""


@dataclass(frozen=True)
class MadeBundle:
    """A signed bundle and its publisher's key."""

    path: Path
    key: bytes


def write_data(path: Path, users: int = 300) -> None:
    """People walk through the items in steps of one, from a random start: easy to learn."""
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp,action"]
    for user in range(users):
        start = int(rng.integers(ITEMS))
        lines += [f"u{user},{(start + step) % ITEMS + 1},{1_600_000_000 + 60 * step},like" for step in range(12)]
    # Every item once more, so that the catalog is whole whatever the random starts were.
    lines += [f"all,{item + 1},{1_600_000_000 + item},view" for item in range(ITEMS)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def made_bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeBundle]:
    folder = tmp_path_factory.mktemp("made")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    write_data(folder / "events.csv")
    prepare(folder / "events.csv", folder / "data")
    config = ModelConfig(levels=3, codebook_size=16, history_length=10, width=32, layers=1)
    train_run(
        folder / "data",
        folder / "run",
        RunConfig(model=config, train=TrainConfig(epochs=40, validate_every=40)),
        Silent(),
    )
    limits = VerifyLimits(max_recall_loss=0.2)
    export = ExportConfig(NAMESPACE, beam_width=16, data_name="made", data_licence="none", limits=limits)
    export_run(Run.open(folder / "run"), folder / "bundle", export, lambda done, total: None)
    key = PublisherKey.create()
    sign_bundle(folder / "bundle", key)
    yield MadeBundle(folder / "bundle", key.public)
    torch.set_num_threads(before)
