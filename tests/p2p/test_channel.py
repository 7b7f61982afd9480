"""The secured channel: both ends know each other before anything is said, and any change of a frame breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.channel import MAX_FRAME_BYTES, Channel
from p2p.errors import ChannelBroken
from p2p.identity import Identity
from p2p.noise import TAG_BYTES

ANN, BEN, EVE = (Identity.from_seed(bytes([i]) * 32) for i in range(3))


def joined(one: Identity = ANN, other: Identity = BEN) -> tuple[Channel, Channel]:
    """Return both ends of a channel that is open."""
    left, right = Channel(one, initiator=True), Channel(other, initiator=False)
    to_right, to_left = left.begin(), right.begin()
    while to_right or to_left:
        to_left += [answer for frame in to_right for answer in right.receive(frame)[0]]
        to_right = [answer for frame in to_left for answer in left.receive(frame)[0]]
        to_left = []
    return left, right


def test_both_ends_know_each_other_and_talk() -> None:
    left, right = joined()
    assert (left.peer, right.peer) == (BEN.peer_id, ANN.peer_id)
    for said in (b"", b"hello", bytes(MAX_FRAME_BYTES - TAG_BYTES)):
        assert right.receive(left.seal(said)) == ([], said)
        assert left.receive(right.seal(said)) == ([], said)
    assert left.seal(b"hello") != left.seal(b"hello")
    with pytest.raises(ValueError, match="at most"):
        left.seal(bytes(MAX_FRAME_BYTES))


def test_nothing_is_said_before_the_peer_is_known() -> None:
    with pytest.raises(ChannelBroken, match="not proved"):
        Channel(ANN, initiator=True).seal(b"secret")


def test_replayed_reordered_and_reflected_frames_break_it() -> None:
    left, right = joined()
    first, second = left.seal(b"1"), left.seal(b"2")
    with pytest.raises(ChannelBroken):
        right.receive(second)
    left, right = joined()
    first = left.seal(b"1")
    right.receive(first)
    with pytest.raises(ChannelBroken):
        right.receive(first)
    with pytest.raises(ChannelBroken):
        left.receive(first)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 7), st.integers(0, 3))
def test_any_flipped_bit_of_any_frame_breaks_it(place: int, bit: int, which: int) -> None:
    left, right = Channel(ANN, initiator=True), Channel(BEN, initiator=False)

    def carry(frame: bytes, number: int) -> bytes:
        if number != which:
            return frame
        changed = bytearray(frame)
        changed[place % len(frame)] ^= 1 << bit
        return bytes(changed)

    def talk() -> None:
        (hello,) = left.begin()
        answer, proof_right = right.receive(carry(hello, 0))[0]
        (proof_left,) = left.receive(carry(answer, 1))[0]
        left.receive(carry(proof_right, 2))
        right.receive(carry(proof_left, 3))
        left.receive(right.seal(b"still fine"))
        right.receive(left.seal(b"still fine"))

    with pytest.raises(ChannelBroken):
        talk()


def test_whoever_sits_between_the_two_is_found_out() -> None:
    """Eve shakes hands with both and passes a proof on: the two handshakes differ, so it does not fit."""
    left, right = Channel(ANN, initiator=True), Channel(BEN, initiator=False)
    to_left, to_right = Channel(EVE, initiator=False), Channel(EVE, initiator=True)
    left.receive(to_left.receive(left.begin()[0])[0][0])
    to_right._proof = left._proof  # type: ignore[method-assign]
    (stolen,) = to_right.receive(right.receive(to_right.begin()[0])[0][0])[0]
    with pytest.raises(ChannelBroken, match="did not prove"):
        right.receive(stolen)


def test_a_proof_does_not_serve_in_the_other_role() -> None:
    left, right = Channel(ANN, initiator=True), Channel(BEN, initiator=False)
    answer, _ = right.receive(left.begin()[0])[0]
    left._proof = right._proof  # type: ignore[method-assign]
    (mirrored,) = left.receive(answer)[0]
    with pytest.raises(ChannelBroken, match="did not prove"):
        right.receive(mirrored)


def test_a_device_does_not_talk_to_itself() -> None:
    left, right = Channel(ANN, initiator=True), Channel(ANN, initiator=False)
    answer, proof = right.receive(left.begin()[0])[0]
    left.receive(answer)
    with pytest.raises(ChannelBroken, match="itself"):
        left.receive(proof)


@given(st.lists(st.binary(max_size=200), max_size=4), st.booleans())
def test_arbitrary_frames_raise_nothing_else(frames: list[bytes], initiator: bool) -> None:
    channel = Channel(ANN, initiator=initiator)
    channel.begin()
    for frame in frames:
        try:
            channel.receive(frame)
        except ChannelBroken:
            break
    assert channel.peer is None
