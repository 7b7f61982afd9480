"""How the binding is found, built, cached, and how its absence is explained."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from device_runtime import RuntimeUnavailable
from device_runtime.native_library import ExecutorchWheel, native_library
from device_runtime.openvino import register_openvino

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "meritrec"


def test_several_processes_may_build_at_once(cache: Path) -> None:
    command = [sys.executable, "-m", "device_runtime.native"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in "ab"
    ]
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    (built,) = cache.iterdir()
    for out, error in outputs:
        assert str(built) in out
        assert "executorch 1.5.1" in out
        assert error == ""
    before = built.stat().st_mtime_ns
    assert native_library() == built
    assert built.stat().st_mtime_ns == before


def test_without_a_compiler_the_reason_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match=r"apt-get install g\+\+"):
        native_library()
    assert not cache.exists()


def test_a_failed_build_is_explained_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "binding.cpp"
    source.write_text("this is not C++\n")
    monkeypatch.setattr("device_runtime.native_library._SOURCE", source)
    with pytest.raises(RuntimeUnavailable, match=r"could not build.*error"):
        native_library()
    assert list(cache.iterdir()) == []


def test_an_unusable_cache_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RuntimeUnavailable, match="cannot be kept"):
        native_library()


def test_a_missing_executorch_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match="pip install"):
        ExecutorchWheel.find()


def test_another_executorch_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "executorch").mkdir()
    (tmp_path / "executorch" / "__init__.py").touch()
    (tmp_path / "executorch-1.4.1.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "executorch", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(RuntimeUnavailable, match=r"1\.4\.1 is installed"):
        ExecutorchWheel.find()


def test_an_executorch_without_libraries_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_runtime.native_library._file_name", lambda library: f"{library}.none")
    with pytest.raises(RuntimeUnavailable, match="no C\\+\\+ libraries"):
        ExecutorchWheel.find()


def test_openvino_is_registered_only_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = ExecutorchWheel.find().libraries
    monkeypatch.delenv("OPENVINO_LIB_PATH", raising=False)
    monkeypatch.setattr("device_runtime.openvino.importlib.util.find_spec", lambda name: None)
    assert not register_openvino(libraries)
    monkeypatch.setenv("OPENVINO_LIB_PATH", str(tmp_path / "libopenvino_c.so"))
    assert not register_openvino(tmp_path)
    (tmp_path / "libexecutorch_backend_openvino.so").write_bytes(b"no library")
    assert not register_openvino(tmp_path)
