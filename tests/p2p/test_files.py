"""Files from peer to peer: whatever is asked, by whomever, is bounded and answered or declined."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import PeerId
from p2p.errors import RequestFailed
from p2p.files import MAX_HEAD_BYTES, PART_BYTES, FileOffers, ask_head, ask_part, is_file_request
from p2p.messages import AskOwn, encode
from p2p.quota import Rate
from p2p.wire import pack

PEER, OTHER = PeerId(b"p" * 32), PeerId(b"q" * 32)
TOPIC = b"t" * 16
CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).digest()


class Shelf:
    def __init__(self, head: bytes = b"what there is") -> None:
        self._head = head

    def head(self, topic: bytes) -> bytes:
        return self._head if topic == TOPIC else b""

    def part(self, digest: bytes, offset: int, most: int) -> bytes:
        return CONTENT[offset : offset + most] if digest == DIGEST else b""


class Wire:
    """A transport whose only peer answers by a function."""

    def __init__(self, answer) -> None:
        self._answer = answer

    def request(self, peer: PeerId, data: bytes, timeout_s: float = 10.0) -> bytes:
        assert is_file_request(data)
        return self._answer(data)


def _offers(shelf: Shelf | None = None, **rates: Rate) -> FileOffers:
    return FileOffers(shelf or Shelf(), lambda: 0.0, **rates)


def test_a_file_comes_in_parts() -> None:
    offers = _offers()
    wire = Wire(lambda data: offers.answer(PEER, data))
    assert ask_head(wire, PEER, TOPIC) == b"what there is"
    assert ask_head(wire, PEER, b"u" * 16) == b""
    got = b""
    while part := ask_part(wire, PEER, DIGEST, len(got)):
        assert len(part) <= PART_BYTES
        got += part
    assert got == CONTENT
    assert ask_part(wire, PEER, bytes(32), 0) == b""


def test_an_answer_that_is_too_long_is_refused() -> None:
    wire = Wire(lambda data: bytes(MAX_HEAD_BYTES + 1))
    with pytest.raises(RequestFailed, match="at most"):
        ask_head(wire, PEER, TOPIC)
    with pytest.raises(RequestFailed, match="at most"):
        ask_part(wire, PEER, DIGEST, 0)
    assert _offers(Shelf(bytes(MAX_HEAD_BYTES + 1))).answer(PEER, pack([1, 5, TOPIC])) == b""


def test_each_peer_has_its_share_and_all_have_one_together() -> None:
    ask = pack([1, 6, DIGEST, 0])
    offers = _offers(per_peer=Rate(2.5 * PART_BYTES, 0), together=Rate(4.5 * PART_BYTES, 0))
    assert [len(offers.answer(PEER, ask)) > 0 for _ in range(4)] == [True, True, False, False]
    assert [len(offers.answer(OTHER, ask)) > 0 for _ in range(3)] == [True, True, False]
    assert offers.answer(PeerId(b"r" * 32), ask) == b""


@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(
            pack,
            st.recursive(
                st.none() | st.booleans() | st.integers(-5, 1 << 41) | st.binary(max_size=40),
                lambda inner: st.lists(inner, max_size=5),
                max_leaves=8,
            ),
        ),
    )
)
def test_no_request_whatever_raises_or_is_taken_for_another(data: bytes) -> None:
    answer = _offers().answer(PEER, data)
    if answer:
        assert is_file_request(data)
        assert answer == b"what there is" or answer in CONTENT


def test_requests_for_records_are_not_taken_for_files() -> None:
    assert not is_file_request(encode(AskOwn()))
    assert not is_file_request(b"")
    assert is_file_request(pack([1, 5, TOPIC]))
    assert is_file_request(pack([1, 6, DIGEST, 7]))
