"""The models installed on a device: one active, the one before kept for going back, versions that only rise.

An update is copied into the store's own folder, verified there, tried in another process, and only then made active, by
replacing one small file. Whatever fails or is interrupted before leaves the device with the model it had.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Self

from device_runtime import manifest as names
from device_runtime.bundle import Bundle
from device_runtime.bundle_files import open_files
from device_runtime.bundle_writer import sync_folder, write_durably
from device_runtime.delta import Delta
from device_runtime.errors import BundleMissing, BundleTooOld, StoreInvalid
from device_runtime.publishers import PublisherSet
from device_runtime.smoke import SmokeReport, smoke_run

STATE_FILE = "models.json"
_LOCK_FILE = "models.lock"
_STAGED = ".staged-"
_UPDATE = "update-"
_BEFORE_ANY_EXPIRY = 0  # Unix seconds


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the store.

    Attributes:
        folder: its folder's name.
        version: model version.
        manifest_sha256: of its manifest.
        publishers: who was trusted to sign it.
        update: the folder of the update of its catalog, None without.
        sequence: of that update, 0 without.
    """

    folder: str
    version: int
    manifest_sha256: str
    publishers: PublisherSet
    update: str | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class StoreState:
    """What `models.json` holds.

    Attributes:
        active: what devices run, None before the first installation.
        previous: what a rollback makes active again.
        highest_version: ever installed; only higher ones are installed after it.
        publishers: the newest set that a chain led to.
    """

    active: Installed | None
    previous: Installed | None
    highest_version: int
    publishers: PublisherSet


class ModelStore:
    """A folder of installed models; one process changes it at a time, any may read it."""

    def __init__(self, folder: Path, pinned: PublisherSet, smoke: Callable[[Path], SmokeReport]) -> None:
        self._folder = folder
        self._pinned = pinned
        self._smoke = smoke

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        trusted_keys: Collection[bytes],
        threshold: int = 1,
        smoke: Callable[[Path], SmokeReport] = smoke_run,
    ) -> Self:
        """Open a store, made on first use.

        Args:
            folder: private to the app.
            trusted_keys: publisher keys that the app pins; a chain of statements leads on from them.
            threshold: how many of them must have signed.
            smoke: tries a staged bundle.

        Raises:
            StoreInvalid: the folder cannot be used, or its state is damaged.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreInvalid(f"{folder} cannot hold models ({error.strerror}); choose another folder") from error
        store = cls(folder, PublisherSet.pinned(trusted_keys, threshold), smoke)
        store.state()
        return store

    def state(self) -> StoreState:
        """Return what is installed.

        Raises:
            StoreInvalid: `models.json` is damaged.
        """
        path = self._folder / STATE_FILE
        try:
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict) or content.get("format") != 1:
                raise ValueError("expected format 1")
            publishers = PublisherSet.from_json(content["publishers"])
            found = StoreState(
                _read_installed(content["active"]),
                _read_installed(content["previous"]),
                int(content["highest_version"]),
                publishers,
            )
        except FileNotFoundError:
            return StoreState(None, None, 0, self._pinned)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise StoreInvalid(
                f"{path} is damaged ({error}); remove the folder and install the bundle again"
            ) from error
        # An app update may pin other keys: they replace a set that no chain has led away from.
        pins = publishers.version == 0 and self._pinned.keys
        return replace(found, publishers=self._pinned) if pins else found

    def install(self, source: Path, *, now: int | None = None) -> SmokeReport:
        """Copy, verify, try and activate a bundle; the active one becomes the previous one.

        Args:
            source: a bundle folder or zip, from anywhere.
            now: Unix seconds, the system clock's when None.

        Raises:
            BundleError: it is not a whole, valid, newer bundle by trusted publishers.
            ModelFailed, RuntimeUnavailable: its trial failed.
            StoreInvalid: another process is installing, or the disk is full. The active model is the one before.
        """
        moment = int(time.time()) if now is None else now
        with self._changing():
            state = self.state()
            staged = self._folder / f"{_STAGED}{os.getpid()}"
            with _stored(self._folder, staged):
                _copy(source, staged)
                bundle = Bundle.open(staged, trusted_keys=state.publishers, now=moment, mapped=True)
                _check_newer(source, bundle, state)
                report = self._smoke(staged)
                installed = self._place(staged, bundle)
            version = bundle.manifest.model_version
            self._write(StoreState(installed, state.active, version, bundle.publishers))
            self._sweep()
        return report

    def update(
        self, source: Path, *, now: int | None = None, trial: Callable[[Bundle], None] = lambda _: None
    ) -> Delta:
        """Copy and verify an update of the active model's catalog, and use it from the next `active` on.

        Args:
            source: a delta's folder or zip, from anywhere.
            now: Unix seconds, the system clock's when None.
            trial: given the bundle with the updated catalog before that becomes active; what it raises ends the update.

        Raises:
            BundleError: it is not a whole, valid, newer update of the active bundle by trusted publishers.
            StoreInvalid: another process is changing the store, or the disk is full. Nothing has changed then.
        """
        with self._changing():
            state = self.state()
            installed = _installed(state, self._folder)
            staged = self._folder / f"{_STAGED}{os.getpid()}"
            with _stored(self._folder, staged):
                _copy(source, staged)
                bundle = self._opened(replace(installed, update=None), now)
                found = Delta.open(staged, bundle, trusted=state.publishers, after=installed.sequence, now=now)
                updated_bundle = found.applied_to(bundle)
                updated_bundle.catalog.check()
                trial(updated_bundle)
                name = f"{_UPDATE}{installed.version}-{found.manifest.sequence}"
                self._move(staged, name)
            updated = replace(installed, update=name, sequence=found.manifest.sequence)
            self._write(replace(state, active=updated))
            self._sweep()
        return found

    def active(self, *, now: int | None = None, even_expired: bool = False) -> Bundle:
        """Open the active model with the newest update of its catalog: hashes are checked again, files are mapped.

        Args:
            now: Unix seconds, the system clock's when None.
            even_expired: open it also when its time is over, as for a device that could not fetch another meanwhile.

        Raises:
            BundleMissing: nothing is installed.
            BundleError: it has expired, or its files are no longer those that were installed; roll back or install
                again.
        """
        return self._opened(_installed(self.state(), self._folder), _BEFORE_ANY_EXPIRY if even_expired else now)

    def rollback(self, *, now: int | None = None) -> Bundle:
        """Make the previous model active again and return it; the one that was active is not installed again.

        Raises:
            StoreInvalid: there is no previous model.
            BundleError: it has expired or is damaged; the active one stays.
        """
        with self._changing():
            state = self.state()
            if state.previous is None:
                raise StoreInvalid(f"{self._folder} holds no previous model to go back to")
            bundle = self._opened(state.previous, now)
            self._write(StoreState(state.previous, None, state.highest_version, state.publishers))
            self._sweep()
        return bundle

    def _opened(self, installed: Installed, now: int | None) -> Bundle:
        folder = self._folder / installed.folder
        bundle = Bundle.open(folder, trusted_keys=installed.publishers, now=now, mapped=True, thorough=False)
        if hashlib.sha256(bundle.manifest.to_bytes()).hexdigest() != installed.manifest_sha256:
            raise StoreInvalid(f"{folder} holds another model than was installed; install the bundle again")
        if installed.update is None:
            return bundle
        # Verified by the newest publishers: an update may be younger than its bundle.
        trusted, after = self.state().publishers, installed.sequence - 1
        found = Delta.open(self._folder / installed.update, bundle, trusted=trusted, after=after, now=now)
        return found.applied_to(bundle)

    def _place(self, staged: Path, bundle: Bundle) -> Installed:
        digest = hashlib.sha256(bundle.manifest.to_bytes()).hexdigest()
        version = bundle.manifest.model_version
        installed = Installed(f"v{version}-{digest[:16]}", version, digest, bundle.publishers)
        self._move(staged, installed.folder)
        return installed

    def _move(self, staged: Path, name: str) -> None:
        target = self._folder / name
        shutil.rmtree(target, ignore_errors=True)  # left behind by an installation that was cut off
        staged.rename(target)
        sync_folder(self._folder)

    def _write(self, state: StoreState) -> None:
        content = {
            "format": 1,
            "active": _installed_to_json(state.active),
            "previous": _installed_to_json(state.previous),
            "highest_version": state.highest_version,
            "publishers": state.publishers.to_json(),
        }
        temporary = self._folder / f".{STATE_FILE}.new"
        write_durably(temporary, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")
        temporary.replace(self._folder / STATE_FILE)
        sync_folder(self._folder)

    def _sweep(self) -> None:
        """Remove what is neither active nor previous."""
        state = self.state()
        kept = {name for i in (state.active, state.previous) if i is not None for name in (i.folder, i.update)}
        for entry in self._folder.iterdir():
            if entry.is_dir() and entry.name not in kept and entry.name.startswith((_STAGED, _UPDATE, "v")):
                shutil.rmtree(entry, ignore_errors=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        lock: IO[str] = (self._folder / _LOCK_FILE).open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreInvalid(
                    f"another process is changing the models in {self._folder}; try again later"
                ) from error
            yield


def _installed(state: StoreState, folder: Path) -> Installed:
    if state.active is None:
        raise BundleMissing(f"no model is installed in {folder}; install a bundle first")
    return state.active


@contextmanager
def _stored(folder: Path, staged: Path) -> Iterator[None]:
    """Say of a full disk that nothing has changed, and leave nothing behind."""
    try:
        yield
    except OSError as error:
        raise StoreInvalid(
            f"{folder}: the model could not be stored ({error.strerror}); the one before stays active"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    with open_files(source) as files:
        for name in files.sizes:
            write_durably(target / name, files.chunks(name))


def _check_newer(source: Path, bundle: Bundle, state: StoreState) -> None:
    if bundle.manifest.model_version <= state.highest_version:
        raise BundleTooOld(
            f"{source} is model version {bundle.manifest.model_version}, version {state.highest_version} was installed "
            "before; versions only rise"
        )


def _installed_to_json(installed: Installed | None) -> dict[str, Any] | None:
    if installed is None:
        return None
    return {
        "folder": installed.folder,
        "version": installed.version,
        "manifest_sha256": installed.manifest_sha256,
        "publishers": installed.publishers.to_json(),
        "update": installed.update,
        "sequence": installed.sequence,
    }


def _read_installed(content: Any) -> Installed | None:
    if content is None:
        return None
    for name in (content["folder"], content["update"]):
        if name is not None and not names.is_file_name(name):
            raise ValueError("a model's folder has no plain name")
    return Installed(
        str(content["folder"]),
        int(content["version"]),
        str(content["manifest_sha256"]),
        PublisherSet.from_json(content["publishers"]),
        content["update"],
        int(content["sequence"]),
    )
