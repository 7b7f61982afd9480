"""Training that is stopped, starved or sent astray: it ends in words, and goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from server_training.data.dataset import SequenceData
from server_training.models.config import ModelConfig
from server_training.models.items import FeatureTable
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.logs import EpochRecord
from server_training.training.model_file import MODEL_FILE
from server_training.training.run_folder import train_run
from server_training.training.step import contrast_of

MODEL = ModelConfig(levels=2, codebook_size=8, history_length=4, width=16, layers=1, heads=2, dropout=0.3)
TRAIN = TrainConfig(epochs=3, batch_size=8, learning_rate=1e-2, validate_every=1, own_dropout=0.2, contrast=0.1)
CONFIG = RunConfig(model=MODEL, train=TRAIN)
STEERED = replace(CONFIG, model=replace(MODEL, asks=("novelty", "diversity"), adapters=("short", "like", "long")))


class Silent:
    """Watches, and at one step sends this process a signal."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.epochs: list[EpochRecord] = []
        self._stop_at = stop_at

    def step(self, done: int, total: int, loss: float) -> None:
        if done == self._stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / MODEL_FILE, weights_only=True)
    return dict(content["weights"])


@pytest.mark.parametrize("config", [CONFIG, STEERED], ids=["plain", "steered"])
def test_stopped_in_the_middle_of_an_epoch_it_ends_with_the_same_weights(
    ring_data: Path, tmp_path: Path, config: RunConfig
) -> None:
    whole = train_run(ring_data, tmp_path / "whole", config, Silent())
    for stop_at in (1, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            train_run(ring_data, tmp_path / "parts", config, Silent(stop_at))
    parts = train_run(ring_data, tmp_path / "parts", config, Silent())
    assert parts.best_valid_ndcg_at_10 == whole.best_valid_ndcg_at_10
    ours, theirs = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("whole", "parts")]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1]


def test_training_stops_when_validation_does_not_improve(ring_data: Path, tmp_path: Path) -> None:
    patient = replace(CONFIG, train=replace(TRAIN, epochs=60, patience=3, learning_rate=1e-6))
    result = train_run(ring_data, tmp_path / "run", patient, Silent())
    assert result.epochs < 60
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    valid = [row["valid_ndcg_at_10"] for row in log]
    assert max(valid[:-3]) == max(valid)
    assert train_run(ring_data, tmp_path / "run", patient, Silent()).epochs == result.epochs  # nothing more to do


def test_a_full_disk_ends_in_words_and_leaves_the_last_checkpoint(ring_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = [f"model.{name}" for name in ("levels=2", "codebook_size=8", "history_length=4", "width=16", "layers=1")]
    settings = [part for setting in (*small, "train.epochs=2") for part in ("--set", setting)]
    command = (
        "import resource, signal, sys; from server_training.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "if sys.argv[1] == 'full': resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.exit(main(sys.argv[2:]))"
    )

    def call(disk: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", command, disk, "train", str(ring_data), "--out", str(run), *settings]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    full = call("full")
    assert full.returncode == 1, full.stderr
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert not [file for file in run.iterdir() if file.suffix in (".pt", ".html")]
    after = call("empty")
    assert after.returncode == 0, after.stderr


def test_items_nobody_used_have_no_numbers_and_training_hides_those_of_others() -> None:
    content = torch.full((50, 2), 3.0)
    used = torch.arange(50) != 7
    table = FeatureTable(50, 4, content, used)
    table.eval()
    assert torch.equal(table(0.9)[:, 4:], content)
    assert torch.equal(table(0.9)[used][:, :4], table.own[used])
    assert not table(0.0)[7, :4].any()
    table.train()
    hidden = (table(0.5)[:, :4] == 0).all(dim=1)
    assert 10 < int(hidden.sum()) < 40
    assert torch.equal(table(0.5)[:, 4:], content)


def test_the_contrast_is_least_when_views_of_one_history_agree() -> None:
    torch.manual_seed(0)
    views = torch.randn(16, 8)
    agreeing, strangers = float(contrast_of(views, 3 * views)), float(contrast_of(views, views.flip(0)))
    assert agreeing < 0.1 < 1.0 < strangers
    logits = torch.nn.functional.normalize(views, dim=1) @ torch.nn.functional.normalize(views.flip(0), dim=1).T / 0.1
    by_row = -torch.log_softmax(logits, dim=1).diagonal().mean()
    by_column = -torch.log_softmax(logits, dim=0).diagonal().mean()
    assert strangers == pytest.approx(float((by_row + by_column) / 2), rel=1e-5)


def test_the_split_is_part_of_what_a_checkpoint_belongs_to(ring_data: Path, tmp_path: Path) -> None:
    from server_training.data.split import SplitConfig
    from server_training.errors import CheckpointInvalid

    train_run(ring_data, tmp_path / "run", CONFIG, Silent())
    assert SequenceData.load(ring_data).n_users == 60
    other = replace(CONFIG, split=SplitConfig("temporal", 0.2, 0.2))
    with pytest.raises(CheckpointInvalid, match="--fresh"):
        train_run(ring_data, tmp_path / "run", other, Silent())
    train_run(ring_data, tmp_path / "temporal", other, Silent())
