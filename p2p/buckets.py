"""The digest of a whole store in 256 buckets: two stores compare 4 KiB to find where they differ."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from p2p.messages import BUCKET_DIGEST_BYTES, BUCKETS
from p2p.store import Entry


def bucket_of(author: bytes) -> int:
    """Return the bucket of an author, 0..255; a hash, so that nobody chooses it cheaply."""
    return hashlib.blake2b(author, digest_size=1, person=b"meritrec/bucket").digest()[0]


def bucket_digests(entries: Iterable[Entry]) -> bytes:
    """Return 256 digests of 16 bytes: equal for equal sets of entries, in whatever order they come."""
    members: defaultdict[int, list[bytes]] = defaultdict(list)
    for author, version, digest in entries:
        members[bucket_of(author)].append(author + version.to_bytes(8, "big") + digest)
    empty = bytes(BUCKET_DIGEST_BYTES)
    return b"".join(_digest(sorted(members[b])) if b in members else empty for b in range(BUCKETS))


def differing(ours: bytes, theirs: bytes) -> frozenset[int]:
    """Return the buckets whose digests differ."""
    step = BUCKET_DIGEST_BYTES
    return frozenset(b for b in range(BUCKETS) if ours[b * step : (b + 1) * step] != theirs[b * step : (b + 1) * step])


def _digest(members: list[bytes]) -> bytes:
    return hashlib.blake2b(b"".join(members), digest_size=BUCKET_DIGEST_BYTES).digest()
