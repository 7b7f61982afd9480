"""`java.security` against `cryptography`: the same keys, signatures that verify both ways, the same secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import p2p.crypto
from device_runtime import Bundle, CryptoUnavailable, UntrustedPublisher
from device_runtime.verification import use_verifier
from p2p import Identity, PassphraseWrong, RecordInvalid, Rejected
from p2p.channel import Channel
from p2p.crypto import X25519_BASE, use_crypto
from p2p.identity import verify
from p2p.record import AdjacencyRecord, open_record, sign_record
from sdk.android_crypto import JavaCrypto
from tests.golden.facts import FOLDER, NOW, PINNED, PUBLISHER

JAVA = JavaCrypto()
PYTHON = p2p.crypto.primitives()
KEYS = st.binary(min_size=32, max_size=32)
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL = [bytes(32), (1).to_bytes(32, "little"), bytes.fromhex("ecffffff" + "ff" * 27 + "7f")]


@pytest.fixture
def java() -> Iterator[None]:
    """Everything computed in Java, as in an app."""
    use_crypto(JAVA)
    use_verifier(JAVA)
    yield
    use_crypto(None)
    use_verifier(None)


@settings(max_examples=40, deadline=None)
@given(KEYS, st.binary(max_size=200))
@example(bytes(32), b"")
@example(b"\xff" * 32, b"\xff" * 64)
def test_signatures_verify_both_ways_and_are_the_same(seed: bytes, message: bytes) -> None:
    ours, theirs = JAVA.signing_key(seed), PYTHON.signing_key(seed)
    assert ours.public == theirs.public
    assert ours.sign(message) == theirs.sign(message)
    for crypto in (JAVA, PYTHON):
        assert crypto.verify(ours.public, ours.sign(message), message)
        assert not crypto.verify(ours.public, ours.sign(message), message + b"!")


@settings(max_examples=60, deadline=None)
@given(KEYS, st.binary(max_size=40), st.integers(0, 511))
def test_a_flipped_bit_is_refused_by_both(seed: bytes, message: bytes, bit: int) -> None:
    key = PYTHON.signing_key(seed)
    changed = bytearray(key.sign(message))
    changed[bit // 8] ^= 1 << bit % 8
    assert not JAVA.verify(key.public, bytes(changed), message)
    assert not PYTHON.verify(key.public, bytes(changed), message)


@given(st.binary(max_size=70), st.binary(max_size=70), st.binary(max_size=20))
@settings(max_examples=60, deadline=None)
def test_malformed_keys_and_signatures_are_refused_without_an_exception(
    key: bytes, signature: bytes, message: bytes
) -> None:
    assert not JAVA.verify(key, signature, message)


def test_a_signature_with_a_large_s_is_refused_by_both() -> None:
    """S + L would be a second signature of the same message (RFC 8032, section 5.1.7)."""
    key = PYTHON.signing_key(b"\x05" * 32)
    signature = key.sign(b"once")
    large = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    assert not JAVA.verify(key.public, signature[:32] + large, b"once")
    assert not PYTHON.verify(key.public, signature[:32] + large, b"once")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    for crypto in (JAVA, PYTHON):
        with pytest.raises(ValueError, match="32 bytes"):
            crypto.signing_key(bytes(length))


@settings(max_examples=40, deadline=None)
@given(KEYS, KEYS)
def test_both_agree_on_the_same_secrets(one: bytes, two: bytes) -> None:
    public = JAVA.agree(two, X25519_BASE)
    assert public == PYTHON.agree(two, X25519_BASE)
    assert JAVA.agree(one, public) == PYTHON.agree(one, public) == JAVA.agree(two, PYTHON.agree(one, X25519_BASE))


@pytest.mark.parametrize("point", [*SMALL, b"", bytes(31)])
def test_keys_that_make_no_secret_are_refused(point: bytes) -> None:
    for crypto in (JAVA, PYTHON):
        with pytest.raises(ValueError):  # noqa: PT011  (whoever computes says why)
            crypto.agree(b"\x01" * 32, point)


@settings(max_examples=40, deadline=None)
@given(
    KEYS, st.binary(min_size=12, max_size=12), st.binary(max_size=100), st.binary(max_size=40), st.integers(0, 10**4)
)
def test_what_one_encrypts_the_other_reads(key: bytes, nonce: bytes, data: bytes, said: bytes, at: int) -> None:
    sealed = JAVA.encrypt(key, nonce, data, said)
    assert sealed == PYTHON.encrypt(key, nonce, data, said)
    assert JAVA.decrypt(key, nonce, sealed, said) == PYTHON.decrypt(key, nonce, sealed, said) == data
    changed = bytearray(sealed)
    changed[at % len(sealed)] ^= 1
    for tampered, associated in ((bytes(changed), said), (sealed, said + b"!"), (sealed[:-1], said), (b"", said)):
        with pytest.raises(ValueError, match="tag"):
            JAVA.decrypt(key, nonce, tampered, associated)


@pytest.mark.usefixtures("java")
def test_a_bundle_is_opened_and_refused_as_elsewhere() -> None:
    assert Bundle.open(FOLDER, trusted_keys=[PINNED.public], now=NOW).publishers.keys == (PUBLISHER.public,)
    with pytest.raises(UntrustedPublisher):
        Bundle.open(FOLDER, trusted_keys=[bytes(32)], now=NOW)


@pytest.mark.usefixtures("java")
def test_key_files_are_read_on_either_side(tmp_path: Path) -> None:
    made = Identity.create()
    made.save(tmp_path / "plain")
    made.save(tmp_path / "sealed", "secret")
    with pytest.raises(PassphraseWrong):
        Identity.load(tmp_path / "sealed", "wrong")
    signature = made.sign(b"x")
    use_crypto(None)
    assert Identity.load(tmp_path / "plain").peer_id == made.peer_id
    assert Identity.load(tmp_path / "sealed", "secret").sign(b"x") == signature
    Identity.load(tmp_path / "plain").save(tmp_path / "again", "other")
    use_crypto(JAVA)
    assert Identity.load(tmp_path / "again", "other").peer_id == made.peer_id
    assert verify(made.peer_id, signature, b"x")


@pytest.mark.usefixtures("java")
def test_records_are_the_same_bytes() -> None:
    seed = b"\x07" * 32
    made = Identity.from_seed(seed)
    record = AdjacencyRecord(made.peer_id, 1, 1_700_000_000 // 3600 * 3600, (), ())
    wire = sign_record(record, made).to_bytes()
    assert open_record(wire).record == record
    with pytest.raises(RecordInvalid) as refused:
        open_record(wire[:-1] + bytes([wire[-1] ^ 1]))
    assert refused.value.reason is Rejected.BAD_SIGNATURE
    use_crypto(None)
    assert sign_record(record, Identity.from_seed(seed)).to_bytes() == wire


def test_a_phone_and_another_device_shake_hands() -> None:
    use_crypto(JAVA)
    phone = Channel(Identity.from_seed(b"\x01" * 32), initiator=True)
    (hello,) = phone.begin()
    use_crypto(None)
    box = Channel(Identity.from_seed(b"\x02" * 32), initiator=False)
    answer, proof = box.receive(hello)[0]
    use_crypto(JAVA)
    (own,) = phone.receive(answer)[0]
    phone.receive(proof)
    said = phone.seal(b"hello")
    use_crypto(None)
    box.receive(own)
    assert box.receive(said) == ([], b"hello")
    assert (phone.peer, box.peer) == (box._signer.peer_id, phone._signer.peer_id)


def test_a_provider_of_the_apps_own_is_used_and_a_missing_one_is_named() -> None:
    with pytest.raises(CryptoUnavailable, match=r"NoClassDefFoundError.*bcprov-jdk18on"):
        JavaCrypto("org.bouncycastle.jce.provider.BouncyCastleProvider")
    with pytest.raises(CryptoUnavailable, match="NoSuchAlgorithmException"):
        JavaCrypto("sun.security.provider.Sun")
