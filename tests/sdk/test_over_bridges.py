"""Whole devices over frames that the app carries: no libp2p, and a new key that friends follow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from p2p.bridge_hub import BridgeHub
from sdk import Recommender, RecommenderConfig, SharingPolicy
from sdk.device_folder import DeviceFolder
from sdk.interest import InterestConfig
from sdk.recommender import interest_of

NETWORK = RecommenderConfig(sharing=SharingPolicy.NETWORK)
PATIENCE_S = 10.0
Opener = Callable[..., Recommender]


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def on(hub: BridgeHub, name: str, opened: Opener) -> Recommender:
    return opened(name, NETWORK, transport=lambda identity: hub.bridge(name, identity))


def supporters(device: Recommender) -> int:
    return sum(pick.peer_rank is not None for pick in device.recommend(5, source="peers"))


def test_two_devices_recommend_to_each_other_without_libp2p(opened: Opener) -> None:
    hub = BridgeHub()
    with on(hub, "ann", opened) as ann, on(hub, "ben", opened) as ben:
        ann.vouch(ben.peer_id)
        ben.record("item-7", "buy")
        assert ben.connect(listen="ben") == ["ben"]
        ann.connect(["ben"], listen="ann")
        assert eventually(lambda: supporters(ann) == 1)
        assert ann.recommend(1, source="peers")[0].item == "item-7"


def test_friends_follow_a_device_to_its_new_key(opened: Opener, tmp_path: Path) -> None:
    hub = BridgeHub()
    with on(hub, "ann", opened) as ann:
        with on(hub, "ben", opened) as ben:
            old = ben.peer_id
            ann.vouch(old, level=3)
            ben.record("item-7", "buy")
            ben.connect(listen="ben")
            ann.connect(["ben"], listen="ann")
            assert eventually(lambda: supporters(ann) == 1)
        folder = DeviceFolder.open(tmp_path / "ben")
        folder.rotate()
        folder.close()
        with on(hub, "ben", opened) as ben:
            assert ben.peer_id != old
            ben.record("item-8", "buy")
            ben.connect(["ann"], listen="ben")
            assert eventually(lambda: [peer for peer, _ in ann.trusted_peers()] == [ben.peer_id])
            assert eventually(lambda: supporters(ann) == 2)
            ann.publish()  # what it tells others names the new key
            assert eventually(lambda: ben.count_records() == 3)  # Ann's, Ben's and the hand-over


def test_only_a_device_that_publishes_its_vouches_follows_some() -> None:
    some = InterestConfig(everyone_up_to=10)
    for policy in (SharingPolicy.PRIVATE, SharingPolicy.ITEMS, SharingPolicy.NETWORK):
        expected = 10 if policy == SharingPolicy.NETWORK else sys.maxsize
        assert interest_of(some, policy).everyone_up_to == expected


def test_a_device_imports_no_libp2p_when_it_does_not_use_it() -> None:
    import subprocess

    code = "import sys, sdk, p2p.bridge, p2p.bridge_hub; print([m for m in sys.modules if m in ('libp2p', 'trio')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
