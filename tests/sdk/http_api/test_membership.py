"""A served device stays in the network: peers that do not answer do not stop it, and its status can be read."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p2p import Identity
from sdk import NotConnected, Recommender, SharingPolicy
from sdk.http_api.membership import Membership
from sdk.status import read_status
from tests.sdk.http_api.golden_device import BUNDLE, NOW, PINNED

pytestmark = pytest.mark.slow


def _until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for `condition`, polling on an event that nobody sets."""
    never, end = threading.Event(), time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the devices did not get there in time"
        never.wait(0.05)


def test_it_reaches_who_answers_and_goes_on_without_who_does_not(tmp_path: Path, prepared: Path) -> None:
    folder = shutil.copytree(prepared, tmp_path / "served")
    with (
        Recommender.open(folder, trusted_keys=[PINNED], clock=lambda: float(NOW)) as me,
        Recommender.open(tmp_path / "friend", bundle=BUNDLE, trusted_keys=[PINNED], clock=lambda: float(NOW)) as friend,
    ):
        me.set_sharing(SharingPolicy.ITEMS)
        me.record("item-1", "like")
        (address, *_) = friend.connect()
        gone = address.replace(address.split("/tcp/")[1].split("/")[0], "1")
        addresses = me.connect()
        assert me.addresses == addresses
        member = Membership(me, folder, addresses, [gone, address])
        try:
            _until(lambda: friend.count_records() == 1)
            _until(lambda: read_status(folder)["peers"] == [friend.peer_id.hex()])
            assert read_status(folder)["addresses"] == addresses
        finally:
            member.close()
        with pytest.raises(NotConnected):
            read_status(folder)


def test_it_ends_with_its_device(tmp_path: Path, prepared: Path) -> None:
    folder = shutil.copytree(prepared, tmp_path / "served")
    nobody = f"/ip4/127.0.0.1/tcp/1/p2p/{Identity.create().peer_id.hex()}"
    with Recommender.open(folder, trusted_keys=[PINNED], clock=lambda: float(NOW)) as me:
        member = Membership(me, folder, me.connect(), [nobody])
    member.close()
    assert not (folder / "status.json").exists()
