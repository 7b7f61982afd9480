"""How the binding is found, built, cached, and how its absence is explained."""

from __future__ import annotations

import importlib
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from device_runtime import RuntimeUnavailable
from device_runtime.executorch_wheel import ExecutorchWheel
from device_runtime.native_build import binding_name, compile_binding, find_compiler, platform_tag
from device_runtime.native_library import built_binding, load_binding, shipped_binding
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
        assert "executorch 1.5.1; its binding was built on this machine" in out
        assert error == ""
    before = built.stat().st_mtime_ns
    assert built_binding(ExecutorchWheel.find()) == built
    assert built.stat().st_mtime_ns == before


@pytest.mark.parametrize(("named", "reason"), [("", "needs a C"), ("no-such-cxx", "CXX names no-such-cxx")])
def test_without_a_compiler_the_reason_says_what_to_install(
    cache: Path, monkeypatch: pytest.MonkeyPatch, named: str, reason: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setenv("CXX", named)
    with pytest.raises(RuntimeUnavailable, match=rf"{reason}.*apt-get install g\+\+"):
        built_binding(ExecutorchWheel.find())
    assert not cache.exists()


def test_a_failed_build_is_explained_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "binding.cpp"
    source.write_text("this is not C++\n")
    monkeypatch.setattr("device_runtime.native_build._SOURCE", source)
    with pytest.raises(RuntimeUnavailable, match=r"could not build.*error"):
        built_binding(ExecutorchWheel.find())
    assert list(cache.iterdir()) == []


def test_an_unusable_cache_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RuntimeUnavailable, match="cannot be kept"):
        built_binding(ExecutorchWheel.find())


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
    monkeypatch.setattr("device_runtime.executorch_wheel._file_name", lambda library: f"{library}.none")
    with pytest.raises(RuntimeUnavailable, match="no C\\+\\+ libraries"):
        ExecutorchWheel.find()


def test_openvino_is_registered_only_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = ExecutorchWheel.find().library_folder
    monkeypatch.delenv("OPENVINO_LIB_PATH", raising=False)
    monkeypatch.setattr("device_runtime.openvino.importlib.util.find_spec", lambda name: None)
    assert not register_openvino(libraries)
    monkeypatch.setenv("OPENVINO_LIB_PATH", str(tmp_path / "libopenvino_c.so"))
    assert not register_openvino(tmp_path)
    (tmp_path / "libexecutorch_backend_openvino.so").write_bytes(b"no library")
    assert not register_openvino(tmp_path)


def test_a_shipped_binding_that_does_not_load_is_replaced_and_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "binding.so"
    shipped.write_bytes(b"of another system")
    monkeypatch.setattr("device_runtime.native_library.shipped_binding", lambda: shipped)
    binding = load_binding.__wrapped__()
    assert binding.path == built_binding(ExecutorchWheel.find())
    assert f"built on this machine, because {shipped} cannot be loaded" in binding.origin


def test_a_shipped_binding_is_taken_and_nothing_is_built(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "binding.so"
    monkeypatch.setattr("device_runtime.native_library.shipped_binding", lambda: shipped)
    compile_binding(find_compiler(), ExecutorchWheel.find(), shipped)
    binding = load_binding.__wrapped__()
    assert (binding.path, binding.origin) == (shipped, "its binding came with the package")
    assert not cache.exists()


def test_names_differ_where_a_binding_would_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = binding_name("x86_64")
    assert shipped_binding().name == binding_name(platform.machine())
    assert here.startswith("binding-1.5.1-x86_64-")
    (tmp_path / "binding.cpp").write_text("int changed;")
    monkeypatch.setattr("device_runtime.native_build._SOURCE", tmp_path / "binding.cpp")
    assert len({here, binding_name("x86_64"), binding_name("aarch64")}) == 3


def elf(machine: int, *symbols: str) -> bytes:
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + "\0".join(("", *symbols, "")).encode()


@pytest.mark.parametrize(
    ("content", "tag"),
    [
        (elf(62, "GLIBC_2.2.5", "GLIBC_2.17", "GLIBCXX_3.4.21"), "manylinux_2_28_x86_64"),
        (elf(183, "GLIBC_2.34", "GLIBC_2.32", "GLIBCXX_3.4.9"), "manylinux_2_34_aarch64"),
        (elf(62, "GLIBC_2.34", "GLIBCXX_3.4.30"), "linux_x86_64"),
    ],
)
def test_the_tag_names_the_oldest_system_that_has_every_symbol(content: bytes, tag: str, tmp_path: Path) -> None:
    (tmp_path / "binding.so").write_bytes(content)
    assert platform_tag(tmp_path / "binding.so") == tag


@pytest.mark.parametrize("content", [b"", b"MZ", elf(40, "GLIBC_2.4")])
def test_other_libraries_get_no_tag(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "binding.so").write_bytes(content)
    with pytest.raises(RuntimeUnavailable, match="no library for Linux on x86_64 or aarch64"):
        platform_tag(tmp_path / "binding.so")
