"""Writing tensors so that a full disk is an OSError and leaves the old file."""

from __future__ import annotations

from pathlib import Path

import torch

from server_training.files import write_atomically


def save_tensors(path: Path, content: object) -> None:
    """Replace a file by what `torch.save` writes.

    Raises:
        OSError: the disk is full; the old file stays. torch's own error for that names no cause.
    """
    write_atomically(path, lambda temporary: _save(temporary, content))


def _save(path: Path, content: object) -> None:
    with path.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from error
            raise
