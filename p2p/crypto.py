"""The primitives that identities, sealed key files and bridges stand on, and who computes them.

By default that is `cryptography`, imported at first use. There are no wheels of it for Android, where the SDK installs
`java.security`'s. A process has one implementation: all of them compute the same functions. Randomness is the
operating system's and is not part of the interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from p2p.errors import CryptoUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

X25519_BASE = (9).to_bytes(32, "little")
"""Agreeing with it gives a private key's public key."""


class SigningKey(Protocol):
    """An Ed25519 private key."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`, 64 bytes."""
        ...


class Crypto(Protocol):
    """Ed25519 (RFC 8032), X25519 (RFC 7748) and ChaCha20-Poly1305 (RFC 8439). Safe to call from any thread."""

    def signing_key(self, seed: bytes) -> SigningKey:
        """Return the key of a seed of 32 bytes.

        Raises:
            ValueError: the seed has another length.
        """
        ...

    def verify(self, key: bytes, signature: bytes, message: bytes) -> bool:
        """Return whether a signature is valid; what is malformed is not, and raises nothing."""
        ...

    def agree(self, private: bytes, public: bytes) -> bytes:
        """Return the shared secret of a private and a public key, all of 32 bytes.

        Raises:
            ValueError: `public` is of small order, so that the secret would be known to everyone, or no key.
        """
        ...

    def encrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Return the ciphertext with its 16-byte tag; key of 32, nonce of 12 bytes."""
        ...

    def decrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            ValueError: the data were not made with this key, nonce and associated data.
        """
        ...


class _CryptographyKey:
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class _ByCryptography:
    """The default."""

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidSignature, InvalidTag
            from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        except ImportError as error:
            raise CryptoUnavailable(
                f"nothing here signs or encrypts ({error}); run `pip install cryptography`, or on Android open the "
                "device through sdk.android"
            ) from error
        self._ed25519, self._x25519, self._cipher = ed25519, x25519, ChaCha20Poly1305
        self._invalid, self._tampered = InvalidSignature, InvalidTag

    def signing_key(self, seed: bytes) -> SigningKey:
        return _CryptographyKey(self._ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    def verify(self, key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            self._ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (self._invalid, ValueError):
            return False
        return True

    def agree(self, private: bytes, public: bytes) -> bytes:
        mine = self._x25519.X25519PrivateKey.from_private_bytes(private)
        return mine.exchange(self._x25519.X25519PublicKey.from_public_bytes(public))

    def encrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        return self._cipher(key).encrypt(nonce, data, associated)

    def decrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        try:
            return self._cipher(key).decrypt(nonce, data, associated)
        except self._tampered as error:
            raise ValueError("the tag does not fit") from error


_installed: Crypto | None = None


def use_crypto(crypto: Crypto | None) -> None:
    """Let `crypto` compute everything in this process from now on; None means `cryptography` again."""
    global _installed
    _installed = crypto


def primitives() -> Crypto:
    """Return what computes in this process.

    Raises:
        CryptoUnavailable: `cryptography` is not installed, and nothing else was.
    """
    global _installed
    if _installed is None:
        _installed = _ByCryptography()
    return _installed
