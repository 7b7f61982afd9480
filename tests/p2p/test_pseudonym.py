"""Keys per community: derived as RFC 5869 says, always the same, and no two alike."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from p2p.identity import Identity, verify
from p2p.pseudonym import coin_secret, hkdf_sha256, pseudonym_seed

SEED = bytes(range(32))
names = st.text(min_size=1, max_size=30)


def test_the_rfc_5869_vectors() -> None:
    first = hkdf_sha256(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert first.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    third = hkdf_sha256(b"\x0b" * 22, b"", b"")
    assert third.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_it_is_the_librarys_hkdf(key: bytes, salt: bytes, info: bytes) -> None:
    assert hkdf_sha256(key, salt, info) == HKDF(SHA256(), 32, salt, info).derive(key)


def test_a_pseudonym_is_the_same_on_every_day_and_machine() -> None:
    assert pseudonym_seed(SEED, "jazz club").hex() == "7f805202012f25ef45db2fb935fb785df077e73c1296f895bdf23b30e88d86db"
    assert (
        Identity.from_seed(SEED).pseudonym("jazz club").peer_id.hex()
        == "25e6105ae9864dad0a3bde2a62893252c529333805a166e9c82b55a3495cb39d"
    )


def test_without_a_community_the_device_is_itself() -> None:
    identity = Identity.from_seed(SEED)
    assert identity.pseudonym("").peer_id == identity.peer_id


@given(st.binary(min_size=32, max_size=32), st.lists(names, min_size=2, max_size=6, unique=True))
def test_no_two_keys_and_secrets_of_a_device_are_alike(seed: bytes, communities: list[str]) -> None:
    identity = Identity.from_seed(seed)
    made = [identity.pseudonym(name) for name in communities]
    secrets = [seed, *(m.private_bytes for m in made), *(coin_secret(seed, name) for name in ["", *communities])]
    assert len(set(secrets)) == len(secrets)
    assert len({identity.peer_id, *(m.peer_id for m in made)}) == len(made) + 1
    assert verify(made[0].peer_id, made[0].sign(b"data"), b"data")


@pytest.mark.parametrize("name", ["x" * 129, "é" * 65, "\ud800", None, 7])
def test_what_cannot_name_a_community_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="community"):
        coin_secret(SEED, name)


def test_names_that_look_alike_are_different_communities() -> None:
    assert pseudonym_seed(SEED, "caf\u00e9") != pseudonym_seed(SEED, "cafe\u0301") != pseudonym_seed(SEED, "cafe")
