"""A new key for a device: whoever trusts the old one trusts it, and a crash at any point leaves one key that works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p2p import Identity, P2PError, PassphraseWrong, PeerId, RecordStore, open_hand_over, sign_hand_over
from sdk import rotation
from sdk.device_folder import DeviceFolder


def successor(folder: Path, old: PeerId) -> PeerId | None:
    store = RecordStore(folder / "records.db")
    try:
        return store.successor(old)
    finally:
        store.close()


def peer_of(folder: Path, passphrase: str | None = None) -> PeerId:
    opened = DeviceFolder.open(folder, passphrase)
    try:
        return opened.identity.peer_id
    finally:
        opened.close()


def rotated(folder: Path, passphrase: str | None = None) -> PeerId:
    opened = DeviceFolder.open(folder, passphrase)
    try:
        opened.rotate(passphrase)
        return opened.identity.peer_id
    finally:
        opened.close()


def test_the_old_key_hands_over_to_the_new_one(tmp_path: Path) -> None:
    old = peer_of(tmp_path)
    new = rotated(tmp_path)
    assert peer_of(tmp_path) == new != old
    assert successor(tmp_path, old) == new
    store = RecordStore(tmp_path / "records.db")
    (wire,) = store.wire(old)
    store.close()
    assert open_hand_over(wire).successor == new
    assert rotated(tmp_path) != new
    assert sorted(p.name for p in tmp_path.iterdir() if "key" in p.name) == ["identity.key"]


@pytest.mark.parametrize("step", ["before the hand-over", "after the hand-over"])
def test_a_crash_at_any_point_leaves_one_key_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = peer_of(tmp_path)
    folder = DeviceFolder.open(tmp_path)

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        if step == "before the hand-over":
            patch.setattr(rotation, "sign_hand_over", crash)
        else:
            patch.setattr(Path, "replace", _but_not_over_the_key(crash))
        with pytest.raises(Crash):
            folder.rotate()
    folder.close()
    assert (tmp_path / "identity.key.next").exists()
    now = peer_of(tmp_path)
    assert (now == old) == (step == "before the hand-over")
    assert successor(tmp_path, old) == (None if now == old else now)
    assert not (tmp_path / "identity.key.next").exists()
    assert successor(tmp_path, now) is None
    assert rotated(tmp_path) != now


def _but_not_over_the_key(crash: Callable[[], None]) -> Callable[[Path, Path], Path]:
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == "identity.key":
            crash()
        return original(self, target)

    return replace


def test_a_key_that_cannot_be_handed_over_stays(tmp_path: Path) -> None:
    folder = DeviceFolder.open(tmp_path)
    store = RecordStore(tmp_path / "records.db")
    store.put_many([sign_hand_over(folder.identity, Identity.create())])
    store.close()
    before = folder.identity.peer_id
    with pytest.raises(P2PError, match="cannot be handed over"):
        folder.rotate()
    folder.close()
    assert peer_of(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir() if "next" in p.name] == []


def test_a_sealed_device_needs_its_passphrase_after_a_rotation_too(tmp_path: Path) -> None:
    old = peer_of(tmp_path, "sesame")
    with pytest.raises(PassphraseWrong):
        peer_of(tmp_path)
    assert rotation.needs_passphrase(tmp_path)
    assert rotated(tmp_path, "sesame") != old
    with pytest.raises(PassphraseWrong):
        peer_of(tmp_path, "another")
