"""Model bundles: opened whole and verified, or not at all.

The order of the checks is the point: signature over the manifest, then expiry and version, then size and SHA-256 of
every file, and only then is a byte handed to a parser or to the runtime. What was hashed is what is used: files are
read once, into memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_runtime import manifest as names
from device_runtime.catalog import Catalog
from device_runtime.errors import BundleExpired, BundleMissing, BundleTampered, BundleTooOld, CatalogInvalid
from device_runtime.manifest import FileEntry, Manifest
from device_runtime.signing import PublisherKey, signatures_from_bytes, signatures_to_bytes, verify_signatures

MAX_FILE_BYTES = 1 << 30
_MAX_FILES = 64


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, in memory.

    Attributes:
        path: where it was read from.
        manifest: what the publisher signed.
        catalog: items and semantic IDs.
        model: the ExecuTorch program.
    """

    path: Path
    manifest: Manifest
    catalog: Catalog
    model: bytes

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        trusted_keys: Collection[bytes],
        threshold: int = 1,
        minimum_version: int = 0,
        now: int | None = None,
    ) -> Bundle:
        """Read and verify a bundle.

        Args:
            path: a folder, or a zip without compression.
            trusted_keys: publisher keys of 32 bytes that the app pins.
            threshold: how many of them must have signed.
            minimum_version: lowest model version accepted, the active one's on an update.
            now: Unix seconds, the system clock's when None.

        Raises:
            BundleError: see `device_runtime.errors`; nothing was loaded then.
        """
        source = read_files(path)
        raw = source.get(names.MANIFEST_FILE)
        signatures = source.get(names.SIGNATURE_FILE)
        if raw is None or signatures is None:
            missing = names.MANIFEST_FILE if raw is None else names.SIGNATURE_FILE
            raise BundleMissing(f"{path} has no {missing}; it is not a signed bundle")
        verify_signatures(raw, signatures, trusted_keys, threshold)
        manifest = Manifest.from_bytes(raw)
        _check_time_and_version(path, manifest, int(time.time()) if now is None else now, minimum_version)
        _check_files(path, manifest, source)
        catalog = Catalog.from_bytes(source[names.CATALOG_FILE])
        _check_catalog(path, manifest, catalog)
        return cls(path, manifest, catalog, source[names.MODEL_FILE])


def write_bundle(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write an unsigned bundle folder, whole or not at all; an existing bundle at `path` is replaced.

    Args:
        path: the folder.
        manifest: with an entry for each of `contents`, see `file_entries`.
        contents: model, catalog and model card by file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        for name, content in (*contents.items(), (names.MANIFEST_FILE, manifest.to_bytes())):
            _write(staging / name, content)
        staging.chmod(0o755)
        if path.exists():
            _discard_bundle(path)
        staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sign_bundle(path: Path, key: PublisherKey) -> None:
    """Add or renew one publisher's signature of a bundle folder, after checking that its files are those listed.

    Raises:
        BundleError: the folder is not a whole bundle; nothing is signed then.
    """
    source = read_files(path)
    if names.MANIFEST_FILE not in source:
        raise BundleMissing(f"{path} has no {names.MANIFEST_FILE}; export a bundle first")
    raw = source[names.MANIFEST_FILE]
    manifest = Manifest.from_bytes(raw)
    _check_files(path, manifest, source)
    before = source.get(names.SIGNATURE_FILE)
    others = [s for s in (signatures_from_bytes(before) if before else ()) if s.key != key.public and s.verifies(raw)]
    temporary = path / f".{names.SIGNATURE_FILE}.new"
    _write(temporary, signatures_to_bytes([*others, key.sign(raw)]))
    temporary.replace(path / names.SIGNATURE_FILE)


def file_entries(contents: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return the manifest's entries for files."""
    return {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()}


def read_files(path: Path) -> dict[str, bytes]:
    """Read every file of a bundle folder or zip, with limits; nothing is verified yet.

    Raises:
        BundleMissing: nothing usable is there.
        BundleTampered: it is built in a way that bundles are not (links, compression, odd names, too large).
    """
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_zip(path)
    raise BundleMissing(f"there is no bundle at {path}; check the path")


def _read_folder(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if len(entries) > _MAX_FILES:
        raise BundleTampered(f"{path} has {len(entries)} files, a bundle has at most {_MAX_FILES}")
    for entry in entries:
        status = entry.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise BundleTampered(f"{entry} is not a plain file of at most {MAX_FILE_BYTES} bytes; get the bundle again")
        files[entry.name] = entry.read_bytes()
    return files


def _read_zip(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_FILES:
                raise BundleTampered(f"{path} has {len(entries)} files, a bundle has at most {_MAX_FILES}")
            for entry in entries:
                plain = entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= MAX_FILE_BYTES
                if not plain or "/" in entry.filename or entry.filename in files:
                    raise BundleTampered(f"{path}: {entry.filename[:80]!r} is compressed, too large, nested or doubled")
                files[entry.filename] = archive.read(entry)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleTampered(f"{path} is neither a bundle folder nor a whole zip ({error}); get it again") from error
    return files


def _check_time_and_version(path: Path, manifest: Manifest, now: int, minimum_version: int) -> None:
    if now >= manifest.expires_at:
        day = time.strftime("%Y-%m-%d", time.gmtime(manifest.expires_at))
        raise BundleExpired(f"{path} expired on {day}; get a newer bundle from its publisher")
    if manifest.model_version < minimum_version:
        raise BundleTooOld(
            f"{path} is model version {manifest.model_version}, version {minimum_version} is active; versions only rise"
        )


def _check_files(path: Path, manifest: Manifest, source: Mapping[str, bytes]) -> None:
    for name, entry in manifest.files.items():
        if name not in source:
            raise BundleMissing(f"{path} lacks {name}, which its manifest lists; get the bundle again")
        content = source[name]
        if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleTampered(f"{path}: {name} is not the file that was signed; get the bundle again")
    for name in source.keys() - manifest.files.keys() - {names.MANIFEST_FILE, names.SIGNATURE_FILE}:
        raise BundleTampered(f"{path}: {name[:80]!r} is not listed in the manifest; get the bundle again")


def _check_catalog(path: Path, manifest: Manifest, catalog: Catalog) -> None:
    said = (manifest.n_items, manifest.levels, manifest.codebook_size)
    found = (len(catalog), catalog.levels, catalog.codebook_size)
    if said != found:
        raise CatalogInvalid(f"{path}: the manifest says (items, levels, codebook) {said}, the catalog has {found}")


def _discard_bundle(path: Path) -> None:
    """Remove a bundle that is about to be replaced, and nothing that is not one."""
    if not (path / names.MANIFEST_FILE).is_file():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
            return
        raise BundleMissing(f"{path} exists and is not a bundle; choose another output path")
    shutil.rmtree(path)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
