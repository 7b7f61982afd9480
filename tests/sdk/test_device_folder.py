"""The folder of a device: one opener at a time, one identity for life, settings whole or refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from p2p import IdentityInvalid
from sdk.device_folder import IDENTITY_FILE, SETTINGS_FILE, DeviceFolder, DeviceSettings
from sdk.errors import AlreadyOpen, DeviceFolderInvalid
from sdk.sharing import SharingPolicy

SETTINGS = DeviceSettings((bytes(range(32)), bytes(32)), SharingPolicy.NETWORK, "a circle")


def test_a_folder_is_made_once_and_keeps_its_identity(tmp_path: Path) -> None:
    first = DeviceFolder.open(tmp_path / "deep" / "device")
    peer = first.identity.peer_id
    first.close()
    first.close()
    again = DeviceFolder.open(tmp_path / "deep" / "device")
    assert again.identity.peer_id == peer
    again.close()


def test_folder_and_key_are_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        DeviceFolder.open(tmp_path / "device").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "device").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "device" / IDENTITY_FILE).stat().st_mode) == 0o600


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    first = DeviceFolder.open(tmp_path)
    with pytest.raises(AlreadyOpen, match="close that one first"):
        DeviceFolder.open(tmp_path)
    first.close()
    DeviceFolder.open(tmp_path).close()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from sdk.device_folder import DeviceFolder;"
        "folder = DeviceFolder.open(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"open\n"
            with pytest.raises(AlreadyOpen):
                DeviceFolder.open(tmp_path)
        finally:
            holder.kill()
    DeviceFolder.open(tmp_path).close()


def test_a_file_in_the_way_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for taken in (path, path / "below"):
        with pytest.raises(DeviceFolderInvalid, match="is not a folder"):
            DeviceFolder.open(taken)
    assert path.read_text() == "mine"


def test_a_damaged_identity_is_not_replaced_and_releases_the_lock(tmp_path: Path) -> None:
    DeviceFolder.open(tmp_path).close()
    identity = tmp_path / IDENTITY_FILE
    whole = identity.read_bytes()
    identity.write_bytes(whole[:-10])
    for _ in range(2):
        with pytest.raises(IdentityInvalid):
            DeviceFolder.open(tmp_path)
    assert identity.read_bytes() == whole[:-10]
    identity.write_bytes(whole)
    DeviceFolder.open(tmp_path).close()


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    SETTINGS.save(tmp_path)
    assert DeviceSettings.load(tmp_path) == SETTINGS
    private = DeviceSettings((bytes(32),), SharingPolicy.PRIVATE)
    private.save(tmp_path)
    assert DeviceSettings.load(tmp_path) == private
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_FILE]


def test_settings_of_format_1_are_read_with_their_bundle(tmp_path: Path) -> None:
    content = {"format": 1, "bundle": "/models/old", "trusted_keys": ["00" * 32], "sharing": "items"}
    (tmp_path / SETTINGS_FILE).write_text(json.dumps(content))
    settings = DeviceSettings.load(tmp_path)
    assert settings == DeviceSettings((bytes(32),), SharingPolicy.ITEMS, "", Path("/models/old"))
    settings.save(tmp_path)
    assert DeviceSettings.load(tmp_path) == DeviceSettings((bytes(32),), SharingPolicy.ITEMS)


def test_a_folder_without_settings_says_what_to_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DeviceFolderInvalid, match="run `meritrec init"):
            DeviceSettings.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"format": 3},
        {"sharing": "everything"},
        {"sharing": []},
        {"bundle": "/a bundle"},
        {"trusted_keys": 3},
        {"trusted_keys": ["not hex"]},
        {"trusted_keys": ["abcd"]},
        {"trusted_keys": [["00" * 32]]},
        {"more": 1},
    ],
    ids=str,
)
def test_settings_with_a_wrong_field_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    SETTINGS.save(tmp_path)
    path = tmp_path / SETTINGS_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DeviceFolderInvalid, match="is damaged"):
        DeviceSettings.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000], ids=lambda c: repr(c[:4]))
def test_settings_that_are_no_settings_are_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / SETTINGS_FILE
    path.write_bytes(content)
    with pytest.raises(DeviceFolderInvalid, match="is damaged"):
        DeviceSettings.load(tmp_path)
    assert path.read_bytes() == content
