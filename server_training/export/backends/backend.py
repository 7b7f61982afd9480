"""What an export needs to know of a backend."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any, Literal

#  fp32; 8da8w: int8 weights per channel, int8 activations scaled per token when it runs, int8 embeddings; 8da4w: the
# same  with 4-bit weights in groups of 32; int8: everything int8 with scales fixed by calibration (PT2E).
Quantization = Literal["8da8w", "8da4w", "int8", "fp32"]


class Backend:
    """A backend; the attributes of a subclass say what it can do.

    Attributes:
        name: as given to `--backend`.
        target: what it runs on.
        quantizations: those it takes, the default first.
        varying: whether lengths may vary; where not, histories are padded and nothing is remembered.
        packages: what pip installs beside the extra `server`.
        environment: where these packages live, as `.ci/backend-environment` makes it; None for the usual one.
        tools: programs that must be on the PATH.
        check_guards: whether `torch.export` may leave guards in the graph that is quantised.
        fold_weights: whether `int8` weights are stored as such in the graph, or in float with their scales beside.
    """

    name: str
    target: str
    quantizations: tuple[Quantization, ...] = ("fp32",)
    varying: bool = False
    packages: tuple[str, ...] = ()
    environment: str | None = None
    modules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    check_guards: bool = True
    fold_weights: bool = True

    def missing(self) -> str | None:
        """Return what must be installed before it can be used, in words; None when nothing is missing."""
        lacking = [module for module in self.modules if not importable(module)]
        lacking += [tool for tool in self.tools if shutil.which(tool) is None]
        if not lacking:
            return None
        return (
            f"backend {self.name} lacks {', '.join(lacking)}; make it an environment of its own, as its packages "
            f"({', '.join(self.packages)}) change versions of others: "
            f"`.ci/backend-environment python3.11 .venv-{self.environment} {self.environment}`"
        )

    def partitioner(self, method: str) -> list[Any]:
        """Return the partitioners for one method; none for a program of portable operators."""
        raise NotImplementedError

    def quantizer(self) -> Any:
        """Return the PT2E quantizer of scheme `int8`."""
        raise NotImplementedError

    def compile_config(self) -> Any:
        """Return the `EdgeCompileConfig`, None for the default."""
        return None


def importable(module: str) -> bool:
    """Whether a module is installed."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
