"""Real processes over gloo: the same loss, shards that others resume, and no waiting for the dead."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from server_training.training.logs import LOG_FILE
from server_training.training.model_file import MODEL_FILE, load_model

pytestmark = pytest.mark.slow

SETTINGS = [
    *("model.levels=2", "model.codebook_size=8", "model.history_length=4", "model.width=16", "model.layers=1"),
    *("model.dropout=0.0", "train.batch_size=16", "train.learning_rate=0.01", "train.validate_every=1"),
]
PATIENCE_S = 300.0


class Group:
    """The processes of one run, started as torchrun starts them."""

    def __init__(self, world: int, data: Path, out: Path, epochs: int, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = [part for setting in (*SETTINGS, f"train.epochs={epochs}") for part in ("--set", setting)]
        command = [sys.executable, "-m", "server_training", "train", str(data), "--out", str(out), *settings, *options]
        shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "COLUMNS": "200"}
        self.processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **shared, "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]

    def until_epoch(self, epoch: int) -> None:
        """Return when the first process has shown that epoch."""
        assert self.processes[0].stderr is not None
        for line in self.processes[0].stderr:
            if line.startswith(f"epoch {epoch:3d}"):
                return
        raise AssertionError("the run ended before")

    def finish(self) -> tuple[list[int], list[str]]:
        """Exit codes and what was said."""
        said = [process.communicate(timeout=PATIENCE_S)[1] for process in self.processes]
        return [process.returncode for process in self.processes], said

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def group(ring_data: Path) -> Iterator[object]:
    started: list[Group] = []

    def start(world: int, out: Path, epochs: int, *options: str) -> Group:
        started.append(Group(world, ring_data, out, epochs, *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / LOG_FILE).read_text().splitlines()]


def test_one_process_and_two_learn_alike_copied_or_sharded(group, tmp_path: Path) -> None:
    runs = {"one": (1,), "two": (2,), "shards": (2, "--sharded")}
    for name, (world, *options) in runs.items():
        codes, said = group(world, tmp_path / name, 3, *options).finish()
        assert codes == [0] * world, said
    for name in ("two", "shards"):
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
        # As one vector: where a gradient is nearly nothing, Adam turns rounding into a step of full size.
        ours, theirs = (
            torch.nn.utils.parameters_to_vector(load_model(tmp_path / run / MODEL_FILE).model.parameters())
            for run in ("one", name)
        )
        assert float((theirs - ours).norm() / ours.norm()) < 1e-3


def test_shards_saved_by_two_are_resumed_by_one(group, tmp_path: Path) -> None:
    epochs = 40
    two = group(2, tmp_path / "run", epochs, "--sharded")
    two.until_epoch(2)
    for process in two.processes:
        process.send_signal(signal.SIGTERM)
    codes, said = two.finish()
    assert codes == [130, 130], said
    done = len(losses(tmp_path / "run"))
    assert 2 <= done < epochs
    codes, said = group(1, tmp_path / "run", epochs, "--sharded").finish()
    assert codes == [0], said
    assert group(1, tmp_path / "whole", epochs).finish()[0] == [0]
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_ends_the_other_within_the_timeout(
    group, tmp_path: Path, how: signal.Signals
) -> None:
    two = group(2, tmp_path / "run", 100_000, "--timeout", "5")
    two.until_epoch(1)
    first, second = two.processes
    second.send_signal(how)
    said = first.communicate(timeout=PATIENCE_S)[1]  # without a timeout of its own it would wait for ever
    assert first.returncode == 1
    assert "another process of this run" in said
