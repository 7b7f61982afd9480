"""Guards over the repository itself: sizes of files, honesty of exports."""

from __future__ import annotations

import importlib
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sdk", "device_runtime", "p2p", "trust", "server_training")
SOURCES = sorted(
    path for folder in (*PACKAGES, "tests", "examples", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_longer_than_500_lines() -> None:
    assert [path.relative_to(ROOT) for path in SOURCES if _lines(path) > 500] == []


def test_the_median_source_file_stays_under_200_lines() -> None:
    lengths = [_lines(path) for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES]
    assert statistics.median(lengths) < 200


def test_every_package_is_typed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []


def test_only_the_known_folders_stand_at_the_top() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.split("/")[0] for line in tracked.splitlines() if "/" in line}
    assert folders <= {*PACKAGES, "tests", "examples", "benchmarks", "docs", ".ci"}


@pytest.mark.parametrize("name", PACKAGES)
def test_exported_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [attribute for attribute in exported if not hasattr(module, attribute)] == []
    assert sorted(exported) == sorted(set(exported))
