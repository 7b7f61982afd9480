r"""The record that peers exchange: an author's signed adjacency list, replaced as a whole by its next version.

Wire format 1, canonical msgpack (a record has exactly one encoding):

    body   = [1, author, version, issued_at, [[peer, level], …], [[item key, level, day], …]]
    record = [body, signature]        Ed25519 over b"meritrec/record/1\0" + body, by the author's key

The author is the signing key, so nobody can state another's edges. Lists are sorted by key, without repeats. Integers
take their smallest form; there are no floats and no optional fields. An author with empty lists has said "forget me".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from p2p.errors import RecordInvalid, Rejected
from p2p.identity import PEER_ID_BYTES, SIGNATURE_BYTES, PeerId, Signer, verify
from p2p.wire import is_int, is_key, need, pack, unpack

FORMAT = 1
MAX_TRUST_EDGES = 32
MAX_ITEM_EDGES = 64
MAX_LEVEL = 3
ITEM_KEY_BYTES = 16
MAX_VERSION = (1 << 53) - 3  # this and the two above it are whole numbers in JavaScript too
HANDED_OVER = MAX_VERSION + 1
EQUIVOCATED = MAX_VERSION + 2
MAX_RECORD_BYTES = 4096
ISSUED_AT_STEP_S = 3600
_MAX_TIME = 1 << 40
_MAX_DAY = 1 << 24
_DOMAIN = b"meritrec/record/1\0"
# Checked by msgpack before it allocates; neither text nor maps nor extensions belong in a record.
_LIMITS = {"max_array_len": MAX_ITEM_EDGES, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}


@dataclass(frozen=True, slots=True, order=True)
class TrustEdge:
    """The author vouches for a peer, level 1 (a little) to 3 (a lot)."""

    peer: PeerId
    level: int


@dataclass(frozen=True, slots=True, order=True)
class ItemEdge:
    """The author likes an item: its 16-byte key, level 1 to 3, and the epoch day it last did."""

    key: bytes
    level: int
    day: int


@dataclass(frozen=True, slots=True)
class AdjacencyRecord:
    """Everything one author states.

    Attributes:
        author: who signs.
        version: at least 1; the highest one counts.
        issued_at: Unix seconds, rounded down to the hour, so that it tells little about its author's day.
        trust: at most 32 edges, sorted by peer.
        items: at most 64 edges, sorted by key.

    Raises:
        RecordInvalid: any of this does not hold.
    """

    author: PeerId
    version: int
    issued_at: int
    trust: tuple[TrustEdge, ...]
    items: tuple[ItemEdge, ...]

    def __hash__(self) -> int:
        """Author and version are enough to tell records apart; to hash a hundred edges takes fifty times as long."""
        return hash((self.author, self.version))

    def __post_init__(self) -> None:
        """Check every limit of the format."""
        need(is_key(self.author, PEER_ID_BYTES), "the author must be 32 bytes")
        need(is_int(self.version, 1, MAX_VERSION), "the version must be a whole number from 1")
        whole_hour = is_int(self.issued_at, 0, _MAX_TIME) and self.issued_at % ISSUED_AT_STEP_S == 0
        need(whole_hour, "issued_at must be Unix seconds on the hour")
        need(len(self.trust) <= MAX_TRUST_EDGES, f"at most {MAX_TRUST_EDGES} trust edges")
        need(len(self.items) <= MAX_ITEM_EDGES, f"at most {MAX_ITEM_EDGES} item edges")
        for edge in self.trust:
            need(is_key(edge.peer, PEER_ID_BYTES) and is_int(edge.level, 1, MAX_LEVEL), "a trust edge is malformed")
            need(edge.peer != self.author, "an author cannot vouch for itself")
        for item in self.items:
            well_formed = is_key(item.key, ITEM_KEY_BYTES) and is_int(item.level, 1, MAX_LEVEL)
            need(well_formed and is_int(item.day, 0, _MAX_DAY), "an item edge is malformed")
        need(_ascending([edge.peer for edge in self.trust]), "trust edges must be sorted by peer, without repeats")
        need(_ascending([item.key for item in self.items]), "item edges must be sorted by key, without repeats")

    @property
    def is_tombstone(self) -> bool:
        """Whether the author took everything back."""
        return not self.trust and not self.items


@dataclass(frozen=True)
class SignedRecord:
    """A record with its author's valid signature; made by `sign_record` and `open_record` only."""

    record: AdjacencyRecord
    body: bytes
    signature: bytes

    @cached_property
    def author(self) -> PeerId:
        """Who signed it."""
        return self.record.author

    @cached_property
    def version(self) -> int:
        """The record's."""
        return self.record.version

    def to_bytes(self) -> bytes:
        """Return the wire form."""
        return self._wire

    @cached_property
    def _wire(self) -> bytes:
        return pack([self.body, self.signature])

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that name exactly this record."""
        return digest_of(self.to_bytes())


def digest_of(wire: bytes) -> bytes:
    """Return the 32 bytes that name a record in wire form."""
    return hashlib.blake2b(wire, digest_size=32, person=b"meritrec/record").digest()


def item_key(namespace: str, item_id: str) -> bytes:
    """Return the 16-byte name of an item: equal on every device whose catalog has the same namespace."""
    name = namespace.encode()
    content = len(name).to_bytes(4, "big") + name + item_id.encode()
    return hashlib.blake2b(content, digest_size=ITEM_KEY_BYTES, person=b"meritrec/item").digest()


def round_issued_at(seconds: int) -> int:
    """Round Unix seconds down to the hour."""
    return max(0, seconds) // ISSUED_AT_STEP_S * ISSUED_AT_STEP_S


def tombstone(author: PeerId, version: int, issued_at: int) -> AdjacencyRecord:
    """Return the record that takes everything back."""
    return AdjacencyRecord(author, version, round_issued_at(issued_at), (), ())


def encode_record(record: AdjacencyRecord) -> bytes:
    """Return the canonical body of a record."""
    trust = [[edge.peer, edge.level] for edge in record.trust]
    items = [[edge.key, edge.level, edge.day] for edge in record.items]
    return pack([FORMAT, record.author, record.version, record.issued_at, trust, items])


def decode_record(body: bytes) -> AdjacencyRecord:
    """Read a body; the bytes may come from anyone.

    Raises:
        RecordInvalid: with the reason.
    """
    check_size(body)
    try:
        version_byte, author, version, issued_at, trust, items = unpack(body, _LIMITS)
        if version_byte != FORMAT or not isinstance(trust, list) or not isinstance(items, list):
            raise ValueError("another format")  # not quoted: to print what a peer nested deeply can itself fail
        record = AdjacencyRecord(
            author,
            version,
            issued_at,
            tuple(TrustEdge(peer, level) for peer, level in trust),
            tuple(ItemEdge(key, level, day) for key, level, day in items),
        )
    except (ValueError, TypeError) as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not a record of format {FORMAT} ({error})") from error
    if encode_record(record) != body:
        raise RecordInvalid(Rejected.NOT_CANONICAL, "the record is not in canonical form")
    return record


def sign_record(record: AdjacencyRecord, signer: Signer) -> SignedRecord:
    """Sign a record as its author.

    Raises:
        ValueError: the signer is not the author.
    """
    if signer.peer_id != record.author:
        raise ValueError("a record is signed by its author; the signer is another peer")
    body = encode_record(record)
    return SignedRecord(record, body, signer.sign(_DOMAIN + body))


def open_record(data: bytes) -> SignedRecord:
    """Read and verify the wire form; the bytes may come from anyone.

    Raises:
        RecordInvalid: with the reason; the signature is checked last, because it costs most.
    """
    check_size(data)
    try:
        body, signature = unpack(data, _LIMITS)
        if not isinstance(body, bytes) or not is_key(signature, SIGNATURE_BYTES):
            raise ValueError("body and signature expected")
    except (ValueError, TypeError) as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not a signed record ({error})") from error
    signed = SignedRecord(decode_record(body), body, signature)
    if signed.to_bytes() != data:
        raise RecordInvalid(Rejected.NOT_CANONICAL, "the signed record is not in canonical form")
    if not verify(signed.record.author, signature, _DOMAIN + body):
        raise RecordInvalid(Rejected.BAD_SIGNATURE, "the record is not signed by its author")
    return signed


def check_size(data: bytes) -> None:
    """Refuse what is larger than any record.

    Raises:
        RecordInvalid: it is.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise RecordInvalid(Rejected.TOO_LARGE, f"{len(data)} bytes, a record has at most {MAX_RECORD_BYTES}")


def _ascending(keys: list[bytes]) -> bool:
    return all(a < b for a, b in pairwise(keys))
