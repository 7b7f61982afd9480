"""npm packages that tests need, pinned beside the tests and kept outside the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGES = ("package.json", "package-lock.json")
_PATIENCE_S = 300.0


def install_packages(pinned: Path) -> Path:
    """Return a folder with the npm packages that the files of `pinned` name, made on first use.

    It is filled under another name and renamed, so that what is there is whole even if a run was interrupted.
    """
    digest = hashlib.sha256(b"".join((pinned / name).read_bytes() for name in PACKAGES)).hexdigest()[:16]
    target = _cache_folder() / f"{pinned.name}-{digest}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{pinned.name}-", dir=target.parent) as scratch:
        _npm_ci(pinned, Path(scratch, "packages"))
        try:
            Path(scratch, "packages").rename(target)
        except OSError:  # another run was faster, or the disk is at fault
            if not target.is_dir():
                raise
    return target


def _npm_ci(pinned: Path, folder: Path) -> None:
    folder.mkdir()
    for name in PACKAGES:
        shutil.copy(pinned / name, folder)
    # None of the packages needs its install script, so none of them gets to run anything here.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    if done.returncode != 0:
        raise RuntimeError(f"npm ci failed:\n{done.stdout}{done.stderr}")


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named if named.startswith("/") else Path.home() / ".cache") / "meritrec"
