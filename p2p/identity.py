"""Who a device is: one Ed25519 key pair. The public key names the device everywhere."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import NewType, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2p.errors import IdentityInvalid

PeerId = NewType("PeerId", bytes)
"""An Ed25519 public key, 32 bytes."""

PEER_ID_BYTES = 32
SIGNATURE_BYTES = 64
_HEADER = "meritrec device identity, keep it secret"


class Signer(Protocol):
    """Signs as one peer; a phone may keep the key in its own key store."""

    @property
    def peer_id(self) -> PeerId:
        """The public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `data`."""
        ...


class Identity:
    """The default `Signer`: a key in memory, from a file readable by its owner only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._peer_id = PeerId(key.public_key().public_bytes_raw())

    @classmethod
    def create(cls) -> Self:
        """Make a new identity."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the identity of a 32-byte seed."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an identity file.

        Raises:
            IdentityInvalid: it is missing, damaged, or readable by others.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            header, seed, public = path.read_text("ascii").splitlines()
            if header != _HEADER:
                raise ValueError("the first line is not that of an identity file")
            identity = cls.from_seed(bytes.fromhex(seed))
            if identity.peer_id.hex() != public:  # otherwise one damaged digit would make another peer of this device
                raise ValueError("the public key is not that of the private key")
        except FileNotFoundError as error:
            raise IdentityInvalid(f"{path} does not exist; initialise the device first") from error
        except OSError as error:
            raise IdentityInvalid(f"{path} cannot be read ({error}); check who owns it") from error
        except ValueError as error:
            raise IdentityInvalid(
                f"{path} is damaged ({error}); restore it from a backup, or move it away to become a new peer"
            ) from error
        if mode & 0o077:
            raise IdentityInvalid(f"{path} can be read by others (mode {mode:o}); run chmod 600 on it")
        return identity

    def save(self, path: Path) -> None:
        """Write the identity file with mode 0600, whole or not at all.

        Raises:
            IdentityInvalid: the file exists; an identity is never replaced.
        """
        if path.exists():
            raise IdentityInvalid(f"{path} exists and is not replaced")
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # new, and of mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{_HEADER}\n{self.private_bytes.hex()}\n{self.peer_id.hex()}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    @property
    def peer_id(self) -> PeerId:
        """The public key."""
        return self._peer_id

    @property
    def private_bytes(self) -> bytes:
        """The 32-byte seed, for transports that authenticate with the same key."""
        return self._key.private_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `data`."""
        return self._key.sign(data)


def verify(peer: PeerId, signature: bytes, data: bytes) -> bool:
    """Return whether `signature` is `peer`'s of `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(peer).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
