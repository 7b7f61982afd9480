"""Signed updates of a bundle's catalog: items added and withdrawn without a new model.

A delta is a folder (or zip without compression) of `delta.json`, `delta.sig` and, when items are added, `added.bin`, a
catalog of those items alone. It says everything that changed since the bundle, so only the newest is needed; `sequence`
rises, and a device never goes back.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from device_runtime.bundle import Bundle, read_limited
from device_runtime.bundle_files import open_files
from device_runtime.bundle_writer import add_signature, write_durably
from device_runtime.catalog import MAX_ID_BYTES, MAX_ITEMS, Catalog
from device_runtime.catalog_merge import merged
from device_runtime.errors import BundleExpired, BundleTampered, BundleTooOld, ManifestInvalid, UntrustedPublisher
from device_runtime.manifest import FileEntry
from device_runtime.publishers import PublisherSet
from device_runtime.signing import MAX_SIGNATURE_BYTES, PublisherKey, signatures_from_bytes

DELTA_FILE = "delta.json"
DELTA_SIGNATURE_FILE = "delta.sig"
ADDED_FILE = "added.bin"
DELTA_DOMAIN = b"meritrec/delta/1\0"
MAX_DELTA_BYTES = 1 << 24
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DeltaManifest:
    """What an update changes.

    Attributes:
        bundle_sha256: of the manifest of the bundle that it is for.
        sequence: 1 or more; devices never go back to a lower one.
        created_at, expires_at: Unix seconds; a device refuses the delta from `expires_at` on.
        withdrawn: ids of items that are gone, ascending, distinct.
        added: the file of the added items, None when there are none.

    Raises:
        ManifestInvalid: any of this does not hold.
    """

    bundle_sha256: str
    sequence: int
    created_at: int
    expires_at: int
    withdrawn: tuple[str, ...]
    added: FileEntry | None
    format_version: int = 1

    def __post_init__(self) -> None:
        """Check every field."""
        bounds = {"format_version": (1, 2), "sequence": (1, 1 << 31), "created_at": (0, 1 << 40)}
        for name, (least, most) in (bounds | {"expires_at": (0, 1 << 40)}).items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value < most:
                raise ManifestInvalid(f"a delta's {name} must be {least} to {most - 1}, got {value!r:.40}")
        hashes = [self.bundle_sha256] + ([] if self.added is None else [self.added.sha256])
        if not all(isinstance(text, str) and _SHA256.fullmatch(text) for text in hashes):
            raise ManifestInvalid("a delta's hashes must be 64 lower-case hex digits")
        if self.added is not None and (type(self.added.bytes) is not int or not 0 <= self.added.bytes < 1 << 31):
            raise ManifestInvalid("a delta's file of added items has no usable length")
        if not isinstance(self.withdrawn, tuple) or len(self.withdrawn) > MAX_ITEMS:
            raise ManifestInvalid(f"a delta withdraws at most {MAX_ITEMS} items")
        for item in self.withdrawn:
            if not isinstance(item, str) or not 1 <= len(item.encode(errors="surrogatepass")) <= MAX_ID_BYTES:
                raise ManifestInvalid(f"a delta withdraws {item!r:.40}, which is no item id")
        if list(self.withdrawn) != sorted(set(self.withdrawn)):
            raise ManifestInvalid("the ids that a delta withdraws must ascend and be distinct")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON, which is what gets signed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read one; the bytes may come from anyone.

        Raises:
            ManifestInvalid: they are not a delta's manifest in canonical form.
        """
        try:
            content = json.loads(data)
            entry = content["added"]
            added = None if entry is None else FileEntry(**entry)
            withdrawn = tuple(content["withdrawn"]) if isinstance(content["withdrawn"], list) else None
            found = cls(**{**content, "added": added, "withdrawn": withdrawn})
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ManifestInvalid(f"the delta's manifest cannot be read ({error}); get it again") from error
        if found.to_bytes() != data:
            raise ManifestInvalid("the delta's manifest is not in canonical form; write it with meritrec-server")
        return found


@dataclass(frozen=True, slots=True)
class Delta:
    """A verified update, in memory."""

    manifest: DeltaManifest
    added: Catalog | None

    @classmethod
    def open(cls, path: Path, bundle: Bundle, *, trusted: PublisherSet, after: int = 0, now: int | None = None) -> Self:
        """Read and verify an update.

        Args:
            path: a folder, or a zip without compression.
            bundle: that it must be for.
            trusted: whose signatures count.
            after: the sequence of the update in use; only higher ones are accepted.
            now: Unix seconds, the system clock's when None.

        Raises:
            BundleError: it is damaged, expired, not newer, for another bundle, or not signed by enough publishers.
        """
        with open_files(path) as files:
            raw = read_limited(path, files, DELTA_FILE, MAX_DELTA_BYTES)
            signatures = signatures_from_bytes(read_limited(path, files, DELTA_SIGNATURE_FILE, MAX_SIGNATURE_BYTES))
            if not trusted.accepts(raw, signatures, DELTA_DOMAIN):
                raise UntrustedPublisher(f"{path} is not signed by {trusted.threshold} of the trusted keys")
            manifest = DeltaManifest.from_bytes(raw)
            _check(path, manifest, bundle, after, int(time.time()) if now is None else now)
            listed = {DELTA_FILE, DELTA_SIGNATURE_FILE} | ({ADDED_FILE} if manifest.added is not None else set())
            if set(files.sizes) != listed:
                raise BundleTampered(f"{path} holds {sorted(files.sizes)}, expected {sorted(listed)}")
            added = None
            if manifest.added is not None:
                content = bytes(files.read(ADDED_FILE))
                found = FileEntry(hashlib.sha256(content).hexdigest(), len(content))
                if found != manifest.added:
                    raise BundleTampered(f"{path}: {ADDED_FILE} is not the file that was signed; get it again")
                added = Catalog.from_bytes(content)
        return cls(manifest, added)

    def applied_to(self, bundle: Bundle) -> Bundle:
        """Return the bundle with the updated catalog.

        Raises:
            CatalogInvalid: the added items do not fit.
        """
        catalog = merged(bundle.catalog, self.added, self.manifest.withdrawn)
        return replace(bundle, catalog=catalog, withdrawn=self.manifest.withdrawn)


def write_delta(path: Path, manifest_fields: Mapping[str, Any], added: Catalog | None) -> DeltaManifest:
    """Write an unsigned update.

    Args:
        path: a folder that does not exist yet.
        manifest_fields: of `DeltaManifest`, all but `added`, which follows from the catalog.
        added: the items to add.

    Raises:
        ManifestInvalid: a field is wrong; nothing is written then.
        FileExistsError: `path` is there.
    """
    content = None if added is None else added.to_bytes()
    entry = None if content is None else FileEntry(hashlib.sha256(content).hexdigest(), len(content))
    manifest = DeltaManifest(**manifest_fields, added=entry)
    path.mkdir(parents=True)
    write_durably(path / DELTA_FILE, manifest.to_bytes())
    if content is not None:
        write_durably(path / ADDED_FILE, content)
    return manifest


def sign_delta(path: Path, key: PublisherKey) -> None:
    """Add or renew one publisher's signature of an update's folder.

    Raises:
        BundleError: the folder holds no update.
    """
    with open_files(path) as files:
        raw = read_limited(path, files, DELTA_FILE, MAX_DELTA_BYTES)
        before = b""
        if DELTA_SIGNATURE_FILE in files.sizes:
            before = read_limited(path, files, DELTA_SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
    DeltaManifest.from_bytes(raw)
    add_signature(path / DELTA_SIGNATURE_FILE, before, raw, key, DELTA_DOMAIN)


def manifest_digest(manifest: bytes) -> str:
    """Return what a delta names its bundle by: the SHA-256 of the manifest."""
    return hashlib.sha256(manifest).hexdigest()


def _check(path: Path, manifest: DeltaManifest, bundle: Bundle, after: int, now: int) -> None:
    if manifest.bundle_sha256 != manifest_digest(bundle.manifest.to_bytes()):
        raise BundleTampered(
            f"{path} is an update of another bundle than model version {bundle.manifest.model_version}"
        )
    if manifest.sequence <= after:
        raise BundleTooOld(f"{path} is update {manifest.sequence}, update {after} is in use; updates only rise")
    if now >= manifest.expires_at:
        day = time.strftime("%Y-%m-%d", time.gmtime(manifest.expires_at))
        raise BundleExpired(f"{path} expired on {day}; get a newer one from its publisher")
