"""Writing Parquet so that a full disk is what it is everywhere else: an OSError."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl


def written(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with the path.

    Raises:
        OSError: the disk is full, or the file cannot be written; polars has errors of its own for that.
    """
    try:
        write(path)
    except pl.exceptions.PolarsError as error:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
