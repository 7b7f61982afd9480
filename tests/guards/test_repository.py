"""Guards over the repository itself: sizes of files, contents of the wheel, honesty of exports."""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
import zipfile
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


@pytest.mark.slow
def test_the_wheel_holds_the_five_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    source = tmp_path / "source"
    for line in tracked.splitlines():
        if (ROOT / line).is_file():
            (source / line).parent.mkdir(parents=True, exist_ok=True)
            (source / line).write_bytes((ROOT / line).read_bytes())
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("meritrec-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    assert {Path(name).suffix for name in names if ".dist-info/" not in name} <= {
        ".py",
        ".typed",
        ".cpp",
        ".toml",
        ".html",
        ".css",
        ".js",
        ".svg",
    }
    assets = {path.name for path in (ROOT / "sdk" / "view" / "assets").iterdir()}
    assert {f"sdk/view/assets/{name}" for name in assets} <= set(names)
    assert {f"{name}/py.typed" for name in PACKAGES} <= set(names)
