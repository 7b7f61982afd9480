"""What a device imports: never torch, never the server's packages, and libp2p only when the network is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchao",
    "pandas",
    "polars",
    "sklearn",
    "scipy",
    "networkx",
    "server_training",
    "executorch",
)


def _imported_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["device_runtime", "p2p", "trust", "sdk"])
def test_a_device_package_imports_nothing_heavy(package: str) -> None:
    loaded = _imported_by(f"import {package}")
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint({"libp2p", "trio", "rich"})


def test_trust_needs_numpy_alone() -> None:
    assert _imported_by("import trust").isdisjoint({"cryptography", "msgpack", "sqlite3"})
