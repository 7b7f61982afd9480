"""Writing a file so that a reader sees the old one or the new one, never half of it; hashing a file.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, content: bytes | Callable[[Path], object]) -> None:
    """Write ``path`` through a temporary file beside it, which then takes its name.

    Args:
        path: the file to make or to replace; its folder must exist.
        content: the bytes, or a function that writes them to the path it is given.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def default_cache() -> Path:
    """Where fetched files are kept: the folder ``MERITREC_CACHE`` names, or ``meritrec`` in the user's cache."""
    return Path(os.environ.get("MERITREC_CACHE") or Path.home() / ".cache" / "meritrec")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
