"""ExecuTorch's OpenVINO backend, where Intel's package `openvino` is installed."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
from pathlib import Path

_BACKEND = "libexecutorch_backend_openvino.so"
_PATH = "OPENVINO_LIB_PATH"  # which the backend reads

_log = logging.getLogger(__name__)


def register_openvino(libraries: Path) -> bool:
    """Make programs for OpenVINO loadable, and say whether they are.

    The backend registers itself when its library is loaded, and loads OpenVINO at its first use. Nothing is loaded, and
    nothing costs a device anything, where OpenVINO is not installed.

    Args:
        libraries: folder of ExecuTorch's shared libraries, of which the first must be loaded already.
    """
    backend, runtime = libraries / _BACKEND, os.environ.get(_PATH) or _installed()
    if runtime is None or not backend.is_file():
        return False
    os.environ[_PATH] = runtime
    try:
        ctypes.CDLL(str(backend))
    except OSError as error:  # other programs run without it
        _log.warning("ExecuTorch's OpenVINO backend does not load (%s); programs for it cannot run", error)
        return False
    return True


def _installed() -> str | None:
    """The C library of the installed package, found without importing it."""
    spec = importlib.util.find_spec("openvino")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(place, "libs").glob("libopenvino_c.so*"))
        if found:
            return str(found[0])
    return None
