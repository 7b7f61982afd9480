"""What peers say to each other besides records: announcements, requests and answers, in msgpack with strict limits.

Announcements and requests are arrays that begin with the protocol version and a kind; answers begin with the version,
and their kind is that of the request. An empty answer declines a request. Decoding never trusts a length: sizes are
bounded by the transport, counts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from p2p.errors import RecordInvalid, Rejected
from p2p.identity import PEER_ID_BYTES, PeerId
from p2p.record import MAX_RECORD_BYTES
from p2p.store import EQUIVOCATED, Entry

VERSION = 1
BUCKETS = 256
BUCKET_DIGEST_BYTES = 16  # with 8, two sets of records with one digest can be made in 2^32 steps
DIGEST_BYTES = 32
MAX_ANNOUNCED = 32
MAX_ENTRIES = 12_000  # a full store and its proofs; 78 bytes each, which fits an answer
MAX_BODIES = 64
# Checked by msgpack before it allocates: without them nested array headers cost many times their size in memory.
_LIMITS = {"max_array_len": MAX_ENTRIES, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
_ANNOUNCE, _ASK_OWN, _ASK_ENTRIES, _ASK_BODIES = range(4)


@dataclass(frozen=True, slots=True)
class Announce:
    """Broadcast: these records exist; at most 32."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class AskOwn:
    """Request: which record of mine do you hold?"""


@dataclass(frozen=True, slots=True)
class AskEntries:
    """Request: here is what I hold, as 256 digests of 16 bytes; name your records of the buckets that differ."""

    buckets: bytes


@dataclass(frozen=True, slots=True)
class AskBodies:
    """Request: send the records of these authors; at most 64."""

    authors: tuple[PeerId, ...]


Request = AskOwn | AskEntries | AskBodies


@dataclass(frozen=True, slots=True)
class Entries:
    """Answer to `AskEntries`."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Bodies:
    """Answer to `AskBodies` and `AskOwn`: for each author the signed record, or the two that prove equivocation.

    Not yet verified.
    """

    records: tuple[bytes, ...]


def encode(message: Announce | Request) -> bytes:
    """Return the wire form of an announcement or a request."""
    match message:
        case Announce(entries):
            content: list[object] = [VERSION, _ANNOUNCE, [list(entry) for entry in entries]]
        case AskOwn():
            content = [VERSION, _ASK_OWN]
        case AskEntries(buckets):
            content = [VERSION, _ASK_ENTRIES, buckets]
        case AskBodies(authors):
            content = [VERSION, _ASK_BODIES, list(authors)]
    packed: bytes = msgpack.packb(content)
    return packed


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Return the wire form of an answer that names records."""
    packed: bytes = msgpack.packb([VERSION, [list(entry) for entry in entries]])
    return packed


def encode_bodies(records: Sequence[bytes]) -> bytes:
    """Return the wire form of an answer that carries records."""
    packed: bytes = msgpack.packb([VERSION, list(records)])
    return packed


def decode_announce(data: bytes) -> Announce:
    """Read a broadcast.

    Raises:
        RecordInvalid: it is malformed.
    """
    kind, rest = _opened(data)
    _need(kind == _ANNOUNCE and len(rest) == 1)
    return Announce(_entries(rest[0], MAX_ANNOUNCED))


def decode_request(data: bytes) -> Request:
    """Read a request.

    Raises:
        RecordInvalid: it is malformed.
    """
    kind, rest = _opened(data)
    match kind, rest:
        case 1, []:
            return AskOwn()
        case 2, [bytes() as buckets]:
            _need(len(buckets) == BUCKETS * BUCKET_DIGEST_BYTES)
            return AskEntries(buckets)
        case 3, [list() as authors]:
            _need(len(authors) <= MAX_BODIES and all(_is_bytes(a, PEER_ID_BYTES) for a in authors))
            return AskBodies(tuple(PeerId(a) for a in authors))
    raise RecordInvalid(Rejected.MALFORMED, f"no request of kind {kind!r} in protocol {VERSION}")


def decode_entries(data: bytes) -> Entries:
    """Read the answer to `AskEntries`.

    Raises:
        RecordInvalid: it is malformed.
    """
    content = _answer(data)
    return Entries(_entries(content, MAX_ENTRIES))


def decode_bodies(data: bytes) -> Bodies:
    """Read the answer to `AskBodies` or `AskOwn`.

    Raises:
        RecordInvalid: it is malformed.
    """
    content = _answer(data)
    _need(isinstance(content, list) and len(content) <= 2 * MAX_BODIES)
    _need(all(isinstance(body, bytes) and len(body) <= MAX_RECORD_BYTES for body in content))
    return Bodies(tuple(content))


def _opened(data: bytes) -> tuple[int, list[Any]]:
    content = _unpacked(data)
    _need(isinstance(content, list) and len(content) >= 2 and content[0] == VERSION)
    _need(isinstance(content[1], int) and not isinstance(content[1], bool))
    return content[1], content[2:]


def _answer(data: bytes) -> Any:
    content = _unpacked(data)
    _need(isinstance(content, list) and len(content) == 2 and content[0] == VERSION)
    return content[1]


def _unpacked(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, raw=False, **_LIMITS)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not msgpack ({error})") from error


def _entries(content: Any, most: int) -> tuple[Entry, ...]:
    _need(isinstance(content, list) and len(content) <= most)
    for row in content:
        _need(isinstance(row, list) and len(row) == 3)
        author, version, digest = row
        _need(_is_bytes(author, PEER_ID_BYTES) and _is_bytes(digest, DIGEST_BYTES))
        _need(isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= EQUIVOCATED)
    return tuple((PeerId(author), version, digest) for author, version, digest in content)


def _is_bytes(value: object, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def _need(condition: bool) -> None:
    if not condition:
        raise RecordInvalid(Rejected.MALFORMED, f"not a message of protocol {VERSION}")
