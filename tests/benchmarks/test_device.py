"""The benchmark of the device's runtime runs end to end on a small run, every runtime in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks import device
from server_training.data.prepare import prepare
from server_training.models.config import ModelConfig
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.run_folder import train_run
from tests.server_training.conftest import write_recbole

MODEL = ModelConfig(levels=2, codebook_size=8, history_length=8, width=32, layers=1, heads=2, backbone="rotary")


class Quiet:
    def step(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None: ...


@pytest.mark.slow
def test_every_runtime_answers_and_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(write_recbole(tmp_path / "source"), tmp_path / "data")
    train_run(tmp_path / "data", tmp_path / "run", RunConfig(model=MODEL, train=TrainConfig(epochs=2)), Quiet())
    monkeypatch.setattr(sys, "argv", ["device", str(tmp_path / "run"), "--calls", "5", "--rounds", "2"])
    monkeypatch.setattr(device, "LIMITS", device.VerifyLimits(max_recall_loss=1, max_ndcg_loss=1, min_top10_overlap=0))
    device.main()
    out = capsys.readouterr().out
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    expected = {"native", "python", "eager"}
    if importlib.util.find_spec("onnxruntime") is not None:
        expected |= {"onnx", "onnx int8"}
    assert expected <= rows.keys()
    for runtime in expected:
        plain = rows[runtime].replace("(", " ").replace(")", " ").replace(",", "")
        numbers = [float(part) for part in plain.split()[-4:]]
        assert all(number > 0 for number in numbers)
    assert "python / native: " in out
    assert "eager / native: " in out
