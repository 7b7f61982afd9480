"""Messages between peers: every one survives the round trip, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import messages
from p2p.errors import P2PError, RecordInvalid
from p2p.identity import PeerId
from p2p.messages import (
    MAX_ANNOUNCED,
    MAX_BODIES,
    MAX_ENTRIES,
    MAX_INTEREST,
    SHORT_NAME_BYTES,
    Announce,
    AskBodies,
    AskOwn,
    Compare,
    Entries,
    MoreCells,
    TellInterest,
    UnknownInterest,
)
from p2p.reconcile import CELL_BYTES, MAX_CELLS
from p2p.record import EQUIVOCATED, MAX_RECORD_BYTES
from p2p.store import Entry
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES

peers = st.binary(min_size=32, max_size=32).map(PeerId)
entries = st.tuples(peers, st.integers(1, EQUIVOCATED), st.binary(min_size=32, max_size=32))
tables = st.integers(1, 20).flatmap(lambda n: st.binary(min_size=n * CELL_BYTES, max_size=n * CELL_BYTES))
nonces = st.integers(0, (1 << 64) - 1)
interests = st.just(b"") | st.binary(min_size=8, max_size=8)
DECODERS = (
    messages.decode_announce,
    messages.decode_request,
    messages.decode_comparison,
    messages.decode_bodies,
)
LARGEST: Entry = (PeerId(bytes(32)), EQUIVOCATED, bytes(32))


@given(st.lists(entries, max_size=MAX_ANNOUNCED))
def test_announcements_survive_the_round_trip(said: list[Entry]) -> None:
    announce = Announce(tuple(said))
    assert messages.decode_announce(messages.encode(announce)) == announce


@given(
    st.just(AskOwn())
    | st.builds(Compare, nonces, interests, tables)
    | st.one_of(st.none(), st.binary(max_size=400)).map(TellInterest)
    | st.lists(st.tuples(peers, st.integers(1, EQUIVOCATED)), max_size=MAX_BODIES).map(tuple).map(AskBodies)
)
def test_requests_survive_the_round_trip(request: messages.Request) -> None:
    assert messages.decode_request(messages.encode(request)) == request


@given(
    st.just(UnknownInterest())
    | st.integers(1, MAX_CELLS).map(MoreCells)
    | st.lists(entries, max_size=50).map(tuple).map(Entries)
)
def test_answers_to_a_comparison_survive_the_round_trip(answer: messages.Comparison) -> None:
    assert messages.decode_comparison(messages.encode_comparison(answer)) == answer


@given(st.one_of(st.none(), st.binary(max_size=400)))
def test_interests_survive_the_round_trip(interest: bytes | None) -> None:
    assert messages.decode_interest(messages.encode_interest(interest)) == interest


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_bodies_survive_the_round_trip(bodies: list[bytes]) -> None:
    assert messages.decode_bodies(messages.encode_bodies(bodies)).records == tuple(bodies)


@pytest.mark.parametrize("decode", DECODERS)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(decode: Any, data: bytes) -> None:
    try:
        decode(data)
    except P2PError:
        return
    assert data[0] == 0x90 + len(msgpack.unpackb(data))  # it happened to be a message


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 60) | st.floats() | st.text(max_size=3) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@pytest.mark.parametrize("decode", DECODERS)
@given(content=st.lists(values, max_size=4))
def test_arbitrary_msgpack_raises_nothing_else(decode: Any, content: list[Any]) -> None:
    for head in ([], [1], [1, 0], [1, 2], [1, 3], [1, 4]):
        try:
            decode(msgpack.packb([*head, *content]))
        except P2PError:
            continue


@pytest.mark.parametrize("data", [b"\x91" * 5000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x81\x80\x80"])
@pytest.mark.parametrize("decode", DECODERS)
def test_hostile_nesting_and_lengths_are_refused(decode: Any, data: bytes) -> None:
    with pytest.raises(RecordInvalid):
        decode(data)


def test_every_limit_is_enforced() -> None:
    for decode, data in (
        (messages.decode_announce, messages.encode(Announce((LARGEST,) * (MAX_ANNOUNCED + 1)))),
        (messages.decode_request, messages.encode(AskBodies(((LARGEST[0], EQUIVOCATED),) * (MAX_BODIES + 1)))),
        (messages.decode_request, messages.encode(Compare(0, b"", bytes(CELL_BYTES - 1)))),
        (messages.decode_request, messages.encode(Compare(0, b"", b""))),
        (messages.decode_request, messages.encode(Compare(0, b"", bytes(CELL_BYTES * (MAX_CELLS + 1))))),
        (messages.decode_request, messages.encode(Compare(0, b"seven b", bytes(CELL_BYTES)))),
        (messages.decode_request, messages.encode(TellInterest(bytes(SHORT_NAME_BYTES * (MAX_INTEREST + 1))))),
        (messages.decode_comparison, messages.encode_comparison(MoreCells(0))),
        (messages.decode_comparison, messages.encode_comparison(MoreCells(MAX_CELLS + 1))),
        (messages.decode_comparison, messages.encode_comparison(Entries((LARGEST,) * (MAX_ENTRIES + 1)))),
        (messages.decode_comparison, messages.encode_comparison(Entries(((LARGEST[0], EQUIVOCATED + 1, bytes(32)),)))),
        (messages.decode_comparison, messages.encode_comparison(Entries(((LARGEST[0], 0, bytes(32)),)))),
        (messages.decode_bodies, messages.encode_bodies([b""] * (2 * MAX_BODIES + 1))),
        (messages.decode_bodies, messages.encode_bodies([bytes(MAX_RECORD_BYTES + 1)])),
    ):
        with pytest.raises(RecordInvalid):
            decode(data)


def test_the_largest_messages_fit_the_transport() -> None:
    assert len(messages.encode(Announce((LARGEST,) * MAX_ANNOUNCED))) <= MAX_BROADCAST_BYTES
    assert len(messages.encode(AskBodies(((LARGEST[0], EQUIVOCATED),) * MAX_BODIES))) <= MAX_REQUEST_BYTES
    assert len(messages.encode(Compare(0, bytes(8), bytes(CELL_BYTES * MAX_CELLS)))) <= MAX_REQUEST_BYTES
    assert len(messages.encode(TellInterest(bytes(SHORT_NAME_BYTES * MAX_INTEREST)))) <= MAX_REQUEST_BYTES
    assert len(messages.encode_comparison(Entries((LARGEST,) * MAX_ENTRIES))) <= MAX_RESPONSE_BYTES
    assert len(messages.encode_bodies([bytes(MAX_RECORD_BYTES)] * (2 * MAX_BODIES))) <= MAX_RESPONSE_BYTES
