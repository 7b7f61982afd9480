"""Finds or builds the native binding: `binding.cpp` compiled against the libraries inside the `executorch` wheel.

The wheel is found without importing it, because importing it would import torch. The library is built once, in seconds,
and kept in the user's cache under a name made of everything it depends on, so an upgrade builds a new one. Several
processes may build at once: each builds its own file and renames it into place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from device_runtime.errors import RuntimeUnavailable

SUPPORTED_VERSION = "1.5.1"
_SOURCE = Path(__file__).with_name("binding.cpp")
_COMPILERS = ("g++", "c++", "clang++")
_LIBRARIES = (
    "executorch",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_backend_xnnpack",
    "executorch_threadpool",
)
_FLAGS = (
    *("-O2", "-std=c++17", "-shared", "-fPIC", "-w"),
    *("-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED"),
)
_BUILD_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class ExecutorchWheel:
    """An installed ExecuTorch: its version and its folder."""

    version: str
    folder: Path

    @property
    def libraries(self) -> Path:
        """Where its shared libraries are."""
        return self.folder / "lib"

    @classmethod
    def find(cls) -> ExecutorchWheel:
        """Find it without importing it.

        Raises:
            RuntimeUnavailable: it is not installed, of another version, or without C++ libraries.
        """
        spec = importlib.util.find_spec("executorch")
        places = list(spec.submodule_search_locations or ()) if spec else []
        versions = {place: version for place in places if (version := _installed_version(place))}
        if not versions:
            raise RuntimeUnavailable("ExecuTorch is not installed; run `pip install 'meritrec[runtime]'`")
        place, version = next(iter(versions.items()))
        if version.split("+")[0] != SUPPORTED_VERSION:
            raise RuntimeUnavailable(
                f"the native runtime is written for executorch {SUPPORTED_VERSION}, {version} is installed; "
                f"run `pip install executorch=={SUPPORTED_VERSION}`"
            )
        wheel = cls(version, Path(place).resolve())
        if not (wheel.libraries / _file_name("executorch")).is_file():
            raise RuntimeUnavailable(f"executorch {version} in {wheel.folder} has no C++ libraries for this platform")
        return wheel


def _installed_version(package: str) -> str | None:
    """Read it from the name of the folder that pip leaves beside a package: importlib.metadata costs 3 MB."""
    found = sorted(path.name for path in Path(package).parent.glob("executorch-*.dist-info"))
    return found[-1].removeprefix("executorch-").removesuffix(".dist-info") if found else None


def native_library() -> Path:
    """Return the path of the compiled binding, building it if it is not in the cache.

    Raises:
        RuntimeUnavailable: ExecuTorch or a C++ compiler is missing, or the build failed.
    """
    wheel = ExecutorchWheel.find()
    target = _cache_folder() / f"binding-{_fingerprint(wheel)}.so"
    try:
        if not target.is_file():
            _build(wheel, target)
        if target.stat().st_uid not in (0, os.getuid()):
            raise RuntimeUnavailable(f"{target} belongs to another user and is not loaded; remove it")
    except OSError as error:
        raise RuntimeUnavailable(f"the native runtime cannot be kept in {target.parent} ({error})") from error
    return target


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):  # the XDG specification: relative paths are ignored
        return Path(named) / "meritrec"
    try:
        return Path.home() / ".cache" / "meritrec"
    except RuntimeError as error:
        raise RuntimeUnavailable(f"there is no cache folder for the native runtime ({error})") from error


def _fingerprint(wheel: ExecutorchWheel) -> str:
    digest = hashlib.sha256(_SOURCE.read_bytes())
    for part in (*_FLAGS, wheel.version, wheel.folder, platform.machine()):
        digest.update(f"\0{part}".encode())
    for name in _LIBRARIES:
        digest.update(f"\0{(wheel.libraries / _file_name(name)).stat().st_size}".encode())
    return digest.hexdigest()[:24]


def _build(wheel: ExecutorchWheel, target: Path) -> None:
    # Imported when needed: a device that has its library keeps the megabyte.
    import shutil
    import subprocess
    import tempfile

    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise RuntimeUnavailable("the native runtime needs a C++ compiler once; run `apt-get install g++`")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        built = Path(scratch) / target.name
        try:
            done = subprocess.run(
                _command(compiler, wheel, built), capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeUnavailable(f"{compiler} did not finish within {_BUILD_TIMEOUT_S} s") from error
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-400:])
            raise RuntimeUnavailable(f"{compiler} could not build the native runtime: {first}")
        built.replace(target)


def _command(compiler: str, wheel: ExecutorchWheel, built: Path) -> list[str]:
    include = wheel.folder / "include"
    return [
        compiler,
        *_FLAGS,
        f"-I{include}",
        f"-I{include / 'executorch/runtime/core/portable_type/c10'}",
        str(_SOURCE),
        *("-o", str(built)),
        f"-L{wheel.libraries}",
        # The kernels and backends register themselves when loaded, so nothing refers to them by name. macOS links
        # every library it is given and has no such flag.
        *(["-Wl,--no-as-needed"] if sys.platform != "darwin" else []),
        *(f"-l{name}" for name in _LIBRARIES),
        f"-Wl,-rpath,{wheel.libraries}",
    ]


def _file_name(library: str) -> str:
    return f"lib{library}.{'dylib' if sys.platform == 'darwin' else 'so'}"
