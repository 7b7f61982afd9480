"""Our side of Noise_NN_25519_ChaChaPoly_SHA256 against another implementation of it, and against what is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise.connection import NoiseConnection

from p2p.noise import NoiseNN, NonceExhausted

NAME = b"Noise_NN_25519_ChaChaPoly_SHA256"
PROLOGUE = b"meritrec/bridge/1"
KEYS = (b"\x01" * 32, b"\x02" * 32)


def other(*, initiator: bool) -> NoiseConnection:
    """noiseprotocol's side."""
    connection = NoiseConnection.from_name(NAME)
    connection.set_prologue(PROLOGUE)
    (connection.set_as_initiator if initiator else connection.set_as_responder)()
    connection.start_handshake()
    return connection


def session(one: bytes = KEYS[0], two: bytes = KEYS[1]) -> tuple[NoiseNN, NoiseNN]:
    left = NoiseNN(PROLOGUE, initiator=True, ephemeral=one)
    right = NoiseNN(PROLOGUE, initiator=False, ephemeral=two)
    right.read(left.write())
    left.read(right.write())
    return left, right


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_it_understands_another_implementation_in_both_roles(said: list[bytes]) -> None:
    for ours_begins in (True, False):
        ours, theirs = NoiseNN(PROLOGUE, initiator=ours_begins), other(initiator=not ours_begins)
        if ours_begins:
            assert theirs.read_message(ours.write()) == b""
            ours.read(bytes(theirs.write_message()))
        else:
            ours.read(bytes(theirs.write_message()))
            assert theirs.read_message(ours.write()) == b""
        assert ours.finished
        assert ours.handshake_hash == bytes(theirs.get_handshake_hash())
        for data in said:
            assert bytes(theirs.decrypt(ours.encrypt(data))) == data
            assert ours.decrypt(bytes(theirs.encrypt(data))) == data


def test_a_session_has_known_bytes() -> None:
    """Made once with noiseprotocol 0.3.1 from the same ephemeral keys."""
    left, right = session()
    assert left.handshake_hash == right.handshake_hash
    assert left.handshake_hash.hex() == "a94189626f9914b1a5dd20e754f23302db3f143b20f20f76982b745f0e52362d"
    assert left.encrypt(b"hello").hex() == "5fbae4c3081343406ebb3b83d511f7c06d03a99031"
    assert right.encrypt(b"hello").hex() == "135708d176996d82ac2851a629311a10ceb231885b"


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little"), b"\xed" + b"\xff" * 30 + b"\x7f"])
def test_a_key_that_makes_no_secret_is_refused(point: bytes) -> None:
    right = NoiseNN(PROLOGUE, initiator=False)
    right.read(point)
    with pytest.raises(ValueError):  # noqa: PT011  (whoever computes says why)
        right.write()


def test_messages_come_in_turn_and_whole() -> None:
    left, right = NoiseNN(PROLOGUE, initiator=True), NoiseNN(PROLOGUE, initiator=False)
    with pytest.raises(ValueError, match="turn"):
        left.read(bytes(48))
    with pytest.raises(ValueError, match="turn"):
        right.write()
    with pytest.raises(ValueError, match="31 bytes"):
        right.read(bytes(31))
    hello = left.write()
    with pytest.raises(ValueError, match="turn"):
        left.write()
    right.read(hello)
    with pytest.raises(ValueError, match="turn"):
        right.read(hello)
    answer = right.write()
    with pytest.raises(ValueError, match="tag"):
        left.read(answer[:-1] + bytes([answer[-1] ^ 1]))


def test_another_prologue_is_another_session() -> None:
    left, right = NoiseNN(PROLOGUE, initiator=True), NoiseNN(PROLOGUE + b"!", initiator=False)
    right.read(left.write())
    with pytest.raises(ValueError, match="tag"):
        left.read(right.write())


def test_the_last_nonce_is_never_used() -> None:
    left, _ = session()
    assert left._ciphers is not None
    left._ciphers[0]._count = (1 << 64) - 2
    left.encrypt(b"the last one")
    with pytest.raises(NonceExhausted):
        left.encrypt(b"one too many")
