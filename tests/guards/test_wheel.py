"""What is distributed: wheels with and without the native binding, and the sources that they are built from."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from device_runtime.native_build import binding_name

ROOT = Path(__file__).parents[2]
PACKAGES = {"sdk", "device_runtime", "p2p", "trust", "server_training"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, apart from what lies about in a working copy."""
    copy = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for line in tracked.splitlines():
        if (ROOT / line).is_file():
            (copy / line).parent.mkdir(parents=True, exist_ok=True)
            (copy / line).write_bytes((ROOT / line).read_bytes())
    return copy


def build(source: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    env = {name: value for name, value in os.environ.items() if name not in ("CXX", "MERITREC_EXECUTORCH")}
    return subprocess.run(command, env={**env, **environment}, capture_output=True, text=True, check=False)


def contents(wheel: Path) -> set[str]:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == PACKAGES
    assert {f"{name}/py.typed" for name in PACKAGES} <= names
    kinds = {".py", ".typed", ".cpp", ".so", ".toml", ".json", ".html", ".css", ".js", ".svg"}
    assert {Path(name).suffix for name in names} <= kinds
    assert {f"sdk/view/assets/{path.name}" for path in (ROOT / "sdk" / "view" / "assets").iterdir()} <= names
    return names


@pytest.mark.skipif(shutil.which("g++") is None or sys.platform != "linux", reason="compiles the binding, for Linux")
def test_a_wheel_brings_the_binding_and_needs_neither_compiler_nor_torch(source: Path, tmp_path: Path) -> None:
    built = build(source, tmp_path / "out")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "out").glob("meritrec-*.whl")
    assert wheel.name.startswith("meritrec-0.1.0-py3-none-manylinux_2_")
    assert wheel.name.endswith(f"_{platform.machine()}.whl")
    binding = f"device_runtime/{binding_name(platform.machine())}"
    assert {name for name in contents(wheel) if name.endswith(".so")} == {binding}

    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    shutil.copytree(ROOT / "tests" / "golden", tmp_path / "elsewhere" / "tests" / "golden")
    bare = {"PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "tests.golden.ask"]
    asked = subprocess.run(command, cwd=tmp_path / "elsewhere", env=bare, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    facts = json.loads(asked.stdout)
    assert (facts["runtime"], facts["binding"]) == ("native", str(tmp_path / "site" / binding))
    assert facts["heavy_imports"] == []
    assert not (tmp_path / "cache").exists()


def test_without_a_compiler_a_wheel_is_for_every_platform(source: Path, tmp_path: Path) -> None:
    built = build(source, tmp_path, CXX="no-such-compiler")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("meritrec-*.whl")
    assert wheel.name == "meritrec-0.1.0-py3-none-any.whl"
    assert not {name for name in contents(wheel) if name.endswith(".so")}


def test_a_binding_that_was_asked_for_and_cannot_be_built_is_an_error(source: Path, tmp_path: Path) -> None:
    built = build(source, tmp_path, MERITREC_EXECUTORCH=str(tmp_path / "nowhere"))
    assert built.returncode != 0
    assert f"asks for the native binding, but there is no ExecuTorch in {tmp_path / 'nowhere'}" in built.stderr
    assert list(tmp_path.glob("*.whl")) == []


def test_the_sources_hold_all_that_a_wheel_is_built_from(source: Path, tmp_path: Path) -> None:
    script = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("meritrec-*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.split("/", 1)[-1] for name in opened.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "device_runtime/binding.cpp"} <= held
    assert {f"{name}/py.typed" for name in PACKAGES} <= held
