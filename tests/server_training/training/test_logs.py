"""What a run writes while it trains."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from server_training.training.logs import LOG_FILE, TENSORBOARD_FOLDER, EpochRecord, Journal

RECORDS = [EpochRecord(1, 2.5, 1.0, 100.0, 0.01, None, None), EpochRecord(2, 2.0, 1.0, 110.0, 0.005, 0.25, 0.5)]


def test_json_lines_are_always_written(tmp_path: Path) -> None:
    for record in RECORDS:
        Journal(tmp_path).write(record)
    rows = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [EpochRecord(**row) for row in rows] == RECORDS


def test_tensorboard_gets_what_was_measured_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, float, int]] = []
    folders: list[str] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            folders.append(folder)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None:
            written.append(("flushed", 0.0, 0))

    stand_in = ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tensorboard" or known(name))
    journal = Journal(tmp_path)
    for record in RECORDS:
        journal.write(record)
    assert folders == [str(tmp_path / TENSORBOARD_FOLDER)]
    assert ("loss", 2.5, 1) in written
    assert ("valid_ndcg_at_10", 0.25, 2) in written
    assert not [entry for entry in written if entry[1] is None]
    assert len((tmp_path / LOG_FILE).read_text().splitlines()) == 2
