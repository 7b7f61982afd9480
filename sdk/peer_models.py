"""Models from peer to peer: the signed manifest first, then each file it lists, in parts, checked by its hash.

The manifest's signatures, namespace, version and time are verified before a byte of a file is asked for, and it says
how long each file is: a peer can neither send another model nor more than that. What came is kept, so that another
attempt, with the same peer or another, goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from device_runtime import (
    MANIFEST_FILE,
    PUBLISHERS_FILE,
    SIGNATURE_FILE,
    BundleExpired,
    BundleTooOld,
    FileEntry,
    Manifest,
    PublisherSet,
    follow,
    statements_from_bytes,
    verify_signatures,
)
from p2p import PeerId, RequestFailed
from p2p.files import MAX_HEAD_BYTES
from p2p.wire import pack, unpack
from sdk.active_model import ActiveModel
from sdk.downloading import Progress, file_digest
from sdk.errors import UpdateFailed

_HEAD_LIMITS = {"max_array_len": 3, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
_MAX_MODEL_BYTES = 2 << 30
_DECLINED_TRIES = 10
_PROVE_THEMSELVES = (MANIFEST_FILE, SIGNATURE_FILE, PUBLISHERS_FILE)


class FileSource(Protocol):
    """A connected peer's files, see `p2p.files`."""

    def ask_head(self, peer: PeerId, topic: bytes) -> bytes:
        """Return what a peer has on a topic, empty if nothing."""
        ...

    def ask_part(self, peer: PeerId, digest: bytes, offset: int) -> bytes:
        """Return a file's next bytes, empty if the peer does not give them now."""
        ...


def topic_of(namespace: str) -> bytes:
    """Return what models of a catalog are asked for by: 16 bytes."""
    return hashlib.blake2b(namespace.encode(), digest_size=16, person=b"meritrec/model").digest()


class ModelShelf:
    """Offers the files of the model in use; implements `p2p.files.FileShelf`.

    Args:
        model: returns the model in use.
    """

    def __init__(self, model: Callable[[], ActiveModel]) -> None:
        self._model = model

    def head(self, topic: bytes) -> bytes:
        """Return manifest, signatures and publishers' statements of the model, if the topic is its catalog's."""
        model = self._model()
        if topic != topic_of(model.namespace):
            return b""
        try:
            parts = [_read(model.bundle.path / name) for name in _PROVE_THEMSELVES]
        except OSError:
            return b""  # an update is just removing it
        packed = pack(parts)
        return packed if len(packed) <= MAX_HEAD_BYTES else b""

    def part(self, digest: bytes, offset: int, most: int) -> bytes:
        """Return at most `most` bytes of a file of the model from `offset` on."""
        bundle = self._model().bundle
        for name, entry in bundle.manifest.files.items():
            if entry.sha256 == digest.hex():
                try:
                    with (bundle.path / name).open("rb") as file:
                        file.seek(offset)
                        return file.read(most)
                except OSError:
                    return b""
        return b""


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def fetch_model(
    source: FileSource,
    peer: PeerId,
    folder: Path,
    *,
    namespace: str,
    trusted: PublisherSet,
    above: int,
    now: int,
    progress: Progress,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a newer model from a connected peer.

    Args:
        source: asks peers.
        peer: whom to ask.
        folder: where it is kept, in a folder of its own.
        namespace: of the catalog that is wanted.
        trusted: whose signatures count.
        above: only models of a higher version are fetched.
        now: Unix seconds.
        progress: told bytes so far and of how many.
        wait: lets seconds pass.

    Returns:
        An unpacked bundle, complete but not yet tried; `ModelStore.install` takes it.

    Raises:
        UpdateFailed: the peer offers nothing newer, stops giving, or sends something else than was signed.
        device_runtime.BundleError: what it offers is expired, older, or not signed by enough trusted publishers.
    """
    try:
        head = source.ask_head(peer, topic_of(namespace))
        if not head:
            raise UpdateFailed(f"peer {peer.hex()[:8]} offers no model for the catalog {namespace!r}")
        manifest, parts = _verified(head, namespace, trusted, above, now)
        target = folder / f".peer-{hashlib.sha256(parts[0]).hexdigest()[:16]}"
        for other in folder.glob(".peer-*"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in zip(_PROVE_THEMSELVES, parts, strict=True):
            if content:
                (target / name).write_bytes(content)
        total = sum(entry.bytes for entry in manifest.files.values())
        if total > _MAX_MODEL_BYTES:
            raise UpdateFailed(f"the model has {total} bytes; at most {_MAX_MODEL_BYTES} are fetched from peers")
        done = 0
        for name, entry in manifest.files.items():
            _fetch_file(source, peer, target / name, entry, partial(_told, progress, done, total), wait)
            done += entry.bytes
    except RequestFailed as error:
        raise UpdateFailed(f"{error}; try again, or another peer, to go on where it stopped") from error
    except OSError as error:
        raise UpdateFailed(f"the model could not be kept ({error}); free space and try again") from error
    return target


def _told(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _verified(
    head: bytes, namespace: str, trusted: PublisherSet, above: int, now: int
) -> tuple[Manifest, tuple[bytes, ...]]:
    try:
        parts = unpack(head, _HEAD_LIMITS)
        if not isinstance(parts, list) or len(parts) != 3 or not all(isinstance(part, bytes) for part in parts):
            raise ValueError("expected three texts of bytes")
    except ValueError as error:
        raise UpdateFailed(f"the peer's answer cannot be read ({error}); ask another peer") from error
    raw, signatures, statements = parts
    publishers = follow(trusted, statements_from_bytes(statements)) if statements else trusted
    verify_signatures(raw, signatures, publishers)
    manifest = Manifest.from_bytes(raw)
    if manifest.catalog_namespace != namespace:
        raise UpdateFailed(f"the peer's model is for the catalog {manifest.catalog_namespace!r}, not {namespace!r}")
    if manifest.model_version <= above:
        raise BundleTooOld(f"the peer has model version {manifest.model_version}, version {above} was installed before")
    if now >= manifest.expires_at:
        raise BundleExpired(f"the peer's model version {manifest.model_version} has expired; ask another peer")
    return manifest, (raw, signatures, statements)


def _fetch_file(
    source: FileSource,
    peer: PeerId,
    path: Path,
    entry: FileEntry,
    progress: Callable[[int], None],
    wait: Callable[[float], None],
) -> None:
    digest, declined = bytes.fromhex(entry.sha256), 0
    with path.open("ab") as file:
        had = file.tell()
        while had < entry.bytes:
            part = source.ask_part(peer, digest, had)
            if not part:
                declined += 1
                if declined == _DECLINED_TRIES:
                    raise UpdateFailed(f"peer {peer.hex()[:8]} gives no more now; try again to go on where it stopped")
                wait(min(2.0**declined, 30.0))
                continue
            declined = 0
            had += len(part)
            if had > entry.bytes:
                break
            file.write(part)
            progress(had)
    if had > entry.bytes or file_digest(path) != entry.sha256:
        path.unlink()
        raise UpdateFailed(f"peer {peer.hex()[:8]} sent a file that is not the one that was signed; ask another peer")
