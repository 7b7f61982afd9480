"""The file that keeps a device's private key: readable by its owner only, and encrypted if a passphrase is given.

Four kinds of lines: a header, the seed (in hex, or sealed), the public key, and for a sealed seed how it was sealed.
Sealed means ChaCha20-Poly1305 under a key that scrypt (RFC 7914) makes of the passphrase; what else the file says is
authenticated with it. Knows nothing of identities but their two halves.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from p2p.crypto import primitives
from p2p.errors import CryptoUnavailable, IdentityInvalid, PassphraseWrong

_PLAIN = "meritrec device identity, keep it secret"
_SEALED = "meritrec device identity, sealed with a passphrase"
_SALT_BYTES = 16
_NONCE_BYTES = 12
# 64 MiB and some 0.2 s; as RFC 7914 and OWASP advise for what is entered now and then. The file says the exponent.
_COST_EXPONENT = 16
_MAX_COST_EXPONENT = 20


def write_key_file(path: Path, seed: bytes, public: bytes, passphrase: str | None) -> None:
    """Write a key file with mode 0600, whole or not at all.

    Raises:
        IdentityInvalid: the file exists; a key is never replaced.
        ValueError: the passphrase is empty.
    """
    if path.exists():
        raise IdentityInvalid(f"{path} exists and is not replaced")
    lines = [_PLAIN, seed.hex(), public.hex()] if passphrase is None else _sealed(seed, public, passphrase)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # new, and of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_key_file(path: Path, passphrase: str | None) -> tuple[bytes, bytes]:
    """Return (seed, public key) of a key file. Whether they belong together is for the caller to check.

    A passphrase is not needed, and not looked at, if the file is not sealed.

    Raises:
        PassphraseWrong: the file is sealed, and the passphrase is missing or wrong.
        IdentityInvalid: the file is missing, damaged, or readable by others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        header, *lines = path.read_text("ascii").splitlines()
        if mode & 0o077:
            raise IdentityInvalid(f"{path} can be read by others (mode {mode:o}); run chmod 600 on it")
        if header == _PLAIN:
            seed, public = map(bytes.fromhex, lines)
        elif header == _SEALED:
            seed, public = _unsealed(path, lines, passphrase)
        else:
            raise ValueError("the first line is not that of an identity file")
    except FileNotFoundError as error:
        raise IdentityInvalid(f"{path} does not exist; initialise the device first") from error
    except OSError as error:
        raise IdentityInvalid(f"{path} cannot be read ({error}); check who owns it") from error
    except ValueError as error:
        raise IdentityInvalid(
            f"{path} is damaged ({error}); restore it from a backup, or move it away to become a new peer"
        ) from error
    return seed, public


def is_sealed(path: Path) -> bool:
    """Return whether a file says that it needs a passphrase."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SEALED)) == _SEALED.encode()
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sealed(seed: bytes, public: bytes, passphrase: str) -> list[str]:
    if not passphrase:
        raise ValueError("an empty passphrase protects nothing; give None for a file without one")
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    facts = f"scrypt 2^{_COST_EXPONENT} 8 1 {salt.hex()}"
    sealed = primitives().encrypt(_key(passphrase, salt, _COST_EXPONENT), nonce, seed, _said(facts, public))
    return [_SEALED, (nonce + sealed).hex(), public.hex(), facts]


def _unsealed(path: Path, lines: list[str], passphrase: str | None) -> tuple[bytes, bytes]:
    content, key, facts = lines
    sealed, public = bytes.fromhex(content), bytes.fromhex(key)
    name, cost, block, lanes, salt = facts.split(" ")
    if (name, block, lanes) != ("scrypt", "8", "1") or not cost.startswith("2^") or not cost[2:].isdigit():
        raise ValueError("it was sealed in an unknown way")
    exponent = int(cost[2:])
    if not 1 <= exponent <= _MAX_COST_EXPONENT:  # a hostile file must not take all memory
        raise ValueError(f"a cost of 2^{exponent} is not between 2^1 and 2^{_MAX_COST_EXPONENT}")
    if not passphrase:
        raise PassphraseWrong(f"{path} is sealed: its passphrase is needed")
    key_of_seed = _key(passphrase, bytes.fromhex(salt), exponent)
    try:
        seed = primitives().decrypt(key_of_seed, sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _said(facts, public))
    except ValueError as error:
        raise PassphraseWrong(f"the passphrase is not that of {path}, or the file is damaged") from error
    return seed, public


def _key(passphrase: str, salt: bytes, exponent: int) -> bytes:
    if not hasattr(hashlib, "scrypt"):
        raise CryptoUnavailable("this Python lacks hashlib.scrypt, which sealed identities need; use one with OpenSSL")
    n = 1 << exponent
    # OpenSSL counts the block mix and its copy into the limit, beside the table of 128 r n bytes.
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=n, r=8, p=1, maxmem=1024 * (n + 32), dklen=32)


def _said(facts: str, public: bytes) -> bytes:
    return f"{_SEALED}\n{public.hex()}\n{facts}".encode()
