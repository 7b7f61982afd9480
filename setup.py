"""Builds wheels: Python alone, or with the native binding compiled, where a compiler and ExecuTorch's files are there.

ExecuTorch is looked for in `MERITREC_EXECUTORCH`, a wheel of it or the folder it is installed in, and, where that is
not set, among the packages of the Python that builds. It is no requirement of the build: it would drag dozens of others
in. A wheel without the binding works: a device with a compiler builds it at first use. `docs/runtime.md` has more.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
import types
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

if TYPE_CHECKING:
    from collections.abc import Iterator

# The package without what its __init__ imports: numpy and others need not be there to build it.
_package = types.ModuleType("device_runtime")
_package.__path__ = [str(Path(__file__).resolve().with_name("device_runtime"))]
sys.modules["device_runtime"] = _package

from device_runtime.errors import RuntimeUnavailable  # noqa: E402
from device_runtime.executorch_wheel import ExecutorchWheel  # noqa: E402
from device_runtime.native_build import (  # noqa: E402
    binding_name,
    compile_binding,
    compiler_machine,
    find_compiler,
    platform_tag,
)

_VARIABLE = "MERITREC_EXECUTORCH"


class Meritrec(Distribution):
    """The distribution, and the binding that was compiled for it."""

    binding: Path | None = None

    def has_ext_modules(self) -> bool:
        """Whether it fits one platform only."""
        return self.binding is not None


class BuildPackages(build_py):
    """Copies the packages and compiles the binding beside them; an editable install builds it at first use instead."""

    distribution: Meritrec

    def run(self) -> None:
        """Copy and compile."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "device_runtime"
        for earlier in folder.glob("binding-*.so"):
            earlier.unlink()
        named = os.environ.get(_VARIABLE)
        try:
            with _executorch(named) as wheel:
                compiler = find_compiler()
                target = folder / binding_name(compiler_machine(compiler))
                compile_binding(compiler, wheel, target)
            platform_tag(target)
        except RuntimeUnavailable as error:
            if named:
                raise SystemExit(f"{_VARIABLE} asks for the native binding, but {error}") from error
            self.warn(f"the wheel is without the native binding, devices build it at first use: {error}")
        else:
            self.distribution.binding = target


class BuildWheel(bdist_wheel):
    """Names the wheel after the platform that its binding needs; any Python 3 may load that."""

    distribution: Meritrec

    def run(self) -> None:
        """Compile first: whether a binding is there decides where the packages go in the wheel."""
        self.run_command("build_py")
        self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        """The wheel's tag."""
        binding = self.distribution.binding
        return super().get_tag() if binding is None else ("py3", "none", platform_tag(binding))


@contextmanager
def _executorch(named: str | None) -> Iterator[ExecutorchWheel]:
    """The ExecuTorch to compile against."""
    if sys.platform != "linux":
        raise RuntimeUnavailable("wheels bring it for Linux only")
    if not named:
        yield ExecutorchWheel.at(Path(sysconfig.get_path("platlib")) / "executorch")
    elif zipfile.is_zipfile(named):
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(named) as archive:
            wanted = ("executorch/include/", "executorch/lib/", "executorch-")
            archive.extractall(scratch, (name for name in archive.namelist() if name.startswith(wanted)))
            yield ExecutorchWheel.at(Path(scratch) / "executorch")
    else:
        yield ExecutorchWheel.at(Path(named))


setup(distclass=Meritrec, cmdclass={"build_py": BuildPackages, "bdist_wheel": BuildWheel})
