"""SQLite's errors as those of the SDK: damage, a full disk, a file system that refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sdk.errors import DiskFull, StoreCorrupted, StoreUnavailable

_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN}


@contextmanager
def translated(path: Path, corrupted: Callable[[object], StoreCorrupted]) -> Iterator[None]:
    """Turn SQLite's errors into the SDK's.

    Args:
        path: of the database.
        corrupted: makes the error that says what to do about a damaged file.

    Raises:
        StoreCorrupted: the file is damaged.
        DiskFull: there is no room left.
        StoreUnavailable: the file system refuses.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # a message, or a text, that quotes the damage
        raise corrupted(error) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGE:
            raise corrupted(error) from error
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(
                f"there is no room left for {path}; free some and try again. What was stored before is whole"
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise StoreUnavailable(
                f"{path} cannot be used now ({error}); free space or check the file system, and try again. "
                "What was stored before is whole"
            ) from error
        raise
