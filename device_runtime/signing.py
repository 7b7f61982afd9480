"""Publisher keys and the signatures over a manifest.

Ed25519 over a domain-separating prefix and the bytes signed. Several publishers may sign one manifest; `publishers`
says whose signatures count. Devices verify (see `verification`); only publishers sign, always with `cryptography`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from device_runtime.errors import CryptoUnavailable, KeyFileInvalid, UntrustedPublisher
from device_runtime.verification import verify

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BUNDLE_DOMAIN = b"meritrec/bundle/1\0"
_MAX_SIGNATURES = 64
MAX_SIGNATURE_BYTES = 64 * 1024
_HEADER = "meritrec publisher key, keep it secret"


class PublisherKey:
    """A key that signs bundles."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def create(cls) -> Self:
        """Make a new key."""
        return cls(_private_keys().generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key file.

        Raises:
            KeyFileInvalid: it is missing or damaged.
        """
        try:
            header, seed = path.read_text().splitlines()
            if header != _HEADER:
                raise ValueError("the first line is not that of a publisher key")
            return cls(_private_keys().from_private_bytes(bytes.fromhex(seed)))
        except FileNotFoundError as error:
            raise KeyFileInvalid(f"{path} does not exist; make it with `meritrec-server sign --new-key`") from error
        except (OSError, ValueError) as error:
            raise KeyFileInvalid(f"{path} is not a publisher key file ({error}); restore it from a backup") from error

    def save(self, path: Path) -> None:
        """Write the key file, readable by its owner only.

        Raises:
            KeyFileInvalid: the file exists; a key is never replaced.
        """
        text = f"{_HEADER}\n{self._key.private_bytes_raw().hex()}\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise KeyFileInvalid(f"{path} exists and is not replaced; leave out --new-key to use it") from error
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes: what apps pin."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes, domain: bytes = BUNDLE_DOMAIN) -> Signature:
        """Sign a manifest's bytes, or a message of another domain."""
        return Signature(self.public, self._key.sign(domain + message))


@dataclass(frozen=True, slots=True)
class Signature:
    """One publisher's signature: public key (32 bytes) and Ed25519 signature (64 bytes)."""

    key: bytes
    signature: bytes

    def verifies(self, message: bytes, domain: bytes = BUNDLE_DOMAIN) -> bool:
        """Return whether it is a valid signature of these bytes by its key."""
        return verify(self.key, self.signature, domain + message)


def _private_keys() -> type[Ed25519PrivateKey]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise CryptoUnavailable(
            f"publishers sign with cryptography ({error}); run `pip install cryptography`"
        ) from error
    return Ed25519PrivateKey


def signatures_to_json(signatures: Collection[Signature]) -> list[dict[str, str]]:
    """Return plain values, ordered by key."""
    return [{"key": key, "signature": s} for key, s in sorted((s.key.hex(), s.signature.hex()) for s in signatures)]


def signatures_from_json(rows: Any) -> tuple[Signature, ...]:
    """Read what `signatures_to_json` gave.

    Raises:
        ValueError, TypeError, KeyError: it is something else, or too many.
    """
    if not isinstance(rows, list) or len(rows) > _MAX_SIGNATURES:
        raise ValueError(f"expected a list of at most {_MAX_SIGNATURES} signatures")
    return tuple(Signature(bytes.fromhex(row["key"]), bytes.fromhex(row["signature"])) for row in rows)


def signatures_to_bytes(signatures: Collection[Signature]) -> bytes:
    """Return the signature file, ordered by key."""
    content = {"signatures": signatures_to_json(signatures), "version": 1}
    return json.dumps(content, sort_keys=True, indent=1).encode() + b"\n"


def signatures_from_bytes(data: bytes) -> tuple[Signature, ...]:
    """Read a signature file; the bytes may come from anyone.

    Raises:
        UntrustedPublisher: they are not a signature file.
    """
    try:
        if len(data) > MAX_SIGNATURE_BYTES:
            raise ValueError(f"{len(data)} bytes are too many")
        content = json.loads(data)
        if content["version"] != 1:
            raise ValueError("unknown version")
        return signatures_from_json(content["signatures"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UntrustedPublisher(f"the signature file cannot be read ({error}); get the bundle again") from error
