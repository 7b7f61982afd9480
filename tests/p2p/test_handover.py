"""Hand-overs: signed by both keys, final, one encoding each; and what a store makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import RecordInvalid, Rejected
from p2p.handover import SignedHandOver, open_hand_over, sign_hand_over
from p2p.identity import Identity, PeerId
from p2p.record import EQUIVOCATED, HANDED_OVER, MAX_VERSION, AdjacencyRecord, SignedRecord, TrustEdge, sign_record
from p2p.statement import open_statement
from p2p.store import RecordStore

GOLDEN = Path(__file__).parents[1] / "golden" / "handover_v1.hex"
OLD, NEW, THIEF, FRIEND = (Identity.from_seed(bytes([i]) * 32) for i in range(1, 5))
HANDED = sign_hand_over(OLD, NEW)
NUMBERS = st.integers(-(2**63), 2**64 - 1)


def record(author: Identity, version: int, friend: PeerId | None = None) -> SignedRecord:
    trust = () if friend is None else (TrustEdge(friend, 2),)
    return sign_record(AdjacencyRecord(author.peer_id, version, 3600, trust, ()), author)


def reason_of(data: bytes) -> Rejected:
    with pytest.raises(RecordInvalid) as caught:
        open_hand_over(data)
    return caught.value.reason


@pytest.fixture
def store() -> Iterator[RecordStore]:
    opened = RecordStore(":memory:")
    yield opened
    opened.close()


# -- the wire form ---------------------------------------------------------------------------------


def test_the_wire_form_never_changes() -> None:
    assert HANDED.to_bytes().hex() == "".join(GOLDEN.read_text().split())


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_hand_over_survives_the_round_trip(old: bytes, new: bytes) -> None:
    if old == new:
        return
    handed = sign_hand_over(Identity.from_seed(old), Identity.from_seed(new))
    assert open_hand_over(handed.to_bytes()) == handed
    assert open_statement(handed.to_bytes()) == handed
    assert len(handed.to_bytes()) == 205
    assert handed.version == HANDED_OVER


def test_a_key_is_not_handed_over_to_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        sign_hand_over(OLD, OLD)
    body = msgpack.packb([1, OLD.peer_id, OLD.peer_id])
    signature = OLD.sign(b"meritrec/handover/1\0" + body)
    assert reason_of(msgpack.packb([body, signature, signature])) is Rejected.MALFORMED


def test_versions_are_whole_numbers_in_javascript_too() -> None:
    assert MAX_VERSION < HANDED_OVER < EQUIVOCATED == 2**53 - 1


def test_both_keys_must_sign() -> None:
    old, new = HANDED.signatures
    for signatures in ((old, old), (new, new), (new, old), (old, bytes(64))):
        forged = SignedHandOver(OLD.peer_id, NEW.peer_id, signatures)
        assert reason_of(forged.to_bytes()) is Rejected.BAD_SIGNATURE
    assert reason_of(SignedHandOver(OLD.peer_id, THIEF.peer_id, HANDED.signatures).to_bytes()) is Rejected.BAD_SIGNATURE


def test_any_flipped_bit_is_refused() -> None:
    wire = HANDED.to_bytes()
    for place in range(len(wire) * 8):
        flipped = bytearray(wire)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(RecordInvalid):
            open_statement(bytes(flipped))


@given(st.binary(max_size=250))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for read in (open_hand_over, open_statement):
        with pytest.raises(RecordInvalid):
            read(data)


@given(st.lists(st.one_of(NUMBERS, st.binary(max_size=70), st.lists(NUMBERS, max_size=3)), max_size=4))
def test_arbitrary_msgpack_is_refused(fields: list[object]) -> None:
    assert reason_of(msgpack.packb(fields)) is Rejected.MALFORMED
    body = msgpack.packb(fields)
    assert reason_of(msgpack.packb([body, bytes(64), bytes(64)])) is not None


def test_a_longer_encoding_is_refused() -> None:
    body, *signatures = msgpack.unpackb(HANDED.to_bytes())
    longer = b"\x93\xc5\x00" + bytes([len(body)]) + body + b"".join(b"\xc4\x40" + s for s in signatures)
    assert reason_of(longer) is Rejected.NOT_CANONICAL


# -- the store -------------------------------------------------------------------------------------


def test_a_hand_over_is_the_last_word(store: RecordStore) -> None:
    assert store.put_many([record(OLD, 7), HANDED, record(OLD, 8)]) == [None, None, Rejected.HANDED_OVER]
    assert store.successor(OLD.peer_id) == NEW.peer_id
    assert store.successors() == {OLD.peer_id: NEW.peer_id}
    assert store.get(OLD.peer_id) is None
    assert store.records() == []
    assert store.wire(OLD.peer_id) == (HANDED.to_bytes(),)
    assert store.entry(OLD.peer_id) == (HANDED_OVER, HANDED.digest)
    assert store.put_many([sign_hand_over(OLD, NEW)]) == [Rejected.STALE]


@pytest.mark.parametrize("together", [True, False])
def test_two_hand_overs_convict_the_key_and_nobody_inherits(store: RecordStore, together: bool) -> None:
    stolen = sign_hand_over(OLD, THIEF)
    for batch in [[HANDED, stolen]] if together else [[HANDED], [stolen]]:
        store.put_many(batch)
    assert store.distrusted() == {OLD.peer_id}
    assert store.successors() == {}
    assert store.proof(OLD.peer_id) == (HANDED, stolen)
    assert store.put_many([HANDED]) == [Rejected.EQUIVOCATION]


def test_a_conviction_beats_a_hand_over(store: RecordStore) -> None:
    store.put_many([HANDED, record(OLD, 3), record(OLD, 3, FRIEND.peer_id)])
    assert store.distrusted() == {OLD.peer_id}
    assert store.successor(OLD.peer_id) is None


def test_hand_overs_are_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    first = RecordStore(path)
    first.put_many([HANDED, record(NEW, 1)])
    n_bytes = first.n_bytes
    first.close()
    again = RecordStore(path)
    assert again.successors() == {OLD.peer_id: NEW.peer_id}
    assert [r.author for r in again.records()] == [NEW.peer_id]
    assert again.n_bytes == n_bytes
    again.close()


def test_who_handed_over_is_kept_as_long_as_the_successor_counts() -> None:
    hits = {NEW.peer_id: 5.0, FRIEND.peer_id: 2.0}
    store = RecordStore(":memory:", max_authors=2, hits=lambda author: hits.get(author, 0.0))
    store.put_many([HANDED, record(THIEF, 1)])
    assert store.put_many([record(FRIEND, 1)]) == [None]
    assert set(store.take_evicted()) == {THIEF.peer_id}
    assert store.successor(OLD.peer_id) == NEW.peer_id
    store.close()
