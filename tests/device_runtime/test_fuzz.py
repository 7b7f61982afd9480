"""A hundred thousand hostile bundles."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = 100_000
KINDS = {"files", "manifest", "catalog", "signature", "replay", "zip", "delta", "program"}


@pytest.mark.slow
def test_a_hundred_thousand_hostile_bundles_end_in_named_errors() -> None:
    command = [sys.executable, "-m", "tests.device_runtime.fuzz_bundles", "--cases", str(CASES), "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    (executed,) = re.findall(r"^executed (\d+) cases$", done.stdout, re.MULTILINE)
    assert int(executed) >= CASES
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} >= KINDS
    print(done.stdout)
