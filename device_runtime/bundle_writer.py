"""Writes and signs bundle folders: whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from device_runtime import manifest as names
from device_runtime.bundle import read_limited, read_verified
from device_runtime.bundle_files import open_files
from device_runtime.errors import BundleMissing, BundleTampered
from device_runtime.manifest import FileEntry, Manifest
from device_runtime.signing import (
    BUNDLE_DOMAIN,
    MAX_SIGNATURE_BYTES,
    PublisherKey,
    signatures_from_bytes,
    signatures_to_bytes,
)


def file_entries(contents: Mapping[str, bytes | memoryview]) -> dict[str, FileEntry]:
    """Return the manifest's entries for files."""
    return {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()}


def write_bundle(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write an unsigned bundle folder, whole or not at all; an existing bundle at `path` is replaced.

    Args:
        path: the folder.
        manifest: with an entry for each of `contents`, see `file_entries`.
        contents: model, catalog and model card by file name.

    Raises:
        BundleTampered: `contents` are not the files that the manifest lists.
        BundleMissing: `path` is something else than a bundle or an empty folder, which is left alone.
    """
    if file_entries(contents) != dict(manifest.files):
        raise BundleTampered("the contents are not the files that the manifest lists; build it with file_entries()")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        fresh = scratch / "fresh"
        fresh.mkdir()
        for name, content in (*contents.items(), (names.MANIFEST_FILE, manifest.to_bytes())):
            write_durably(fresh / name, content)
        _exchange(fresh, path, scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sign_bundle(path: Path, key: PublisherKey) -> None:
    """Add or renew one publisher's signature of a bundle folder, after checking that its files are those listed.

    Raises:
        BundleError: the folder is not a whole bundle; nothing is signed then.
    """
    if path.is_file():
        raise BundleMissing(f"{path} is a file; sign the folder and zip it afterwards")
    with open_files(path) as files:
        raw = read_limited(path, files, names.MANIFEST_FILE, names.MAX_BYTES)
        read_verified(path, files, Manifest.from_bytes(raw))
        before = b""
        if names.SIGNATURE_FILE in files.sizes:
            before = read_limited(path, files, names.SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
    add_signature(path / names.SIGNATURE_FILE, before, raw, key, BUNDLE_DOMAIN)


def add_signature(path: Path, before: bytes, message: bytes, key: PublisherKey, domain: bytes) -> None:
    """Write a signature file with one signature more.

    Args:
        path: of the signature file.
        before: what it held, empty when it was not there; signatures of something else are left out.
        message: what is signed.
        key: who signs.
        domain: see `signing`.
    """
    present = signatures_from_bytes(before) if before else ()
    others = [s for s in present if s.key != key.public and s.verifies(message, domain)]
    temporary = path.with_name(f".{path.name}.new")
    write_durably(temporary, signatures_to_bytes([*others, key.sign(message, domain)]))
    temporary.replace(path)
    sync_folder(path.parent)


def _exchange(fresh: Path, path: Path, aside: Path) -> None:
    """Put `fresh` at `path`; what was there goes to `aside`, and back if that fails."""
    if path.exists():
        if not (path / names.MANIFEST_FILE).is_file() and (not path.is_dir() or any(path.iterdir())):
            raise BundleMissing(f"{path} exists and is not a bundle; choose another output path")
        path.rename(aside)
    try:
        fresh.rename(path)
    except OSError:
        if aside.exists():
            aside.rename(path)
        raise
    sync_folder(path.parent)


def write_durably(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file, given whole or in pieces, that is on the disk when this returns."""
    with path.open("wb") as file:
        for piece in (content,) if isinstance(content, bytes) else content:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make renames in a folder last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
