"""What a device imports: never torch, never the server's packages, and libp2p only when the network is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.facts import FOLDER, NOW, PINNED

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


_ON_A_PHONE = """
import sys
from pathlib import Path

ABSENT = "torch torchao pandas polars scipy sklearn cryptography cffi msgpack umsgpack noise libp2p trio zeroconf"
ABSENT = ABSENT.split()
sys.modules.update(dict.fromkeys(ABSENT))  # None: neither found nor imported

import sdk.android
from device_runtime import Bundle, CryptoUnavailable, ModelRanker, use_verifier
from p2p import Identity

folder, key, now = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3])
for refused in (lambda: Bundle.open(folder, trusted_keys=[key], now=now), Identity.create):
    try:
        refused()
    except Exception as error:
        print(type(error).__name__, "sdk.android" in str(error))

class AnySignature:
    def verify(self, key, signature, message):
        return len(key) == 32 and len(signature) == 64

use_verifier(AnySignature())
with_items = ModelRanker.open(Bundle.open(folder, trusted_keys=[key], now=now)).rank([], 3, now=now)
print(len(with_items), [name for name in ABSENT if sys.modules[name] is not None])
"""


def test_the_face_for_android_needs_nothing_that_has_no_wheel_there() -> None:
    """Imports it, opens a bundle and ranks; `tests/android` does the same in a JVM, with real signatures."""
    command = [sys.executable, "-c", _ON_A_PHONE, str(FOLDER), PINNED.public.hex(), str(NOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["CryptoUnavailable True", "CryptoUnavailable True", "3 []"]


# https://numpy.org/doc/2.0/release/2.0.0-notes.html and those of 2.1 to 2.3
_NEW_IN_NUMPY_2 = """
acos acosh asin asinh astype atan atan2 atanh bitwise_count bitwise_invert bitwise_left_shift bitwise_right_shift bool
concat cumulative_prod cumulative_sum isdtype long matrix_transpose matvec permute_dims pow strings trapezoid ulong
unique_all unique_counts unique_inverse unique_values unstack vecdot vecmat
"""


def test_the_device_calls_nothing_that_phones_numpy_lacks() -> None:
    """Chaquopy has numpy 1.26 for Python 3.11; `getattr` with a default is the way to use what is newer."""
    root = Path(__file__).parents[2]
    found = [
        f"{path.relative_to(root)}:{node.lineno} np.{node.attr}"
        for package in ("device_runtime", "p2p", "trust", "sdk")
        for path in sorted((root / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np"
        if node.attr in _NEW_IN_NUMPY_2.split()
    ]
    assert found == []
