"""Finds ExecuTorch's shared libraries and headers inside its wheel, without importing it: that would import torch.

This module and `native_build` need nothing but the standard library: `setup.py` uses both where nothing is installed.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from device_runtime.errors import RuntimeUnavailable

SUPPORTED_VERSION = "1.5.1"
LIBRARIES = (  # each after those that it needs
    "executorch",
    "executorch_threadpool",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_backend_xnnpack",
)


@dataclass(frozen=True, slots=True)
class ExecutorchWheel:
    """An installed or unpacked ExecuTorch: its version and its folder."""

    version: str
    folder: Path

    @property
    def library_folder(self) -> Path:
        """Where its shared libraries are."""
        return self.folder / "lib"

    @property
    def libraries(self) -> list[Path]:
        """The shared libraries that the binding needs, each after those that it needs itself."""
        return [self.library_folder / _file_name(name) for name in LIBRARIES]

    @classmethod
    def find(cls) -> ExecutorchWheel:
        """Find the installed one.

        Raises:
            RuntimeUnavailable: it is not installed, of another version, or without C++ libraries.
        """
        spec = importlib.util.find_spec("executorch")
        places = list(spec.submodule_search_locations or ()) if spec else []
        place = next(filter(_installed_version, places), None)
        if place is None:
            raise RuntimeUnavailable("ExecuTorch is not installed; run `pip install 'meritrec[runtime]'`")
        return cls.at(Path(place))

    @classmethod
    def at(cls, folder: Path) -> ExecutorchWheel:
        """Take the one in `folder`, beside which pip's `executorch-….dist-info` lies.

        Raises:
            RuntimeUnavailable: nothing is there, or it is of another version or without C++ libraries.
        """
        version = _installed_version(str(folder))
        if version is None:
            raise RuntimeUnavailable(f"there is no ExecuTorch in {folder}")
        if version.split("+")[0] != SUPPORTED_VERSION:
            raise RuntimeUnavailable(
                f"the native runtime is written for executorch {SUPPORTED_VERSION}, {version} is installed; "
                f"run `pip install executorch=={SUPPORTED_VERSION}`"
            )
        wheel = cls(version, folder.resolve())
        if not all(library.is_file() for library in wheel.libraries):
            raise RuntimeUnavailable(f"executorch {version} in {wheel.folder} has no C++ libraries for this platform")
        return wheel


def _installed_version(package: str) -> str | None:
    """Read it from the name of the folder that pip leaves beside a package: importlib.metadata costs 3 MB."""
    found = sorted(path.name for path in Path(package).parent.glob("executorch-*.dist-info"))
    return found[-1].removeprefix("executorch-").removesuffix(".dist-info") if found else None


def _file_name(library: str) -> str:
    return f"lib{library}.{'dylib' if sys.platform == 'darwin' else 'so'}"
