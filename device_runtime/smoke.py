"""A trial of a bundle in a process of its own, before it becomes the active one.

ExecuTorch promises nothing for a program that its publisher built wrongly. If such a program ends its process, it ends
this one, and the device keeps the model it has. `python -m device_runtime.smoke FOLDER` tries an unpacked bundle whose
hashes were checked before, and prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from device_runtime.bundle_files import read_files
from device_runtime.catalog import Catalog
from device_runtime.errors import DeviceError, ModelFailed
from device_runtime.manifest import CATALOG_FILE, MANIFEST_FILE, MODEL_FILE, Manifest
from device_runtime.ranker import ModelRanker
from device_runtime.sequence import Action, HistoryEvent
from device_runtime.session import open_session
from device_runtime.steering import Ask

TIMEOUT_S = 120.0
_ITEMS = 10
_NOW = 1_700_000_000


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """What a trial found.

    Attributes:
        runtime: which runtime executed the program.
        open_ms: from reading the files to the first answer.
        answer_ms: of the last recommendation of ten, for the longest history.
        crashed_apart: whether a crash would have hit another process; not so where none can be started.
    """

    runtime: str
    open_ms: float
    answer_ms: float
    crashed_apart: bool


def smoke_run(folder: Path, *, timeout_s: float = TIMEOUT_S) -> SmokeReport:
    """Try an unpacked bundle, in another process where the platform can start one.

    Args:
        folder: whose hashes were checked before.
        timeout_s: after which a trial counts as failed.

    Raises:
        ModelFailed: the program crashes, hangs, does not load, or answers nonsense.
    """
    if not can_start_python():
        return _tried(folder, apart=False)
    command = [sys.executable, "-m", "device_runtime.smoke", str(folder.absolute())]  # the other process runs elsewhere
    package_parent = str(Path(__file__).resolve().parents[1])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=package_parent,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise ModelFailed(f"the model gave no answer within {timeout_s:.0f} s; the one before stays active") from error
    if done.returncode < 0:
        raise ModelFailed(f"the program ended its process by signal {-done.returncode}; the one before stays active")
    lines = done.stdout.strip().splitlines()
    try:
        return SmokeReport(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError) as error:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelFailed(f"the trial of the model failed: {said[:500]}") from error


def can_start_python() -> bool:
    """Whether this platform can run a second Python; Android and iOS apps cannot."""
    return bool(sys.executable) and sys.platform not in ("android", "ios") and not hasattr(sys, "getandroidapilevel")


def _tried(folder: Path, *, apart: bool) -> SmokeReport:
    began = time.perf_counter()
    files = read_files(folder)
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    catalog = Catalog.from_bytes(files[CATALOG_FILE], thorough=False)
    ranker = ModelRanker(manifest, catalog, open_session(files[MODEL_FILE], methods=manifest.method_infos))
    opened = time.perf_counter()
    wanted = min(_ITEMS, len(catalog))
    for events in (0, 1, 3, manifest.history_length, manifest.history_length + 1):
        began_answer = time.perf_counter()
        found = ranker.rank_rows(_history(catalog, events), wanted, now=_NOW)
        if len(found) != min(wanted, manifest.beam_width) and len(found) != wanted:
            raise ModelFailed(f"asked for {wanted} items the model gave {len(found)}")
        if not np.isfinite([score for _, score in found]).all() or len({row for row, _ in found}) != len(found):
            raise ModelFailed("the model gave an item twice, or a score that is not a number")
    _try_steering(ranker, catalog, wanted)
    answered = time.perf_counter()
    ranker.close()
    return SmokeReport(ranker.runtime, (opened - began) * 1e3, (answered - began_answer) * 1e3, apart)


def _try_steering(ranker: ModelRanker, catalog: Catalog, wanted: int) -> None:
    """Run everything that a request may steer, at both ends."""
    history, steering = _history(catalog, 3), ranker.steering
    for end in (0.0, 1.0):
        ask = Ask(**dict.fromkeys(steering.asks, end))
        ranker.rank_rows(history, wanted, now=_NOW, ask=ask, priors=dict.fromkeys(steering.adapters, end))


def _history(catalog: Catalog, events: int) -> list[HistoryEvent]:
    rows = np.linspace(0, len(catalog) - 1, max(events, 1)).astype(int)[:events]
    return [
        HistoryEvent(catalog.ids[row], Action.VIEW, _NOW - 60 * (events - n)) for n, row in enumerate(rows.tolist())
    ]


def main() -> int:
    """Try a bundle and print what was found."""
    try:
        report = _tried(Path(sys.argv[1]), apart=True)
    except (DeviceError, OSError, MemoryError, KeyError) as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    print(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
