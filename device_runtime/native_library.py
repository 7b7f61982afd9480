"""Loads the native binding: the one that the package brought, else one built on this machine.

A wheel for a platform brings the binding compiled (`setup.py`). Where it does not, or cannot be loaded, the binding is
compiled once, in seconds, and kept in the user's cache under a name made of everything it depends on, so an upgrade
builds a new one. Several processes may build at once: each builds its own file and renames it into place.

ExecuTorch's libraries are loaded first and by their paths. The binding names them without a path and is given those, so
one binding serves every folder that ExecuTorch is installed in.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from device_runtime.errors import RuntimeUnavailable
from device_runtime.executorch_wheel import ExecutorchWheel
from device_runtime.native_build import binding_name, compile_binding, find_compiler
from device_runtime.openvino import register_openvino


@dataclass(frozen=True, slots=True)
class Binding:
    """The loaded binding.

    Attributes:
        library: its functions.
        path: its file.
        origin: a sentence on where it comes from.
        executorch: the version of the ExecuTorch that it runs on.
    """

    library: ctypes.CDLL
    path: Path
    origin: str
    executorch: str


@functools.cache
def load_binding() -> Binding:
    """Load ExecuTorch and the binding, which is built where the package brought none that fits.

    Raises:
        RuntimeUnavailable: ExecuTorch or a C++ compiler is missing, the build failed, or a library does not load.
    """
    wheel = ExecutorchWheel.find()
    for library in wheel.libraries:
        _load(library, "install executorch again")
    register_openvino(wheel.library_folder)
    origin = "its binding was built on this machine"
    shipped = shipped_binding()
    if shipped.is_file():
        try:
            return Binding(_load(shipped), shipped, "its binding came with the package", wheel.version)
        except RuntimeUnavailable as error:  # a system older than the one it was built on, say
            origin = f"{origin}, because {error}"
    path = built_binding(wheel)
    return Binding(_load(path, "remove it, it is built again"), path, origin, wheel.version)


def shipped_binding() -> Path:
    """Where the package's own binding for this machine and this ExecuTorch lies, if it brought one."""
    return Path(__file__).with_name(binding_name(platform.machine()))


def built_binding(wheel: ExecutorchWheel) -> Path:
    """Return the path of the binding in the user's cache, building it if it is not there.

    Raises:
        RuntimeUnavailable: a C++ compiler is missing, the build failed, or the cache cannot be used.
    """
    target = _cache_folder() / binding_name(platform.machine())
    try:
        if not target.is_file():
            compile_binding(find_compiler(), wheel, target)
        if target.stat().st_uid not in (0, os.getuid()):
            raise RuntimeUnavailable(f"{target} belongs to another user and is not loaded; remove it")
    except OSError as error:
        raise RuntimeUnavailable(f"the native runtime cannot be kept in {target.parent} ({error})") from error
    return target


def _load(path: Path, advice: str = "") -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeUnavailable(f"{path} cannot be loaded ({error})" + (advice and f"; {advice}")) from error


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):  # the XDG specification: relative paths are ignored
        return Path(named) / "meritrec"
    try:
        return Path.home() / ".cache" / "meritrec"
    except RuntimeError as error:
        raise RuntimeUnavailable(f"there is no cache folder for the native runtime ({error})") from error
