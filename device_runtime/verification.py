"""Ed25519 verification: by `cryptography`, imported at the first signature, or by what the app installs instead.

There are no wheels of `cryptography` for Android, where the SDK installs `java.security`'s. A process has one verifier:
whether a signature is valid does not depend on who computes it.
"""

from __future__ import annotations

from typing import Protocol

from device_runtime.errors import CryptoUnavailable


class Verifier(Protocol):
    """Checks Ed25519 signatures (RFC 8032)."""

    def verify(self, key: bytes, signature: bytes, message: bytes) -> bool:
        """Return whether `signature` (64 bytes) is the one of `message` by the public key `key` (32 bytes).

        Keys and signatures may come from anyone: what is malformed is not valid, and raises nothing.
        """
        ...


class _ByCryptography:
    """The default."""

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as error:
            raise CryptoUnavailable(
                f"nothing here checks signatures ({error}); run `pip install cryptography`, or on Android open the "
                "device through sdk.android"
            ) from error
        self._key = Ed25519PublicKey
        self._invalid = InvalidSignature

    def verify(self, key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            self._key.from_public_bytes(key).verify(signature, message)
        except (self._invalid, ValueError):
            return False
        return True


_installed: Verifier | None = None


def use_verifier(verifier: Verifier | None) -> None:
    """Let `verifier` check every signature of this process from now on; None means `cryptography` again."""
    global _installed
    _installed = verifier


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is valid, see `Verifier`.

    Raises:
        CryptoUnavailable: `cryptography` is not installed, and nothing else was.
    """
    global _installed
    if _installed is None:
        _installed = _ByCryptography()
    return _installed.verify(key, signature, message)
