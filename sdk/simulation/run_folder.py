"""The folder of one run: the scenario, checkpoints while it runs, tables and the report when it has ended.

A run that was interrupted goes on from its last checkpoint and ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

from sdk.simulation.errors import RunInvalid
from sdk.simulation.protocol import Progress
from sdk.simulation.results import Result, write_tables
from sdk.simulation.snapshots import read_snapshot

SCENARIO_FILE, RESULT_FILE, REPORT_FILE = "scenario.toml", "result.json", "report.html"
_CHECKPOINT = "checkpoint"


class RunFolder:
    """One run's folder.

    Args:
        path: of the folder, made when it is not there.
        text: of the scenario.
        fresh: forget what is there instead of going on with it.

    Raises:
        RunInvalid: the folder holds a run of another scenario, or something else.
    """

    def __init__(self, path: Path, text: str, *, fresh: bool = False) -> None:
        self.path = path
        scenario = path / SCENARIO_FILE
        if fresh and scenario.exists():
            shutil.rmtree(path)
        if path.exists() and not path.is_dir():
            raise RunInvalid(f"{path} is a file; choose another folder with --out")
        if path.exists() and any(path.iterdir()) and not scenario.exists():
            raise RunInvalid(f"{path} holds other things than a simulation; choose another folder with --out")
        path.mkdir(parents=True, exist_ok=True)
        if scenario.exists() and scenario.read_text() != text:
            raise RunInvalid(
                f"{path} holds a run of another scenario; choose another folder, or begin anew with --fresh"
            )
        _write(scenario, text.encode())

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return (self.path / RESULT_FILE).exists()

    # -- checkpoints -----------------------------------------------------------------------------

    def keep(self, progress: Progress, snapshots: Sequence[bytes]) -> None:
        """Write a checkpoint, whole or not at all."""
        kept = pickle.dumps((progress, list(snapshots)), pickle.HIGHEST_PROTOCOL)
        _write(self.path / _CHECKPOINT, hashlib.sha256(kept).digest() + kept)

    def kept(self) -> tuple[Progress, list[bytes]] | None:
        """Return the last checkpoint; None where there is none.

        Raises:
            RunInvalid: it is damaged.
        """
        try:
            content = (self.path / _CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None
        digest, kept = content[:32], content[32:]
        if hashlib.sha256(kept).digest() != digest:
            raise RunInvalid(f"the checkpoint in {self.path} is damaged; begin anew with --fresh")
        found = read_snapshot(kept)
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], Progress):
            raise RunInvalid(f"the checkpoint in {self.path} is of another version; begin anew with --fresh")
        return found[0], list(found[1])

    # -- results ---------------------------------------------------------------------------------

    def finish(self, result: Result) -> None:
        """Write tables and result, and forget the checkpoint."""
        write_tables(result, self.path)
        _write(self.path / RESULT_FILE, result.to_bytes())
        (self.path / _CHECKPOINT).unlink(missing_ok=True)

    def result(self) -> Result:
        """Return what the run found.

        Raises:
            RunInvalid: it has not ended, or the file is damaged.
        """
        return Result.load(self.path / RESULT_FILE)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
