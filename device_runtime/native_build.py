"""Compiles `binding.cpp` against the libraries inside the `executorch` wheel.

That happens when a wheel of meritrec is built, or on a device at first use; `setup.py` and `native_library` say where
the library goes.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from device_runtime.errors import RuntimeUnavailable
from device_runtime.executorch_wheel import LIBRARIES, SUPPORTED_VERSION, ExecutorchWheel

_SOURCE = Path(__file__).with_name("binding.cpp")
_COMPILERS = ("g++", "c++", "clang++")
_FLAGS = (
    *("-O2", "-std=c++17", "-shared", "-fPIC", "-w"),
    *("-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED"),
)
_BUILD_TIMEOUT_S = 300
_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
# ExecuTorch's own wheels run on glibc 2.28, whose distributions have a libstdc++ with symbols up to 3.4.25.
_OLDEST_GLIBC, _NEWEST_LIBSTDCXX = 28, 25


def binding_name(machine: str) -> str:
    """The file name of a binding: another source, ExecuTorch or machine gives another name, so none is mistaken.

    Args:
        machine: as `platform.machine()` says it on the device.
    """
    digest = hashlib.sha256(_SOURCE.read_bytes())
    for part in (*_FLAGS, *LIBRARIES):
        digest.update(f"\0{part}".encode())
    return f"binding-{SUPPORTED_VERSION}-{machine}-{digest.hexdigest()[:16]}.so"


def find_compiler() -> str:
    """The C++ compiler: `CXX` where it is set, else what is installed.

    Raises:
        RuntimeUnavailable: there is none.
    """
    import shutil

    named = os.environ.get("CXX")
    compiler = next(filter(None, map(shutil.which, (named,) if named else _COMPILERS)), None)
    if compiler is None:
        missing = f"CXX names {named}, which is not there" if named else "it needs a C++ compiler once"
        raise RuntimeUnavailable(f"the native runtime is not built: {missing}; run `apt-get install g++`")
    return compiler


def compile_binding(compiler: str, wheel: ExecutorchWheel, target: Path) -> None:
    """Compile the binding into `target`, which appears whole or not at all.

    Raises:
        RuntimeUnavailable: the compiler failed; the message holds its first error.
        OSError: the folder cannot be written.
    """
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        built = Path(scratch) / target.name
        _run(_command(compiler, wheel, built))
        built.replace(target)


def compiler_machine(compiler: str) -> str:
    """The machine that a compiler compiles for, as `platform.machine()` says it there.

    Raises:
        RuntimeUnavailable: the compiler does not say.
    """
    return _run([compiler, "-dumpmachine"]).strip().split("-")[0]


def platform_tag(binding: Path) -> str:
    """The platform tag of a wheel that holds `binding`, read from the symbols it needs: `manylinux_2_34_aarch64`.

    Raises:
        RuntimeUnavailable: it is no library for Linux on x86-64 or aarch64.
    """
    content = binding.read_bytes()
    machine = _ELF_MACHINES.get(int.from_bytes(content[18:20], "little")) if content[:4] == b"\x7fELF" else None
    if machine is None:
        raise RuntimeUnavailable(f"{binding} is no library for Linux on {' or '.join(_ELF_MACHINES.values())}")
    if _newest(rb"GLIBCXX_3\.4\.(\d+)", content) > _NEWEST_LIBSTDCXX:
        return f"linux_{machine}"
    glibc = max(_OLDEST_GLIBC, _newest(rb"GLIBC_2\.(\d+)", content))
    return f"manylinux_2_{glibc}_{machine}"


def _newest(version: bytes, content: bytes) -> int:
    return max(map(int, re.findall(version, content)), default=0)


def _run(command: list[str]) -> str:
    # Imported when needed, as the others: a device that has its library keeps the megabyte.
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeUnavailable(f"{command[0]} did not finish within {_BUILD_TIMEOUT_S} s") from error
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-400:])
        raise RuntimeUnavailable(f"{command[0]} could not build the native runtime: {first}")
    return done.stdout


def _command(compiler: str, wheel: ExecutorchWheel, built: Path) -> list[str]:
    include = wheel.folder / "include"
    return [
        compiler,
        *_FLAGS,
        f"-I{include}",
        f"-I{include / 'executorch/runtime/core/portable_type/c10'}",
        str(_SOURCE),
        *("-o", str(built)),
        f"-L{wheel.library_folder}",
        # The kernels and backends register themselves when loaded, so nothing refers to them by name. macOS links
        # every library it is given and has no such flag.
        *(["-Wl,--no-as-needed"] if sys.platform != "darwin" else [f"-Wl,-rpath,{wheel.library_folder}"]),
        *(f"-l{name}" for name in LIBRARIES),
    ]
