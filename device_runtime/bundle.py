"""Model bundles: opened whole and verified, or not at all.

The order of the checks is the point: who may sign, signature over the manifest, then expiry and version, then name,
size and SHA-256 of every file, and only then is a byte handed to a parser or to the runtime. What was hashed is what
is used: each file is read once, into memory, or mapped once where the folder is the device's own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from device_runtime import manifest as names
from device_runtime.bundle_files import BundleFiles, open_files
from device_runtime.catalog import Catalog
from device_runtime.errors import BundleExpired, BundleMissing, BundleTampered, BundleTooOld, CatalogInvalid
from device_runtime.manifest import Manifest
from device_runtime.publishers import (
    MAX_PUBLISHERS_BYTES,
    PublisherSet,
    follow,
    statements_from_bytes,
    verify_signatures,
)
from device_runtime.signing import MAX_SIGNATURE_BYTES, Signature, signatures_from_bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, in memory.

    Attributes:
        path: where it was read from.
        manifest: what the publisher signed.
        catalog: items and semantic IDs.
        model: the ExecuTorch program.
        publishers: who may sign the next one: those trusted before, or those that the bundle's chain leads to.
        withdrawn: ids of items that an update of the catalog took away.
    """

    path: Path
    manifest: Manifest
    catalog: Catalog
    model: bytes | memoryview
    publishers: PublisherSet
    withdrawn: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        trusted_keys: Collection[bytes] | PublisherSet,
        threshold: int = 1,
        minimum_version: int = 0,
        now: int | None = None,
        mapped: bool = False,
        thorough: bool = True,
    ) -> Bundle:
        """Read and verify a bundle.

        Args:
            path: a folder, or a zip without compression.
            trusted_keys: publisher keys of 32 bytes that the app pins, or a set that a chain led to before.
            threshold: how many of the pinned keys must have signed; a set has its own.
            minimum_version: lowest model version accepted.
            now: Unix seconds, the system clock's when None.
            mapped: map the files instead of reading them, see `BundleFiles.read`.
            thorough: look at every row of the catalog, as must be done once; see `Catalog.check`.

        Raises:
            BundleError: see `device_runtime.errors`; nothing was loaded then.
            ValueError: a trusted key is not 32 bytes, or the threshold is below 1.
        """
        trusted = trusted_keys
        if not isinstance(trusted, PublisherSet):
            trusted = PublisherSet.pinned(trusted, threshold)
        with open_files(path) as files:
            publishers = _publishers(path, files, trusted)
            raw = read_limited(path, files, names.MANIFEST_FILE, names.MAX_BYTES)
            signatures = read_limited(path, files, names.SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
            verify_signatures(raw, signatures, publishers)
            manifest = Manifest.from_bytes(raw)
            _check_time_and_version(path, manifest, int(time.time()) if now is None else now, minimum_version)
            contents = read_verified(path, files, manifest, mapped=mapped)
        catalog = Catalog.from_bytes(contents[names.CATALOG_FILE], thorough=thorough)
        _check_catalog(path, manifest, catalog)
        return cls(path, manifest, catalog, contents[names.MODEL_FILE], publishers)


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What a bundle says about itself; nobody's word for it.

    Attributes:
        manifest: as written.
        signers: keys with a valid signature over the manifest, trusted by someone or not.
        damage: what is wrong with the files, None when they are those of the manifest.
    """

    manifest: Manifest
    signers: tuple[bytes, ...]
    damage: str | None


def inspect_bundle(path: Path) -> BundleFacts:
    """Describe a bundle without trusting it: no catalog is parsed, no model loaded.

    Raises:
        BundleMissing, BundleTampered, ManifestInvalid, UntrustedPublisher: there is no readable manifest or signature.
    """
    with open_files(path) as files:
        raw = read_limited(path, files, names.MANIFEST_FILE, names.MAX_BYTES)
        manifest = Manifest.from_bytes(raw)
        present: tuple[Signature, ...] = ()
        if names.SIGNATURE_FILE in files.sizes:
            present = signatures_from_bytes(read_limited(path, files, names.SIGNATURE_FILE, MAX_SIGNATURE_BYTES))
        signers = tuple(sorted(s.key for s in present if s.verifies(raw)))
        try:
            read_verified(path, files, manifest)
        except (BundleMissing, BundleTampered) as error:
            return BundleFacts(manifest, signers, str(error))
    return BundleFacts(manifest, signers, None)


def read_manifest(path: Path) -> Manifest:
    """Return what a bundle says of itself, before anything is verified: to see whether it is worth opening.

    Raises:
        BundleMissing, BundleTampered, ManifestInvalid: there is no readable manifest.
    """
    with open_files(path) as files:
        return Manifest.from_bytes(read_limited(path, files, names.MANIFEST_FILE, names.MAX_BYTES))


def read_verified(
    path: Path, files: BundleFiles, manifest: Manifest, *, mapped: bool = False
) -> dict[str, bytes | memoryview]:
    """Return the files that the manifest lists, after comparing names, sizes and hashes.

    Raises:
        BundleMissing: one is not there.
        BundleTampered: one differs, or there is one more.
    """
    for name in files.sizes.keys() - manifest.files.keys() - names.UNLISTED:
        raise BundleTampered(f"{path}: {name!r} is not listed in the manifest; get the bundle again")
    contents: dict[str, bytes | memoryview] = {}
    for name, entry in manifest.files.items():
        if name not in files.sizes:
            raise BundleMissing(f"{path} lacks {name}, which its manifest lists; get the bundle again")
        if files.sizes[name] != entry.bytes:
            raise BundleTampered(
                f"{path}: {name} has {files.sizes[name]} bytes, {entry.bytes} were signed; get the bundle again"
            )
        contents[name] = files.read(name, mapped=mapped)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != entry.sha256:
            raise BundleTampered(
                f"{path}: {name} is not the file that was signed (SHA-256 {found[:16]}…, expected "
                f"{entry.sha256[:16]}…); get the bundle again"
            )
    return contents


def read_limited(path: Path, files: BundleFiles, name: str, most: int) -> bytes:
    """Return a file that comes before any check, so only if it is small.

    Raises:
        BundleMissing: it is not there.
        BundleTampered: it is larger than `most` bytes.
    """
    if name not in files.sizes:
        raise BundleMissing(f"{path} has no {name}; it is not a signed bundle")
    if files.sizes[name] > most:
        raise BundleTampered(f"{path}: {name} has {files.sizes[name]} bytes, at most {most} are read")
    return bytes(files.read(name))


def _publishers(path: Path, files: BundleFiles, trusted: PublisherSet) -> PublisherSet:
    if names.PUBLISHERS_FILE not in files.sizes:
        return trusted
    chain = read_limited(path, files, names.PUBLISHERS_FILE, MAX_PUBLISHERS_BYTES)
    return follow(trusted, statements_from_bytes(chain))


def _check_time_and_version(path: Path, manifest: Manifest, now: int, minimum_version: int) -> None:
    if now >= manifest.expires_at:
        day = time.strftime("%Y-%m-%d", time.gmtime(manifest.expires_at))
        raise BundleExpired(f"{path} expired on {day}; get a newer bundle from its publisher")
    if manifest.model_version < minimum_version:
        raise BundleTooOld(
            f"{path} is model version {manifest.model_version}, version {minimum_version} is active; versions only rise"
        )


def _check_catalog(path: Path, manifest: Manifest, catalog: Catalog) -> None:
    said = (manifest.n_items, manifest.levels, manifest.codebook_size, manifest.features)
    found = (len(catalog), catalog.levels, catalog.codebook_size, len(catalog.scales))
    if said != found:
        raise CatalogInvalid(
            f"{path}: the manifest says (items, levels, codebook, features) {said}, the catalog has {found}"
        )
    named = len(catalog.categories.names) if catalog.categories is not None else 0
    if manifest.categories not in (0, named):
        raise CatalogInvalid(f"{path}: the model tells {manifest.categories} categories apart, the catalog has {named}")
