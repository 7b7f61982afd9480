"""Reading a Parquet file in a process of its own first: some damaged pages end the process that reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from server_training.data.tables import parquet_tables
from server_training.errors import DataInvalid, Problem


def check_parquet(path: Path) -> None:
    """Make sure that reading a file, good or bad, does not end the process.

    Raises:
        DataInvalid: the process that tried it did not live through it.
    """
    command = [sys.executable, "-m", "server_training.data.parquet_check", str(path.resolve())]
    child = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[2], check=False)
    if child.returncode:
        message = "expected a readable Parquet file, but reading it ends the process; write it again"
        raise DataInvalid([Problem(path.name, message)])


def _try(path: Path) -> None:
    try:
        for _ in parquet_tables(path):
            pass
    except DataInvalid:
        pass  # said in full by the process that reads it for good


if __name__ == "__main__":
    _try(Path(sys.argv[1]))
