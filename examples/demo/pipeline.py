"""The server's half of the demo: data to a signed bundle, by the same functions as `meritrec-server`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from device_runtime import PublisherKey, sign_bundle
from server_training.console import console, counting_bar, training_bar
from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.prepare import prepare
from server_training.evaluation.report import Comparison, compare
from server_training.export.publish import ExportConfig, ExportReport, export_run
from server_training.run_config import ItemsConfig, RunConfig
from server_training.training.config import TrainConfig
from server_training.training.logs import LOG_FILE
from server_training.training.run_folder import Run, train_run
from server_training.training.train import TrainResult


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data comes from, for the report and the model card."""

    path: Path
    name: str
    terms: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Published:
    """A signed bundle and everything measured on the way to it."""

    data: SequenceData
    run: Run
    trained: TrainResult
    train_seconds: float
    evaluation: Comparison
    export: ExportReport
    bundle: Path
    publisher: bytes
    curve: list[dict[str, Any]]


def prepare_all(source: Source, folder: Path) -> SequenceData:
    """Check the data and load it."""
    report = prepare(source.path, folder)
    console.print(f"data      {report.interactions:,} interactions, {report.users:,} users, {report.items:,} items")
    return SequenceData.load(folder)


def leave_out(prepared: Path, folder: Path, users: Sequence[str]) -> Path:
    """Write the data without some users: people of the demo whose history no server has seen."""
    staging = folder.with_name(f"{folder.name}-source")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    events = pl.read_parquet(prepared / c.INTERACTIONS_FILE)
    events.filter(~pl.col(c.USER).is_in(list(users))).write_parquet(staging / c.INTERACTIONS_FILE)
    shutil.copy(prepared / c.ITEMS_FILE, staging / c.ITEMS_FILE)
    prepare(staging, folder)
    shutil.rmtree(staging)
    return folder


def publish(source: Source, data_folder: Path, folder: Path, epochs: int) -> Published:
    """Train, evaluate, quantise, export, verify and sign."""
    config = RunConfig(items=ItemsConfig(neighbours=16), train=TrainConfig(epochs=epochs))
    with training_bar() as bar:
        trained = train_run(data_folder, folder / "run", config, bar)
    run = Run.open(folder / "run")
    comparison = compare([run])
    console.print(comparison.table())
    exported_as = ExportConfig(source.namespace, int(time.time()), data_name=source.name, data_licence=source.terms)
    console.print("export    quantising to int8 and lowering through ExecuTorch (XNNPACK)")
    with counting_bar("verifying the .pte on every test user") as bar:
        export = export_run(run, folder / "bundle", exported_as, bar)
    key = PublisherKey.create()
    sign_bundle(folder / "bundle", key)
    console.print(
        f"bundle    {export.bundle_bytes / 1024:.0f} KiB, program {export.pte_bytes / 1024:.0f} KiB, "
        f"largest difference from PyTorch {export.verification.max_abs_diff:.4f}, signed"
    )
    curve = [json.loads(line) for line in (folder / "run" / LOG_FILE).read_text().splitlines()]
    return Published(
        run.split.data,
        run,
        trained,
        sum(row["seconds"] for row in curve),  # of all epochs, also when the training was resumed
        comparison,
        export,
        folder / "bundle",
        key.public,
        curve,
    )
