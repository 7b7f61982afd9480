"""What peers say to each other besides records: announcements, requests and answers, in msgpack with strict limits.

Announcements and requests are arrays that begin with the protocol version and a kind; answers begin with the version,
and their kind is that of the request. An empty answer declines a request. Decoding never trusts a length: sizes are
bounded by the transport, counts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from p2p.errors import RecordInvalid, Rejected
from p2p.identity import PEER_ID_BYTES, PeerId
from p2p.reconcile import CELL_BYTES, MAX_CELLS
from p2p.record import EQUIVOCATED, MAX_RECORD_BYTES
from p2p.store import Entry
from p2p.wire import is_int, is_key, need, pack, unpack, unpack_rows

VERSION = 1
DIGEST_BYTES = 32
NONCE_BYTES = 8
INTEREST_DIGEST_BYTES = 8
MAX_ANNOUNCED = 32
MAX_ENTRIES = 12_000  # a full store and its proofs; 78 bytes each, which fits an answer
MAX_BODIES = 64
MAX_INTEREST = 12_000
SHORT_NAME_BYTES = 4
_LIMITS = {"max_array_len": 2 * MAX_BODIES, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
_ROW_LIMITS = {**_LIMITS, "max_array_len": 3}
_NOTHING = pack([VERSION, []])  # the usual answer to a comparison
_ANNOUNCE, _ASK_OWN, _COMPARE, _ASK_BODIES, _TELL_INTEREST = range(5)


@dataclass(frozen=True, slots=True)
class Announce:
    """Broadcast: these records exist; at most 32."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class AskOwn:
    """Request: which record of mine do you hold?"""


@dataclass(frozen=True, slots=True)
class TellInterest:
    """Request: from now on compare only the records of these authors with me (see `p2p.holdings`); whose do you want?

    Attributes:
        interest: names the authors; None stands for everyone.
    """

    interest: bytes | None


@dataclass(frozen=True, slots=True)
class Compare:
    """Request: here is what I hold, as a table (see `p2p.reconcile`); name your records that I lack.

    Attributes:
        nonce: of the table.
        interest: digest of whose records the two sides want; empty if both want everyone's.
        cells: the table.
    """

    nonce: int
    interest: bytes
    cells: bytes


@dataclass(frozen=True, slots=True)
class AskBodies:
    """Request: send the records of these authors, if they have at least these versions; at most 64."""

    wanted: tuple[tuple[PeerId, int], ...]


Request = AskOwn | TellInterest | Compare | AskBodies


@dataclass(frozen=True, slots=True)
class Entries:
    """Answer to `Compare`: records that the asker lacks, perhaps among others that it has."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class MoreCells:
    """Answer to `Compare`: the table was too small, try again with so many cells."""

    n_cells: int


@dataclass(frozen=True, slots=True)
class UnknownInterest:
    """Answer to `Compare`: we do not know of each other whose records we want; tell me."""


Comparison = Entries | MoreCells | UnknownInterest


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
            content: list[object] = [VERSION, _ANNOUNCE, entries]
        case AskOwn():
            content = [VERSION, _ASK_OWN]
        case Compare(nonce, interest, cells):
            content = [VERSION, _COMPARE, nonce.to_bytes(NONCE_BYTES, "big"), interest, cells]
        case TellInterest(interest):
            content = [VERSION, _TELL_INTEREST, interest]
        case AskBodies(wanted):
            content = [VERSION, _ASK_BODIES, wanted]
    return pack(content)


def encode_comparison(answer: Comparison) -> bytes:
    """Return the wire form of the answer to `Compare`."""
    match answer:
        case Entries(entries):
            content: object = entries
        case MoreCells(n_cells):
            content = n_cells
        case UnknownInterest():
            content = None
    return pack([VERSION, content])


def encode_interest(interest: bytes | None) -> bytes:
    """Return the wire form of the answer to `TellInterest`."""
    return pack([VERSION, interest])


def encode_bodies(records: Sequence[bytes]) -> bytes:
    """Return the wire form of an answer that carries records."""
    return pack([VERSION, list(records)])


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
        case 2, [bytes() as nonce, bytes() as interest, bytes() as cells]:
            _need(len(nonce) == NONCE_BYTES and len(interest) in (0, INTEREST_DIGEST_BYTES))
            _need(0 < len(cells) <= MAX_CELLS * CELL_BYTES and len(cells) % CELL_BYTES == 0)
            return Compare(int.from_bytes(nonce, "big"), interest, cells)
        case 4, [interest]:
            return TellInterest(_interest(interest))
        case 3, [list() as wanted]:
            _need(len(wanted) <= MAX_BODIES and all(isinstance(pair, list) and len(pair) == 2 for pair in wanted))
            _need(all(is_key(a, PEER_ID_BYTES) and is_int(v, 1, EQUIVOCATED) for a, v in wanted))
            return AskBodies(tuple(map(tuple, wanted)))
    raise RecordInvalid(Rejected.MALFORMED, f"no request of kind {kind!r} in protocol {VERSION}")


def decode_comparison(data: bytes) -> Comparison:
    """Read the answer to `Compare`.

    Raises:
        RecordInvalid: it is malformed.
    """
    if data == _NOTHING:
        return Entries(())
    try:
        version, content = unpack_rows(data, _ROW_LIMITS, MAX_ENTRIES)
    except ValueError as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not msgpack ({error})") from error
    _need(version == VERSION)
    if content is None:
        return UnknownInterest()
    if isinstance(content, list):
        return Entries(_entries(content, MAX_ENTRIES))
    _need(is_int(content, 1, MAX_CELLS))
    return MoreCells(content)


def decode_interest(data: bytes) -> bytes | None:
    """Read the answer to `TellInterest`.

    Raises:
        RecordInvalid: it is malformed.
    """
    return _interest(_answer(data))


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
        return unpack(data, _LIMITS)
    except ValueError as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not msgpack ({error})") from error


def _interest(content: Any) -> bytes | None:
    if content is None:
        return None
    _need(isinstance(content, bytes) and len(content) <= MAX_INTEREST * SHORT_NAME_BYTES)
    return bytes(content)


def _entries(content: Any, most: int) -> tuple[Entry, ...]:
    _need(isinstance(content, list) and len(content) <= most and all(map(_is_entry, content)))
    return tuple(map(tuple, content))


def _is_entry(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3:
        return False
    author, version, digest = row
    return is_key(author, PEER_ID_BYTES) and is_key(digest, DIGEST_BYTES) and is_int(version, 1, EQUIVOCATED)


def _need(condition: bool) -> None:
    need(condition, f"not a message of protocol {VERSION}")
