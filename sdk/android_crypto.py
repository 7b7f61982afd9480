"""Signatures, key agreement and encryption by `java.security`, for apps in which `cryptography` cannot be: Android.

One object serves both rooms: it is a `device_runtime.Verifier` and a `p2p.crypto.Crypto`. Keys cross as bytes: raw keys
of 32 bytes get the fixed DER headers of RFC 8410. What the platform lacks it gets from a provider that the app brings:
Android's own Conscrypt has Ed25519 in its newest versions only, X25519 and ChaCha20-Poly1305 earlier; Bouncy Castle has
all three on every Android that Chaquopy runs on.
"""

from __future__ import annotations

import hashlib
from typing import Any

from device_runtime import CryptoUnavailable

# RFC 8410: SubjectPublicKeyInfo and PKCS #8 around 32 raw bytes; 1.3.101.112 is Ed25519, 1.3.101.110 is X25519.
_PUBLIC = {"Ed25519": bytes.fromhex("302a300506032b6570032100"), "XDH": bytes.fromhex("302a300506032b656e032100")}
_PRIVATE = {
    "Ed25519": bytes.fromhex("302e020100300506032b657004220420"),
    "XDH": bytes.fromhex("302e020100300506032b656e04220420"),
}
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64
_P = 2**255 - 19
_BASE = (9).to_bytes(32, "little")


class JavaCrypto:
    """Ed25519, X25519 and ChaCha20-Poly1305 of a Java security provider. Safe to call from any thread.

    Args:
        provider: class name of a `java.security.Provider` that the app brings, such as
            `org.bouncycastle.jce.provider.BouncyCastleProvider`; None for what the platform has.

    Raises:
        CryptoUnavailable: there is no Java here, no such class, or the provider lacks something.
    """

    def __init__(self, provider: str | None = None) -> None:
        try:
            from java import jarray, jbyte, jclass
        except ImportError as error:
            raise CryptoUnavailable(
                f"this is no Android app with Chaquopy ({error}); elsewhere use cryptography"
            ) from error
        self._bytes = jarray(jbyte)
        self._throwable: Any = jclass("java.lang.Throwable")
        names = ("KeyFactory", "Signature", "spec.X509EncodedKeySpec", "spec.PKCS8EncodedKeySpec")
        self._security = {name.removeprefix("spec."): jclass(f"java.security.{name}") for name in names}
        names = ("Cipher", "KeyAgreement", "spec.IvParameterSpec", "spec.SecretKeySpec")
        self._crypto = {name.removeprefix("spec."): jclass(f"javax.crypto.{name}") for name in names}
        try:
            self._provider = (jclass(provider)(),) if provider else ()
            for factory in ("Ed25519", "XDH"):
                self._factory(factory)
            self._signature()
            self._agreement()
            self._cipher()
        except self._throwable as error:
            raise CryptoUnavailable(
                f"Java lacks what meritrec needs ({_said(error)}); add org.bouncycastle:bcprov-jdk18on to the app and "
                "name org.bouncycastle.jce.provider.BouncyCastleProvider as its security provider"
            ) from error

    def signing_key(self, seed: bytes) -> JavaSigningKey:
        """Return the Ed25519 key of a seed, see `p2p.crypto.Crypto`."""
        if len(seed) != _KEY_BYTES:
            raise ValueError(f"an Ed25519 private key is {_KEY_BYTES} bytes long")
        return JavaSigningKey(self, seed)

    def verify(self, key: bytes, signature: bytes, message: bytes) -> bool:
        """Return whether an Ed25519 signature is valid; what is malformed is not."""
        if len(key) != _KEY_BYTES or len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            verifier = self._signature()
            verifier.initVerify(self._public("Ed25519", key))
            verifier.update(self._bytes(message))
            return bool(verifier.verify(self._bytes(signature)))
        except self._throwable:  # the key is no point of the curve, or S is not below the group's order
            return False

    def sign(self, seed: bytes, data: bytes) -> bytes:
        """Return the Ed25519 signature by the key of a seed."""
        signer = self._signature()
        signer.initSign(self._private("Ed25519", seed))
        signer.update(self._bytes(data))
        return bytes(signer.sign())

    def agree(self, private: bytes, public: bytes) -> bytes:
        """Return the X25519 secret, see `p2p.crypto.Crypto`."""
        if len(private) != _KEY_BYTES or len(public) != _KEY_BYTES:
            raise ValueError(f"an X25519 key is {_KEY_BYTES} bytes long")
        try:
            agreement = self._agreement()
            agreement.init(self._private("XDH", private))
            agreement.doPhase(self._public("XDH", public), True)
            secret = bytes(agreement.generateSecret())
        except self._throwable as error:
            raise ValueError(f"the key makes no secret ({_said(error)})") from error
        if not any(secret):
            raise ValueError("the key makes no secret: it is of small order")
        return secret

    def encrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Return the ChaCha20-Poly1305 ciphertext and tag."""
        return self._crypted(1, key, nonce, data, associated)  # Cipher.ENCRYPT_MODE

    def decrypt(self, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Return what was encrypted, see `p2p.crypto.Crypto`."""
        try:
            return self._crypted(2, key, nonce, data, associated)  # Cipher.DECRYPT_MODE
        except self._throwable as error:
            raise ValueError(f"the tag does not fit ({_said(error)})") from error

    def _crypted(self, mode: int, key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        cipher = self._cipher()
        secret = self._crypto["SecretKeySpec"](self._bytes(key), "ChaCha20")
        cipher.init(mode, secret, self._crypto["IvParameterSpec"](self._bytes(nonce)))
        if associated:
            cipher.updateAAD(self._bytes(associated))
        return bytes(cipher.doFinal(self._bytes(data)))

    def _factory(self, algorithm: str) -> Any:
        return self._security["KeyFactory"].getInstance(algorithm, *self._provider)

    def _signature(self) -> Any:
        return self._security["Signature"].getInstance("Ed25519", *self._provider)

    def _agreement(self) -> Any:
        return self._crypto["KeyAgreement"].getInstance("XDH", *self._provider)

    def _cipher(self) -> Any:
        return self._crypto["Cipher"].getInstance("ChaCha20-Poly1305", *self._provider)

    def _public(self, algorithm: str, raw: bytes) -> Any:
        spec = self._security["X509EncodedKeySpec"](self._bytes(_PUBLIC[algorithm] + raw))
        return self._factory(algorithm).generatePublic(spec)

    def _private(self, algorithm: str, raw: bytes) -> Any:
        spec = self._security["PKCS8EncodedKeySpec"](self._bytes(_PRIVATE[algorithm] + raw))
        return self._factory(algorithm).generatePrivate(spec)


class JavaSigningKey:
    """An Ed25519 key in memory, see `p2p.crypto.SigningKey`.

    Java does not tell the public key of a private one, so it is derived through X25519: both curves are the same, up to
    a birational map (RFC 7748, section 4.1), so that agreeing with the base point by the scalar of RFC 8032 gives
    u of the public point, and y = (u - 1) / (u + 1). Which of the two signs x has, a signature tells.
    """

    def __init__(self, crypto: JavaCrypto, seed: bytes) -> None:
        self._crypto = crypto
        self._seed = seed
        u = int.from_bytes(crypto.agree(hashlib.sha512(seed).digest()[:_KEY_BYTES], _BASE), "little")
        y = (u - 1) * pow(u + 1, -1, _P) % _P
        candidates = [(y | sign << 255).to_bytes(_KEY_BYTES, "little") for sign in (0, 1)]
        probe = b"which sign has x"
        signature = crypto.sign(seed, probe)
        (self.public,) = (key for key in candidates if crypto.verify(key, signature, probe))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`, 64 bytes."""
        return self._crypto.sign(self._seed, data)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
