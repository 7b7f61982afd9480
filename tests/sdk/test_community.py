"""Folders of communities, and keys of all of them handed over together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import Identity, PassphraseWrong, RecordStore
from sdk import rotation
from sdk.community import RECORDS_FILE, communities, community_folder
from sdk.device_folder import DeviceFolder
from sdk.errors import InvalidInput


@given(names=st.lists(st.text(min_size=1, max_size=32), max_size=4, unique=True))
def test_every_name_has_a_folder_of_its_own_and_is_found_again(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    device = tmp_path_factory.mktemp("device")
    folders = {community_folder(device, name) for name in ["", *names]}
    assert len(folders) == len(names) + 1
    assert all(device in (folder, *folder.parents) for folder in folders)
    assert communities(device) == sorted(names)


@pytest.mark.parametrize("name", ["x" * 129, "\udcff", None, 3])
def test_what_cannot_name_a_community_is_refused_and_nothing_stays_locked(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match="community"):
            DeviceFolder.open(tmp_path, community=name)
    DeviceFolder.open(tmp_path).close()


def successor(device: Path, community: str, of: Identity) -> object:
    store = RecordStore(community_folder(device, community) / RECORDS_FILE)
    try:
        return store.successor(of.pseudonym(community).peer_id)
    finally:
        store.close()


def test_a_sealed_device_has_its_pseudonyms_behind_the_passphrase(tmp_path: Path) -> None:
    made = DeviceFolder.open(tmp_path, "sesame", community="work")
    made.close()
    with pytest.raises(PassphraseWrong):
        DeviceFolder.open(tmp_path, community="work")
    again = DeviceFolder.open(tmp_path, "sesame", community="work")
    again.close()
    assert again.identity.peer_id == made.identity.peer_id == again.device.pseudonym("work").peer_id
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (made.identity.private_bytes, made.device.private_bytes):
        assert secret not in content
        assert secret.hex().encode() not in content


@pytest.mark.parametrize("crash_at", [0, 1, 2, 3])
def test_a_crash_during_a_rotation_leaves_all_communities_with_one_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """Hand-overs are stored one after the other; wherever that stops, opening finishes all of them or none."""

    class Crash(BaseException):
        pass

    names = ["", "play", "work"]
    for name in names:
        opened = DeviceFolder.open(tmp_path, community=name)
        opened.close()
    old, calls, hand_over = opened.device, [], rotation.sign_hand_over

    def crashing(*arguments: Identity) -> object:
        calls.append(arguments)
        if len(calls) > crash_at:
            raise Crash
        return hand_over(*arguments)

    folder = DeviceFolder.open(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "sign_hand_over", crashing)
        if crash_at < len(names):
            with pytest.raises(Crash):
                folder.rotate()
        else:
            folder.rotate()
    folder.close()
    folder = DeviceFolder.open(tmp_path)
    new = folder.device
    folder.close()
    if crash_at == 0:
        assert new.peer_id == old.peer_id
        assert [successor(tmp_path, name, old) for name in names] == [None, None, None]
    else:
        assert new.peer_id != old.peer_id
        assert [successor(tmp_path, name, old) for name in names] == [new.pseudonym(name).peer_id for name in names]
