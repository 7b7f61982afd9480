"""One key pair per community, derived from the device's seed, so that two communities cannot tell that they meet one.

HKDF-SHA256 (RFC 5869) with the seed as input keying material, a salt that names this use, and the community as `info`.
The output is the seed of another Ed25519 key. Who knows keys of two communities, or the secret of one, learns nothing
about the other, as long as HMAC-SHA256 is a pseudorandom function (Krawczyk, CRYPTO 2010).
"""

from __future__ import annotations

import hashlib
import hmac

MAX_COMMUNITY_BYTES = 128
_PSEUDONYM = b"meritrec/pseudonym/1"
_COINS = b"meritrec/coins/1"
_HASH_BYTES = 32


def hkdf_sha256(key: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-SHA256 (RFC 5869, one block of output)."""
    extracted = hmac.digest(salt or bytes(_HASH_BYTES), key, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def pseudonym_seed(seed: bytes, community: str) -> bytes:
    """Return the seed of a device's key in a community; its own seed where the community has no name."""
    return seed if not community else hkdf_sha256(seed, _PSEUDONYM, community_bytes(community))


def coin_secret(seed: bytes, community: str) -> bytes:
    """Return the 32-byte secret that decides a device's randomised answers in a community."""
    return hkdf_sha256(seed, _COINS, community_bytes(community))


def community_bytes(community: str) -> bytes:
    """Return a community's name as it goes into keys: its UTF-8 bytes, exactly.

    Raises:
        ValueError: it is longer than 128 bytes, or no text.
    """
    try:
        name = community.encode()
    except (UnicodeEncodeError, AttributeError) as error:
        raise ValueError(f"a community is named by text, got {community!r}") from error
    if len(name) > MAX_COMMUNITY_BYTES:
        raise ValueError(f"a community's name has at most {MAX_COMMUNITY_BYTES} bytes, got {len(name)}")
    return name
