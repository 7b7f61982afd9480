"""Records: one encoding each, nobody else's signature, and every other byte string refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import P2PError, RecordInvalid, Rejected
from p2p.identity import Identity, PeerId
from p2p.record import (
    MAX_ITEM_EDGES,
    MAX_RECORD_BYTES,
    MAX_TRUST_EDGES,
    MAX_VERSION,
    AdjacencyRecord,
    ItemEdge,
    SignedRecord,
    TrustEdge,
    decode_record,
    encode_record,
    item_key,
    open_record,
    round_issued_at,
    sign_record,
    tombstone,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "record_v1.hex"
AUTHOR = Identity.from_seed(bytes(range(32)))
HOUR = 1_700_000_000 // 3600 * 3600

peers = st.binary(min_size=32, max_size=32).map(PeerId)
levels = st.integers(1, 3)


@st.composite
def records(draw: st.DrawFn, author: PeerId = AUTHOR.peer_id) -> AdjacencyRecord:
    friends = draw(st.lists(peers.filter(lambda p: p != author), max_size=MAX_TRUST_EDGES, unique=True))
    keys = draw(st.lists(st.binary(min_size=16, max_size=16), max_size=MAX_ITEM_EDGES, unique=True))
    return AdjacencyRecord(
        author,
        draw(st.integers(1, MAX_VERSION)),
        draw(st.integers(0, 1 << 28)) * 3600,
        tuple(TrustEdge(peer, draw(levels)) for peer in sorted(friends)),
        tuple(ItemEdge(key, draw(levels), draw(st.integers(0, 1 << 16))) for key in sorted(keys)),
    )


def golden_record() -> AdjacencyRecord:
    return AdjacencyRecord(
        AUTHOR.peer_id,
        300,
        HOUR,
        (TrustEdge(PeerId(b"\x01" * 32), 1), TrustEdge(PeerId(b"\xfe" * 32), 3)),
        (ItemEdge(b"\x02" * 16, 2, 19_675), ItemEdge(b"\xfd" * 16, 3, 127)),
    )


def reason_of(data: bytes) -> Rejected:
    with pytest.raises(RecordInvalid) as caught:
        open_record(data)
    return caught.value.reason


def signed_body(fields: list[Any]) -> bytes:
    """Sign whatever fields as the author: shows that a valid signature alone opens no door."""
    body = msgpack.packb(fields)
    packed: bytes = msgpack.packb([body, AUTHOR.sign(b"meritrec/record/1\0" + body)])
    return packed


def fields_of(record: AdjacencyRecord) -> list[Any]:
    fields: list[Any] = msgpack.unpackb(encode_record(record))
    return fields


def test_the_wire_form_never_changes() -> None:
    wire = sign_record(golden_record(), AUTHOR).to_bytes()
    assert wire.hex() == "".join(GOLDEN.read_text().split())
    assert open_record(wire).record == golden_record()


@given(records())
def test_a_record_survives_the_round_trip(record: AdjacencyRecord) -> None:
    assert decode_record(encode_record(record)) == record
    signed = sign_record(record, AUTHOR)
    assert open_record(signed.to_bytes()) == signed
    assert open_record(signed.to_bytes()).to_bytes() == signed.to_bytes()


def test_the_largest_record_fits() -> None:
    record = AdjacencyRecord(
        AUTHOR.peer_id,
        MAX_VERSION,
        (1 << 40) // 3600 * 3600,
        tuple(TrustEdge(PeerId(bytes([i]) * 32), 3) for i in range(MAX_TRUST_EDGES)),
        tuple(ItemEdge(bytes([i]) * 16, 3, 1 << 24) for i in range(MAX_ITEM_EDGES)),
    )
    wire = sign_record(record, AUTHOR).to_bytes()
    assert len(wire) <= MAX_RECORD_BYTES
    assert open_record(wire).record == record


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(P2PError):
        open_record(data)
    with pytest.raises(P2PError):
        decode_record(data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=5)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)  # fmt: skip


@given(st.lists(json_like, max_size=7))
def test_arbitrary_msgpack_is_refused_even_when_signed(fields: list[Any]) -> None:
    with pytest.raises(RecordInvalid):
        open_record(signed_body(fields))
    with pytest.raises(RecordInvalid):
        open_record(msgpack.packb(fields))


@given(json_like, st.integers(0, 5))
def test_one_field_of_the_wrong_kind_is_refused(value: Any, place: int) -> None:
    fields = fields_of(golden_record())
    if fields[place] == value and type(fields[place]) is type(value):
        return
    fields[place] = value
    try:
        opened = open_record(signed_body(fields))
    except RecordInvalid:
        return
    assert encode_record(opened.record) == opened.body  # another valid record: version, hour or lists


def test_any_flipped_bit_is_refused() -> None:
    wire = sign_record(golden_record(), AUTHOR).to_bytes()
    for place in range(8 * len(wire)):
        broken = bytearray(wire)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(RecordInvalid):
            open_record(bytes(broken))


@given(st.integers(0, 400), st.integers(0, 400))
def test_truncated_or_extended_wire_is_refused(cut: int, more: int) -> None:
    wire = sign_record(golden_record(), AUTHOR).to_bytes()
    for data in (wire[: cut % len(wire)], wire + bytes(1 + more)):
        with pytest.raises(RecordInvalid):
            open_record(data)


def wider_integer(value: int) -> bytes:
    return b"\xcf" + value.to_bytes(8, "big")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x96\x01", b"\xdc\x00\x06\x01"),  # array16 for six elements
        (b"\xc4\x20", b"\xc5\x00\x20"),  # bin16 for 32 bytes
        (b"\xcd\x01\x2c", wider_integer(300)),  # the version in eight bytes
        (b"\xcd\x01\x2c", b"\xcb" + bytes.fromhex("4072c00000000000")),  # 300.0
        (b"\x96\x01", b"\x96\xcc\x01"),  # the format in two bytes
        (b"\x96\x01", b"\x96\xc3"),  # the format as true
    ],
)
def test_another_encoding_of_the_same_record_is_refused(before: bytes, after: bytes) -> None:
    canonical = encode_record(golden_record())
    assert before in canonical
    body = canonical.replace(before, after, 1)
    wire = msgpack.packb([body, AUTHOR.sign(b"meritrec/record/1\0" + body)])
    assert reason_of(wire) in {Rejected.NOT_CANONICAL, Rejected.MALFORMED}


def test_another_encoding_of_the_envelope_is_refused() -> None:
    signed = sign_record(golden_record(), AUTHOR)
    wire = signed.to_bytes()
    assert reason_of(b"\xdc\x00\x02" + wire[1:]) is Rejected.NOT_CANONICAL
    assert reason_of(msgpack.packb([bytearray(signed.body), signed.signature, None])) is Rejected.MALFORMED


def test_the_reasons_tell_what_is_wrong() -> None:
    signed = sign_record(golden_record(), AUTHOR)
    other = Identity.from_seed(b"\x09" * 32)
    assert reason_of(bytes(MAX_RECORD_BYTES + 1)) is Rejected.TOO_LARGE
    assert reason_of(b"") is Rejected.MALFORMED
    assert reason_of(SignedRecord(signed.record, signed.body, bytes(64)).to_bytes()) is Rejected.BAD_SIGNATURE
    forged = SignedRecord(signed.record, signed.body, other.sign(b"meritrec/record/1\0" + signed.body))
    assert reason_of(forged.to_bytes()) is Rejected.BAD_SIGNATURE
    undomained = SignedRecord(signed.record, signed.body, AUTHOR.sign(signed.body))
    assert reason_of(undomained.to_bytes()) is Rejected.BAD_SIGNATURE


def test_nobody_states_anothers_edges() -> None:
    mallory = Identity.from_seed(b"\x0a" * 32)
    with pytest.raises(ValueError, match="author"):
        sign_record(golden_record(), mallory)
    body = encode_record(golden_record())
    wire = msgpack.packb([body, mallory.sign(b"meritrec/record/1\0" + body)])
    assert reason_of(wire) is Rejected.BAD_SIGNATURE


EDGE = TrustEdge(PeerId(b"\x01" * 32), 1)
ITEM = ItemEdge(b"\x02" * 16, 1, 1)


@pytest.mark.parametrize(
    ("version", "issued_at", "trust", "items"),
    [
        (0, HOUR, (), ()),
        (MAX_VERSION + 1, HOUR, (), ()),
        (True, HOUR, (), ()),
        (1, HOUR + 1, (), ()),
        (1, -3600, (), ()),
        (1, HOUR, (TrustEdge(AUTHOR.peer_id, 1),), ()),
        (1, HOUR, (EDGE, EDGE), ()),
        (1, HOUR, (TrustEdge(PeerId(b"\x02" * 32), 1), EDGE), ()),
        (1, HOUR, (TrustEdge(PeerId(b"\x01" * 31), 1),), ()),
        (1, HOUR, (TrustEdge(PeerId(b"\x01" * 32), 0),), ()),
        (1, HOUR, (TrustEdge(PeerId(b"\x01" * 32), 4),), ()),
        (1, HOUR, tuple(TrustEdge(PeerId(bytes([i]) * 32), 1) for i in range(MAX_TRUST_EDGES + 1)), ()),
        (1, HOUR, (), (ITEM, ITEM)),
        (1, HOUR, (), (ItemEdge(b"\x03" * 16, 1, 1), ITEM)),
        (1, HOUR, (), (ItemEdge(b"\x02" * 15, 1, 1),)),
        (1, HOUR, (), (ItemEdge(b"\x02" * 16, 4, 1),)),
        (1, HOUR, (), (ItemEdge(b"\x02" * 16, 1, -1),)),
        (1, HOUR, (), tuple(ItemEdge(bytes([i]) * 16, 1, 1) for i in range(MAX_ITEM_EDGES + 1))),
    ],
)
def test_a_record_that_breaks_a_limit_cannot_be_made_or_opened(
    version: int, issued_at: int, trust: tuple[TrustEdge, ...], items: tuple[ItemEdge, ...]
) -> None:
    with pytest.raises(RecordInvalid) as caught:
        AdjacencyRecord(AUTHOR.peer_id, version, issued_at, trust, items)
    assert caught.value.reason is Rejected.MALFORMED
    rows = [[[e.peer, e.level] for e in trust], [[e.key, e.level, e.day] for e in items]]
    with pytest.raises(RecordInvalid):
        open_record(signed_body([1, AUTHOR.peer_id, version, issued_at, *rows]))


def test_a_later_format_is_refused() -> None:
    fields = fields_of(golden_record())
    assert reason_of(signed_body([2, *fields[1:]])) is Rejected.MALFORMED
    assert reason_of(signed_body([*fields, 0])) is Rejected.MALFORMED


def test_a_tombstone_takes_everything_back() -> None:
    record = tombstone(AUTHOR.peer_id, 7, HOUR + 1234)
    assert (record.trust, record.items, record.issued_at) == ((), (), HOUR)
    assert record.is_tombstone
    assert not golden_record().is_tombstone
    assert open_record(sign_record(record, AUTHOR).to_bytes()).record == record


@given(st.integers(-(10**9), 1 << 40))
def test_issued_at_is_the_last_whole_hour(seconds: int) -> None:
    rounded = round_issued_at(seconds)
    assert rounded % 3600 == 0
    assert 0 <= rounded <= max(0, seconds)
    assert seconds - rounded < 3600


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_item_keys_differ_whenever_the_names_do(space: str, item: str, other_space: str, other_item: str) -> None:
    same = (space, item) == (other_space, other_item)
    assert len(item_key(space, item)) == 16
    assert (item_key(space, item) == item_key(other_space, other_item)) == same


def test_item_keys_never_change() -> None:
    assert item_key("movies", "42").hex() == "e8bbbac8f678957cd7b38d68b254b260"
    assert item_key("a", "bc") != item_key("ab", "c")
