"""Who a device is: one Ed25519 key pair. The public key names the device everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NewType, Protocol, Self

from p2p.crypto import primitives
from p2p.errors import IdentityInvalid
from p2p.key_file import read_key_file, write_key_file
from p2p.pseudonym import pseudonym_seed

PeerId = NewType("PeerId", bytes)
"""An Ed25519 public key, 32 bytes."""

PEER_ID_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64


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

    def __init__(self, seed: bytes) -> None:
        """Make the identity of a 32-byte seed.

        Raises:
            ValueError: the seed has another length.
            CryptoUnavailable: see `p2p.crypto`.
        """
        self._seed = seed
        self._key = primitives().signing_key(seed)
        self._peer_id = PeerId(self._key.public)

    @classmethod
    def create(cls) -> Self:
        """Make a new identity."""
        return cls(os.urandom(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the identity of a 32-byte seed."""
        return cls(seed)

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Self:
        """Read an identity file.

        Raises:
            PassphraseWrong: it is sealed, and the passphrase is missing or wrong.
            IdentityInvalid: it is missing, damaged, or readable by others.
        """
        seed, public = read_key_file(path, passphrase)
        try:
            identity = cls.from_seed(seed)
        except ValueError as error:
            raise IdentityInvalid(f"{path} is damaged ({error}); restore it from a backup") from error
        if identity.peer_id != public:  # otherwise one damaged digit would make another peer of this device
            raise IdentityInvalid(
                f"{path} is damaged (the public key is not that of the private key); restore it from a backup, or move "
                "it away to become a new peer"
            )
        return identity

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the identity file with mode 0600, whole or not at all; sealed, if a passphrase is given.

        Raises:
            IdentityInvalid: the file exists; an identity is never replaced.
            ValueError: the passphrase is empty.
        """
        write_key_file(path, self.private_bytes, self.peer_id, passphrase)

    @property
    def peer_id(self) -> PeerId:
        """The public key."""
        return self._peer_id

    @property
    def private_bytes(self) -> bytes:
        """The 32-byte seed, for transports that authenticate with the same key."""
        return self._seed

    def pseudonym(self, community: str) -> Self:
        """Return who this device is in a community: itself where that has no name, an unlinkable key elsewhere.

        Raises:
            ValueError: the name has more than 128 bytes of UTF-8.
        """
        return type(self).from_seed(pseudonym_seed(self.private_bytes, community)) if community else self

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `data`."""
        return self._key.sign(data)


def verify(peer: PeerId, signature: bytes, data: bytes) -> bool:
    """Return whether `signature` is `peer`'s of `data`."""
    return primitives().verify(peer, signature, data)
