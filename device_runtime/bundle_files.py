"""The files of a bundle, in a folder or in a zip without compression: names and sizes first, contents when asked.

Nothing here is verified. What is refused is what bundles never have: links, nested or odd names, compression, doubles,
giants. So a hostile bundle cannot make a device read outside it or unpack gigabytes before its signature is checked.
"""

from __future__ import annotations

import mmap
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from device_runtime.errors import BundleMissing, BundleTampered
from device_runtime.manifest import is_file_name

MAX_FILE_BYTES = 1 << 30
MAX_FILES = 64
_PIECE_BYTES = 1 << 20
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


class BundleFiles(Protocol):
    """Names, sizes and contents."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Length of every file by name."""
        ...

    def read(self, name: str, *, mapped: bool = False) -> bytes | memoryview:
        """Return a file's content, as long as `sizes` says.

        Args:
            name: of the file.
            mapped: where it is a file of its own, map it instead of reading it: only for folders that nobody else
                writes to, as a file that shrinks while it is mapped ends the process.

        Raises:
            BundleTampered: it cannot be read so.
        """
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's content piece by piece, altogether as long as `sizes` says.

        Raises:
            BundleTampered: it cannot be read so.
        """
        ...


@contextmanager
def open_files(path: Path) -> Iterator[BundleFiles]:
    """Open a bundle folder or zip.

    Raises:
        BundleMissing: nothing readable is there.
        BundleTampered: it is built in a way that bundles are not.
    """
    if path.is_dir():
        yield _Folder(path)
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except PermissionError as error:
            raise BundleMissing(f"{path} cannot be read ({error.strerror}); check its permissions") from error
        except _ZIP_ERRORS as error:
            raise BundleTampered(
                f"{path} is neither a bundle folder nor a whole zip ({error}); get it again"
            ) from error
        with archive:
            yield _Zip(path, archive)
    else:
        raise BundleMissing(f"there is no bundle at {path}; check the path")


def read_files(path: Path) -> dict[str, bytes]:
    """Read every file of a bundle that is at hand and not from a stranger, such as one to be signed.

    Raises:
        BundleMissing, BundleTampered: see `open_files`.
    """
    with open_files(path) as files:
        return {name: bytes(files.read(name)) for name in files.sizes}


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[str, int] = {}
        try:
            entries = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            raise BundleMissing(f"{path} cannot be read ({error.strerror}); check its permissions") from error
        _check_count(path, len(entries))
        for name in entries:
            status = (path / name).lstat()
            if not stat.S_ISREG(status.st_mode):
                raise BundleTampered(f"{path}: {name[:80]!r} is not a plain file; get the bundle again")
            _check_entry(path, name, status.st_size)
            self._sizes[name] = status.st_size

    @property
    def sizes(self) -> Mapping[str, int]:
        return self._sizes

    def read(self, name: str, *, mapped: bool = False) -> bytes | memoryview:
        if not mapped or not self._sizes[name]:
            return b"".join(self.chunks(name))
        with self._opened(name) as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if len(view) != self._sizes[name]:
            raise _changed(self._path, name)
        return view

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._opened(name) as file:
            yield from _pieces(self._path, name, file, self._sizes[name])

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                yield file
        except (OSError, ValueError) as error:
            raise BundleTampered(f"{self._path}: {name} cannot be read ({error}); get it again") from error


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._entries: dict[str, zipfile.ZipInfo] = {}
        _check_count(path, len(archive.infolist()))
        for entry in archive.infolist():
            _check_entry(path, entry.filename, entry.file_size)
            stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
            if not stored or entry.filename in self._entries:
                raise BundleTampered(
                    f"{path}: {entry.filename!r} is compressed or there twice; zip it with `zip -0 -j`"
                )
            self._entries[entry.filename] = entry

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str, *, mapped: bool = False) -> bytes | memoryview:  # noqa: ARG002
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        entry = self._entries[name]
        try:
            with self._archive.open(entry) as file:
                yield from _pieces(self._path, name, file, entry.file_size)
        except _ZIP_ERRORS as error:
            raise BundleTampered(f"{self._path}: {name} cannot be read ({error}); get the bundle again") from error


def _check_count(path: Path, count: int) -> None:
    if count > MAX_FILES:
        raise BundleTampered(f"{path} has {count} files, a bundle has at most {MAX_FILES}")


def _check_entry(path: Path, name: str, size: int) -> None:
    if not is_file_name(name) or size > MAX_FILE_BYTES:
        raise BundleTampered(
            f"{path}: {name[:80]!r} ({size} bytes) has no plain name or is larger than {MAX_FILE_BYTES} bytes"
        )


def _pieces(path: Path, name: str, file: IO[bytes], size: int) -> Iterator[bytes]:
    """A file's content, if it has `size` bytes; never more is read than that and one."""
    left = size + 1
    while piece := file.read(min(left, _PIECE_BYTES)):
        left -= len(piece)
        yield piece
    if left != 1:
        raise _changed(path, name)


def _changed(path: Path, name: str) -> BundleTampered:
    return BundleTampered(f"{path}: {name} changed while it was read; try again")
