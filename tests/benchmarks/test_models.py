"""The benchmark of models runs from a source to its tables, and again without training anything twice."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import models
from server_training.models.config import ModelConfig
from server_training.run_config import ItemsConfig, RunConfig
from server_training.training.config import TrainConfig

pytestmark = pytest.mark.slow

TINY = RunConfig(
    items=ItemsConfig(neighbours=3),
    model=ModelConfig(levels=2, codebook_size=8, history_length=4, width=16, layers=1, heads=2, own_features=4),
    train=TrainConfig(epochs=2, batch_size=16, learning_rate=1e-2),
)
PEER = """
import json, sys
import numpy as np
events = [line.split(",") for line in open(sys.argv[3]).read().splitlines()[1:]]
tested = sorted({int(user) for user, _, _, part in events if part == "2"})
np.save(sys.argv[4], np.full((len(tested), 50), -1))
print(json.dumps({"peer": sys.argv[2], "version": "0", "seconds_training": 1.0, "parameters": 7}))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp"]
    for user in range(50):
        start = int(rng.integers(20))
        lines += [f"u{user},i{(start + n) % 20:02d},{1000 + 60 * n}" for n in range(5 + user % 4)]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "events.csv"


def test_from_a_source_to_tables(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = RunConfig(model=ModelConfig(codes=False, own_features=16, width=16, layers=1), train=TrainConfig(epochs=1))
    monkeypatch.setattr(models, "load_config", lambda name: plain if name == "sasrec-ce" else TINY)
    peer = tmp_path / "peer.py"
    peer.write_text(f"#!{sys.executable}\n{PEER}")
    peer.chmod(0o755)
    out = tmp_path / "out"
    arguments = ["models", "beauty", "--data", str(source), "--out", str(out), "--seeds", "2", "--peers", str(peer)]
    monkeypatch.setattr(sys, "argv", arguments)
    models.main()
    said = capsys.readouterr().out
    for told in ("EASE", "iALS", "sasrec-ce", "on the device", "TIGER", "rectools-sasrec 0", "NDCG@10"):
        assert told in said
    found = json.loads((out / "beauty" / "results.json").read_text())
    assert set(found["device"]) == {"ours-0", "ours-1"}
    assert found["device"]["ours-0"]["bundle_bytes"] > found["device"]["ours-0"]["program_bytes"]
    assert {row["peer"] for row in found["peers"]} == set(models.PEERS)
    with (out / "beauty" / "events.csv").open() as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert (parts.count("1"), parts.count("2")) == (50, 50)
    monkeypatch.setattr(models, "train_run", None)  # nothing is trained, exported or asked twice
    monkeypatch.setattr(models, "export_run", None)
    models.main()


def test_a_missing_data_set_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MERITREC_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["models", "beauty", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="--data"):
        models.main()
