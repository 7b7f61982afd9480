"""The trials of all backends: what is kept, what is repeated, what a crash does, and what the page says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from server_training.cli import main
from server_training.data.prepare import prepare
from server_training.errors import TrainingError
from server_training.export.backends import BACKENDS
from server_training.export.support import Kept, Setting, kept_trials
from server_training.export.trial import Trial
from server_training.models.config import ModelConfig
from server_training.pages.backends import HEADER, backends_page
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.run_folder import train_run
from tests.server_training.conftest import write_recbole

ROOT = Path(__file__).parents[3]
PAGE, TRIALS = ROOT / "docs" / "backends.md", ROOT / "docs" / "backends"
MODEL = ModelConfig(levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2)
SETTING = Setting("a model", "2026-01-02", "a machine", "meritrec 1, commit abc")


class Quiet:
    def step(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support")
    prepare(write_recbole(folder / "source"), folder / "data")
    train_run(folder / "data", folder / "run", RunConfig(model=MODEL, train=TrainConfig(epochs=1)), Quiet())
    return folder / "run"


@pytest.mark.slow
def test_the_command_tries_keeps_and_writes_the_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "backends.md"
    command = ["backends", "--run", str(run), "--results", str(tmp_path / "kept"), "--page", str(page), "--json"]
    command += ["--only", "portable", "nxp"]
    assert main(command) == 0
    portable, nxp = json.loads(capsys.readouterr().out)
    assert portable["trial"]["problem"] is None
    assert portable["trial"]["runtime"] in ("native", "executorch-python")
    assert portable["trial"]["max_error"] < 1e-4
    assert portable["trial"]["top10_overlap"] > 0.9
    assert portable["trial"]["delegated"] == 0 < portable["trial"]["left"]
    assert "eIQ Neutron SDK" in nxp["trial"]["missing"]
    text = page.read_text()
    assert re.search(r"^\| portable \| any CPU \| fp32 \| yes, 2 to 6 events \| 0 of \d+ \|", text, re.MULTILINE)
    assert re.search(r"^- nxp \(int8\): backend nxp needs NXP's eIQ", text, re.MULTILINE)
    assert "| xnnpack | Arm and x86 CPUs | – | not tried |" in text

    kept = tmp_path / "kept" / "portable-fp32.json"
    written = kept.stat().st_mtime_ns
    assert main(command) == 0
    assert kept.stat().st_mtime_ns == written
    assert page.read_text() == text


def test_a_compiler_that_crashes_is_a_line_of_the_table(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, does in (("arm", "kill -SEGV $$"), ("openvino", "echo no such wheel >&2; exit 3")):
        python = tmp_path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{does}\n")
        python.chmod(0o755)
    command = ["backends", "--run", str(run), "--results", str(tmp_path / "kept"), "--only", "tosa", "openvino"]
    assert main([*command, "--environments", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "tosa int8: not lowered: its process was ended by signal 11" in said
    assert "openvino fp32: not lowered: its process failed: no such wheel" in said


def test_wrong_use_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--run", str(run), "--results", str(tmp_path), "--only", "abacus"]) == 1
    assert "'abacus' is not known; choose of: xnnpack, portable" in capsys.readouterr().err
    assert main(["backends", "--results", str(tmp_path / "none"), "--page", str(tmp_path / "page")]) == 1
    assert "holds no trials to write a page from" in capsys.readouterr().err
    (tmp_path / "xnnpack-fp32.json").write_text('{"trial": {}}')
    with pytest.raises(TrainingError, match=r"xnnpack-fp32\.json is damaged .*; remove it"):
        list(kept_trials(tmp_path))


def test_the_list_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(BACKENDS)
    assert listed["xnnpack"]["missing"] is None
    assert "SDK" in listed["mediatek"]["missing"]


def test_a_failure_takes_one_line_of_the_page_however_long_it_is() -> None:
    failed = Kept(Trial("vulkan", "fp32", problem="first\n| second |" + "x" * 1000), SETTING)
    ran = Trial("xnnpack", "fp32", None, None, 3, 1, 2, 50, 1234, 7.6, "native", None, 1e-5, 0.0, 0.991, 64, {"a": "1"})
    page = backends_page([Kept(ran, SETTING), failed])
    assert "| fp32 | yes, 2 to 50 events | 3 of 4 | 1,234 | 8 | 0 | native | 1e-05 | 99.1% (64 people) |" in page
    (note,) = re.findall(r"^- vulkan .*$", page, re.MULTILINE)
    assert note.startswith("- vulkan (fp32): not lowered: first | second |xxx")
    assert len(note) < 500
    off = Kept(replace(ran, max_error=0.0501), SETTING)
    assert "- xnnpack (fp32): export refuses it: the largest difference allowed is 0.05" in backends_page([off])
    other = replace(failed, setting=replace(SETTING, date="2026-01-03"))
    assert "Date: 2026-01-02; 2026-01-03." in backends_page([Kept(ran, SETTING), other])


def test_the_page_in_the_documentation_was_written_by_the_command_from_all_backends() -> None:
    kept = list(kept_trials(TRIALS))
    assert {file.name for file in TRIALS.iterdir()} == {
        f"{entry.trial.backend}-{entry.trial.quantization}.json" for entry in kept
    }
    assert PAGE.read_text() == backends_page(kept)
    rows = PAGE.read_text().partition(HEADER)[2].partition("\n\n")[0].splitlines()[2:]
    tried = {(row.split("|")[1].strip(), row.split("|")[3].strip()) for row in rows}
    assert tried == {(name, scheme) for name, backend in BACKENDS.items() for scheme in backend.quantizations}


def test_every_environment_lists_what_its_backends_need_and_never_torch() -> None:
    lists = {path.stem: path.read_text().splitlines() for path in (ROOT / ".ci" / "backends").glob("*.txt")}
    assert set(lists) == {backend.environment for backend in BACKENDS.values() if backend.environment}
    for backend in BACKENDS.values():
        assert set(backend.packages) <= set(lists[backend.environment] if backend.environment else [])
    for lines in lists.values():
        pinned = [line for line in lines if not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+==[0-9.]+", line) for line in pinned)
        assert not [line for line in pinned if line.startswith(("torch==", "executorch==", "torchao=="))]


def test_a_trial_is_read_as_it_was_written() -> None:
    kept = Kept(Trial("tosa", "int8", missing="this"), SETTING)
    assert Kept.from_json(kept.to_json(), Path("x")) == kept
