"""Noise_NN_25519_ChaChaPoly_SHA256 (noiseprotocol.org, revision 34): a session key of two ephemeral ones. Sans-IO.

Only this one pattern, with empty payloads, over the primitives of `p2p.crypto`; noiseprotocol 0.3.1, which the tests
compare it with, needs `cryptography` and so does not run on Android. Neither side is authenticated: `p2p.channel` signs
the handshake hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from p2p.crypto import X25519_BASE, primitives

_NAME = b"Noise_NN_25519_ChaChaPoly_SHA256"  # as long as a hash, so it is the first one as it stands
KEY_BYTES = 32
TAG_BYTES = 16
_LAST_NONCE = (1 << 64) - 2  # the largest is reserved (section 5.1)


class NonceExhausted(Exception):
    """A key has encrypted as many frames as it may."""


class _Cipher:
    """A CipherState (section 5.1)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0

    def encrypt(self, data: bytes, associated: bytes) -> bytes:
        return primitives().encrypt(self._key, self._nonce(), data, associated)

    def decrypt(self, data: bytes, associated: bytes) -> bytes:
        return primitives().decrypt(self._key, self._nonce(), data, associated)

    def _nonce(self) -> bytes:
        if self._count > _LAST_NONCE:
            raise NonceExhausted("2^64 - 1 frames were encrypted with one key")
        self._count += 1
        return bytes(4) + (self._count - 1).to_bytes(8, "little")


class NoiseNN:
    """One side of a session. After any error it is of no use any more.

    Args:
        prologue: what both sides must agree on.
        initiator: whether this side writes first.
        ephemeral: private key of 32 bytes; a fresh one unless a test gives it.
    """

    def __init__(self, prologue: bytes, *, initiator: bool, ephemeral: bytes | None = None) -> None:
        self._initiator = initiator
        self._private = os.urandom(KEY_BYTES) if ephemeral is None else ephemeral
        self._hash = _NAME
        self._chaining = _NAME
        self._remote = b""
        self._wrote = False
        self._ciphers: tuple[_Cipher, _Cipher] | None = None
        self._mix_hash(prologue)

    @property
    def finished(self) -> bool:
        """Whether the handshake is over."""
        return self._ciphers is not None

    @property
    def handshake_hash(self) -> bytes:
        """32 bytes that both sides share, and nobody else's handshake has (section 11.2)."""
        return self._hash

    def write(self) -> bytes:
        """Return this side's handshake message; the responder's ends the handshake.

        Raises:
            ValueError: it is not this side's turn, or the other's key makes no secret.
        """
        if self._wrote or self._initiator == bool(self._remote):
            raise ValueError("it is not this side's turn")
        self._wrote = True
        public = primitives().agree(self._private, X25519_BASE)
        self._mix_hash(public)
        if self._initiator:
            self._mix_hash(b"")
            return public
        return public + self._finish(b"", encrypting=True)

    def read(self, message: bytes) -> None:
        """Take the other side's handshake message; the initiator's handshake ends with it.

        Raises:
            ValueError: it is not what the other side wrote, or its key makes no secret.
        """
        if self._remote or self._initiator != self._wrote:
            raise ValueError("it is not the other side's turn")
        if len(message) != KEY_BYTES + (TAG_BYTES if self._initiator else 0):
            raise ValueError(f"a handshake message of {len(message)} bytes")
        self._remote = message[:KEY_BYTES]
        self._mix_hash(self._remote)
        if self._initiator:
            self._finish(message[KEY_BYTES:], encrypting=False)
        else:
            self._mix_hash(b"")

    def encrypt(self, data: bytes) -> bytes:
        """Return the next frame to send, 16 bytes longer than `data`.

        Raises:
            NonceExhausted: no frame may be encrypted any more.
        """
        assert self._ciphers is not None, "the handshake comes first"
        return self._ciphers[0].encrypt(data, b"")

    def decrypt(self, frame: bytes) -> bytes:
        """Return what the other side's next frame says.

        Raises:
            ValueError: it is not that frame.
            NonceExhausted: no frame is taken any more.
        """
        assert self._ciphers is not None, "the handshake comes first"
        return self._ciphers[1].decrypt(frame, b"")

    def _finish(self, payload: bytes, *, encrypting: bool) -> bytes:
        """The token ee, the empty payload, and Split (section 5.2); return the payload's other form."""
        secret = primitives().agree(self._private, self._remote)
        self._chaining, key = _derived(self._chaining, secret)
        cipher = _Cipher(key)
        done = (cipher.encrypt if encrypting else cipher.decrypt)(payload, self._hash)
        self._mix_hash(done if encrypting else payload)
        mine, theirs = map(_Cipher, _derived(self._chaining, b""))
        self._ciphers = (mine, theirs) if self._initiator else (theirs, mine)
        self._private = b""
        return done

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()


def _derived(chaining: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """HKDF with two outputs (section 4.3)."""
    key = hmac.digest(chaining, secret, "sha256")
    first = hmac.digest(key, b"\x01", "sha256")
    return first, hmac.digest(key, first + b"\x02", "sha256")
