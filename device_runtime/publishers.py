"""Who may sign, and how that changes: a chain of statements, each signed by those before it and by those it names.

An app pins the first set of keys. A publisher who replaces keys lets enough of the old ones sign the new set, and
enough of the new ones too, which proves that somebody holds them (as The Update Framework's root role does; Samuel et
al., CCS 2010). A device follows the chain from the set it trusts, remembers the last one, and never goes back: a key
that was replaced can sign nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

from device_runtime.errors import UntrustedPublisher
from device_runtime.signing import (
    BUNDLE_DOMAIN,
    PublisherKey,
    Signature,
    signatures_from_bytes,
    signatures_from_json,
    signatures_to_json,
)

MAX_STATEMENTS = 256
MAX_KEYS = 32
MAX_PUBLISHERS_BYTES = 1 << 20
_DOMAIN = b"meritrec/publishers/1\0"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublisherSet:
    """Keys that may sign, and how many of them must.

    Attributes:
        version: 0 for the keys that an app pins; each statement counts one more.
        keys: Ed25519 public keys, 32 bytes each, ascending and distinct.
        threshold: how many of them must have signed.

    Raises:
        ValueError: no threshold of keys can be met, or a key is not 32 bytes.
    """

    version: int
    keys: tuple[bytes, ...]
    threshold: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if any(not isinstance(key, bytes) or len(key) != _KEY_BYTES for key in self.keys):
            raise ValueError("a trusted publisher key is 32 bytes, an Ed25519 public key")
        if tuple(sorted(set(self.keys))) != self.keys or len(self.keys) > MAX_KEYS:
            raise ValueError(f"expected at most {MAX_KEYS} distinct keys in ascending order")
        if not 1 <= self.threshold <= max(1, len(self.keys)):
            raise ValueError(f"threshold must be at least 1, at most the {len(self.keys)} keys, got {self.threshold}")
        if not 0 <= self.version <= MAX_STATEMENTS:
            raise ValueError(f"the version must be 0 to {MAX_STATEMENTS}, got {self.version}")

    @classmethod
    def pinned(cls, keys: Collection[bytes], threshold: int = 1) -> Self:
        """Return the set that an app starts with."""
        if any(not isinstance(key, bytes) for key in keys):
            raise ValueError("a trusted publisher key is 32 bytes, an Ed25519 public key")
        return cls(0, tuple(sorted(set(keys))), threshold)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"keys": [key.hex() for key in self.keys], "threshold": self.threshold, "version": self.version}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Read what `to_json` gave.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(content, dict) or set(content) != {"keys", "threshold", "version"}:
            raise ValueError("expected keys, threshold and version")
        numbers = all(type(content[name]) is int for name in ("threshold", "version"))
        if not numbers or not isinstance(content["keys"], list):
            raise ValueError("expected whole numbers and a list of keys")
        return cls(content["version"], tuple(bytes.fromhex(key) for key in content["keys"]), content["threshold"])

    def accepts(self, message: bytes, signatures: Collection[Signature], domain: bytes) -> bool:
        """Whether enough of these keys signed `message`."""
        valid = {s.key for s in signatures if s.key in self.keys and s.verifies(message, domain)}
        return len(valid) >= self.threshold


@dataclass(frozen=True, slots=True)
class Statement:
    """A new set of publishers, signed by those before it and by its own."""

    publishers: PublisherSet
    signatures: tuple[Signature, ...] = ()

    def message(self) -> bytes:
        """What is signed: canonical JSON of the set."""
        return json.dumps(self.publishers.to_json(), sort_keys=True, separators=(",", ":")).encode()

    def signed_by(self, key: PublisherKey) -> Statement:
        """Return the statement with one signature more."""
        others = tuple(s for s in self.signatures if s.key != key.public)
        return Statement(self.publishers, (*others, key.sign(self.message(), _DOMAIN)))

    def is_accepted_by(self, publishers: PublisherSet) -> bool:
        """Whether enough of a set signed it."""
        return publishers.accepts(self.message(), self.signatures, _DOMAIN)


def statements_to_bytes(statements: Sequence[Statement]) -> bytes:
    """Return the file of a chain."""
    rows = [{"publishers": s.publishers.to_json(), "signatures": signatures_to_json(s.signatures)} for s in statements]
    return json.dumps({"statements": rows, "version": 1}, sort_keys=True, indent=1).encode() + b"\n"


def statements_from_bytes(data: bytes) -> tuple[Statement, ...]:
    """Read a chain; the bytes may come from anyone, and nothing of it is verified yet.

    Raises:
        UntrustedPublisher: they are no chain of statements.
    """
    try:
        if len(data) > MAX_PUBLISHERS_BYTES:
            raise ValueError(f"{len(data)} bytes are too many")
        content = json.loads(data)
        if not isinstance(content, dict) or set(content) != {"statements", "version"} or content["version"] != 1:
            raise ValueError("expected statements of version 1")
        rows = content["statements"]
        if not isinstance(rows, list) or len(rows) > MAX_STATEMENTS:
            raise ValueError(f"expected at most {MAX_STATEMENTS} statements")
        found = tuple(
            Statement(PublisherSet.from_json(row["publishers"]), signatures_from_json(row["signatures"]))
            for row in rows
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UntrustedPublisher(f"the publishers' file cannot be read ({error}); get the bundle again") from error
    if [s.publishers.version for s in found] != list(range(1, len(found) + 1)):
        raise UntrustedPublisher("the publishers' statements are not numbered 1, 2, 3 …; get the bundle again")
    return found


def follow(trusted: PublisherSet, statements: Sequence[Statement]) -> PublisherSet:
    """Return the newest set that a chain leads to from the one trusted now.

    Statements up to the trusted version are passed over: they were judged when they were new.

    Raises:
        UntrustedPublisher: a newer statement is not signed by enough of those before it and of its own.
    """
    for statement in statements:
        new = statement.publishers
        if new.version <= trusted.version:
            continue
        if new.version != trusted.version + 1:
            raise UntrustedPublisher(f"the statement that leads from publishers {trusted.version} on is missing")
        for publishers, whose in ((trusted, "those trusted before"), (new, "those it names")):
            if not statement.is_accepted_by(publishers):
                raise UntrustedPublisher(
                    f"publishers {new.version} are not signed by {publishers.threshold} of {whose}; "
                    "check where the bundle came from"
                )
        trusted = new
    return trusted


def verify_signatures(manifest: bytes, signatures: bytes, trusted: PublisherSet) -> None:
    """Check that enough of the trusted publishers signed a manifest.

    Args:
        manifest: the bytes signed.
        signatures: the signature file.
        trusted: whose signatures count.

    Raises:
        UntrustedPublisher: they did not.
    """
    present = signatures_from_bytes(signatures)
    if not trusted.accepts(manifest, present, BUNDLE_DOMAIN):
        signers = ", ".join(sorted(s.key.hex()[:16] for s in present)) or "nobody"
        raise UntrustedPublisher(
            f"the bundle is signed by {signers}, which is not {trusted.threshold} of the trusted keys. Check where the "
            "bundle came from, or add the publisher's key to the trusted ones"
        )
