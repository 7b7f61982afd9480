"""The folder a device lives in: identity, private events, received records, settings; one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from p2p import Identity
from sdk.community import RECORDS_FILE, community_folder
from sdk.errors import AlreadyOpen, DeviceFolderInvalid
from sdk.rotation import IDENTITY_FILE, finish, rotate
from sdk.sharing import SharingPolicy

EVENTS_FILE = "events.db"
SETTINGS_FILE = "settings.json"
KEY_BYTES = 32  # of every public key
_LOCK_FILE = "lock"
_SETTINGS_FORMAT = 2
_SETTINGS_FIELDS = {
    1: {"format", "bundle", "trusted_keys", "sharing"},
    2: {"format", "trusted_keys", "sharing", "community"},
}


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What `meritrec init` remembers, so that later commands need only the folder.

    Attributes:
        trusted_keys: publisher keys, 32 bytes each.
        sharing: the sharing policy until the person chooses another (`Recommender.set_sharing`). Format 1 knew names of
            presets only.
        community: the circle of peers that this device is in.
        bundle: where a device of format 1, which kept no model of its own, has its bundle; None since.
    """

    trusted_keys: tuple[bytes, ...]
    sharing: SharingPolicy
    community: str = ""
    bundle: Path | None = None

    def save(self, folder: Path) -> None:
        """Write the settings, whole or not at all."""
        content = {
            "format": _SETTINGS_FORMAT,
            "trusted_keys": [key.hex() for key in self.trusted_keys],
            "sharing": self.sharing.as_json(),
            "community": self.community,
        }
        temporary = folder / f"{SETTINGS_FILE}.new"
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(folder / SETTINGS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the settings of an initialised folder.

        Raises:
            DeviceFolderInvalid: there are none, or they are damaged.
        """
        path = folder / SETTINGS_FILE
        try:
            content = json.loads(path.read_text())
            known = isinstance(content, dict) and content.get("format") in _SETTINGS_FIELDS
            if not known or set(content) != _SETTINGS_FIELDS[content["format"]]:
                wanted = sorted(_SETTINGS_FIELDS[_SETTINGS_FORMAT])
                raise ValueError(f"expected the fields {wanted} of format {_SETTINGS_FORMAT}")
            keys = tuple(bytes.fromhex(key) for key in content["trusted_keys"])
            if any(len(key) != KEY_BYTES for key in keys):
                raise ValueError(f"a trusted key is {2 * KEY_BYTES} hex digits")
            bundle = Path(content["bundle"]) if "bundle" in content else None
            return cls(keys, SharingPolicy.from_json(content["sharing"]), str(content.get("community", "")), bundle)
        except FileNotFoundError as error:
            raise DeviceFolderInvalid(
                f"{folder} is not a device folder; run `meritrec init {folder} --bundle BUNDLE --trust-key KEY` first"
            ) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise DeviceFolderInvalid(
                f"{path} is damaged ({error}); run `meritrec init` on the folder again"
            ) from error


class DeviceFolder:
    """An opened device folder; holds the lock until `close`.

    Attributes:
        path: the folder.
        device: the device's own identity, from which those of communities are derived.
        community: the one it was opened for; empty for the one without a name.
    """

    def __init__(self, path: Path, device: Identity, lock: IO[str], community: str = "") -> None:
        self.path = path
        self.device = device
        self.community = community
        self._lock = lock
        self._room = community_folder(path, community)

    @classmethod
    def open(cls, path: Path, passphrase: str | None = None, community: str = "") -> Self:
        """Open or make the folder.

        Args:
            path: the folder.
            passphrase: opens a sealed identity, and seals one that is made now.
            community: where records come from, and go to.

        Raises:
            AlreadyOpen: another process has it open.
            DeviceFolderInvalid: the path is a file.
            InvalidInput: no community can have this name.
            p2p.P2PError: the identity file is damaged, or sealed with another passphrase.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise DeviceFolderInvalid(f"{path} is not a folder; choose another path for this device") from error
        lock = (path / _LOCK_FILE).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise AlreadyOpen(f"{path} is open in another process; close that one first") from error
        try:
            identity_path = path / IDENTITY_FILE
            if identity_path.exists():
                identity = Identity.load(identity_path, passphrase)
                if finish(path, identity, passphrase):
                    identity = Identity.load(identity_path, passphrase)
            else:
                identity = Identity.create()
                identity.save(identity_path, passphrase)
            return cls(path, identity, lock, community)
        except BaseException:
            lock.close()
            raise

    def rotate(self, passphrase: str | None = None) -> None:
        """Replace the identity by a new one that the old one hands over to; peers are told when they meet next.

        Args:
            passphrase: seals the new identity; None leaves it unsealed.

        Raises:
            p2p.P2PError: it cannot be handed over, or the record store cannot be used.
        """
        self.device = rotate(self.path, self.device, passphrase)

    @property
    def identity(self) -> Identity:
        """Who the device is in this community."""
        return self.device.pseudonym(self.community)

    @property
    def room(self) -> Path:
        """The folder of what belongs to this community."""
        return self._room

    @property
    def events_path(self) -> Path:
        """The private event store."""
        return self.path / EVENTS_FILE

    @property
    def records_path(self) -> Path:
        """The store of records received from peers of this community."""
        return self._room / RECORDS_FILE

    def close(self) -> None:
        """Release the lock."""
        if not self._lock.closed:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()


def is_open(path: Path) -> bool:
    """Return whether a process has a device folder open."""
    try:
        with (path / _LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def private_umask() -> None:
    """Make files that this process creates readable by its user alone; for commands."""
    os.umask(0o077)
