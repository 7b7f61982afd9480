"""Identities: what they sign verifies, their files keep the secret, and damage is told apart from absence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import IdentityInvalid, PassphraseWrong
from p2p.identity import Identity, PeerId, verify
from p2p.key_file import is_sealed

# RFC 8032, section 7.1, test 2.
RFC_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    Identity.create().save(path)
    return path


def test_the_rfc_8032_vector() -> None:
    identity = Identity.from_seed(RFC_SEED)
    assert identity.peer_id == RFC_PUBLIC
    assert identity.private_bytes == RFC_SEED
    assert identity.sign(b"\x72") == RFC_SIGNATURE


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.binary(max_size=100))
def test_a_signature_verifies_for_exactly_its_data(seed: bytes, data: bytes, other: bytes) -> None:
    identity = Identity.from_seed(seed)
    signature = identity.sign(data)
    assert verify(identity.peer_id, signature, data)
    assert verify(identity.peer_id, signature, other) == (other == data)


@given(st.binary(max_size=40), st.binary(max_size=70))
def test_verify_answers_no_to_anything_malformed(peer: bytes, signature: bytes) -> None:
    assert not verify(PeerId(peer), signature, b"data") or len(peer) == 32


def test_two_identities_differ() -> None:
    assert Identity.create().peer_id != Identity.create().peer_id


def test_a_saved_identity_loads_equal(tmp_path: Path) -> None:
    identity = Identity.create()
    identity.save(tmp_path / "identity")
    loaded = Identity.load(tmp_path / "identity")
    assert (loaded.peer_id, loaded.private_bytes) == (identity.peer_id, identity.private_bytes)


def test_the_file_is_its_owners_only_and_nothing_else_is_left_behind(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert list(saved.parent.iterdir()) == [saved]


def test_an_identity_is_never_replaced(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(IdentityInvalid, match="not replaced"):
        Identity.create().save(saved)
    assert saved.read_bytes() == before


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("p2p.key_file.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        Identity.create().save(tmp_path / "identity")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602, 0o777])
def test_a_file_open_to_others_is_refused(saved: Path, mode: int) -> None:
    saved.chmod(mode)
    with pytest.raises(IdentityInvalid, match="chmod 600"):
        Identity.load(saved)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(IdentityInvalid, match="does not exist"):
        Identity.load(tmp_path / "identity")


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityInvalid, match="cannot be read"):
        Identity.load(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 20, 41, 60, -2])
def test_a_truncated_file_is_damaged(saved: Path, cut: int) -> None:
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(IdentityInvalid, match="damaged"):
        Identity.load(saved)


@given(content=st.binary(max_size=200))
def test_arbitrary_content_is_damaged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("identity") / "identity"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(IdentityInvalid, match="damaged"):
        Identity.load(path)


# -- sealed with a passphrase ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity]:
    path, identity = tmp_path_factory.mktemp("sealed") / "identity", Identity.from_seed(RFC_SEED)
    identity.save(path, "open, sesame ☂")
    return path, identity


def test_a_sealed_identity_opens_with_its_passphrase_only(sealed: tuple[Path, Identity], saved: Path) -> None:
    path, identity = sealed
    assert Identity.load(path, "open, sesame ☂").private_bytes == identity.private_bytes
    for wrong in (None, "", "open, sesame", "OPEN, SESAME ☂"):
        with pytest.raises(PassphraseWrong, match="passphrase"):
            Identity.load(path, wrong)
    assert is_sealed(path)
    assert not is_sealed(saved)
    assert not is_sealed(saved.parent / "nothing")
    assert Identity.load(saved, "not needed")


def test_a_sealed_file_does_not_show_the_seed_and_no_two_are_alike(
    sealed: tuple[Path, Identity], tmp_path: Path
) -> None:
    path, identity = sealed
    assert identity.private_bytes.hex() not in path.read_text()
    identity.save(tmp_path / "again", "open, sesame ☂")
    first, second = path.read_text().splitlines(), (tmp_path / "again").read_text().splitlines()
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="protects nothing"):
        Identity.create().save(tmp_path / "identity", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", range(4))
def test_any_change_of_a_sealed_file_is_found(sealed: tuple[Path, Identity], tmp_path: Path, line: int) -> None:
    lines = sealed[0].read_text().splitlines()
    lines[line] = lines[line][:-1] + ("0" if lines[line][-1] != "0" else "1")
    path = tmp_path / "identity"
    path.touch(0o600)
    path.write_text("\n".join(lines))
    with pytest.raises(IdentityInvalid):
        Identity.load(path, "open, sesame ☂")


@pytest.mark.parametrize(
    "facts", ["scrypt 2^21 8 1 00", "scrypt 2^0 8 1 00", "scrypt 2^-1 8 1 00", "scrypt 2^16 9 1 00", "none"]
)
def test_a_hostile_cost_is_refused_before_it_is_paid(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "identity"
    path.touch(0o600)
    path.write_text(f"meritrec device identity, sealed with a passphrase\n00\n00\n{facts}\n")
    with pytest.raises(IdentityInvalid, match="damaged"):
        Identity.load(path, "passphrase")
