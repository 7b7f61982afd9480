"""Train, export, sign, run on devices, gossip over real libp2p hosts, rank: nothing is replaced by a double."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device_runtime import BundleError
from sdk import Recommender, RecommenderConfig, SharingPolicy
from sdk.store import EventStore

pytestmark = pytest.mark.slow


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for `condition`, polling on an event that nobody sets."""
    never, end = threading.Event(), time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the devices did not get there in time"
        never.wait(0.05)


def _open(folder: Path, bundle, sharing: SharingPolicy = SharingPolicy.NETWORK) -> Recommender:
    config = RecommenderConfig(sharing=sharing)
    return Recommender.open(folder, bundle=bundle.path, trusted_keys=[bundle.key], config=config)


def test_what_a_trusted_peer_likes_reaches_the_ranking_with_its_reason(tmp_path: Path, made_bundle) -> None:
    with _open(tmp_path / "ana", made_bundle) as ana, _open(tmp_path / "bob", made_bundle) as bob:
        for item in ("150", "151", "152"):
            bob.record(item, "like")
        ana.record("10", "like")
        ana.vouch(bob.peer_id, 3)
        assert ana.recommend(5, source="peers") == []
        addresses = bob.connect()
        ana.connect(addresses)
        _until(lambda: ana.count_records() >= 2 and bob.count_records() >= 2)
        _until(lambda: len(ana.recommend(5, source="peers")) == 3)
        picks = ana.recommend(5, source="peers")
        assert {pick.item for pick in picks} == {"150", "151", "152"}
        assert picks[0].reasons[0].text == f"your friend {bob.peer_id.hex()[:8]} likes this"
        blended = ana.recommend(10)
        assert {"150", "151", "152"} & {pick.item for pick in blended}
        assert all(pick.reasons for pick in blended)
        bob.block(ana.peer_id)
        assert bob.recommend(5, source="peers") == []

    # What was gossiped is on disk: the walk works offline after a restart.
    with _open(tmp_path / "ana", made_bundle) as ana:
        assert {pick.item for pick in ana.recommend(5, source="peers")} == {"150", "151", "152"}


def test_a_private_device_tells_nothing_and_one_that_goes_private_takes_everything_back(
    tmp_path: Path, made_bundle
) -> None:
    with _open(tmp_path / "eve", made_bundle) as eve:
        with _open(tmp_path / "pia", made_bundle, SharingPolicy.PRIVATE) as pia:
            pia.record("20", "like")
            pia.connect(eve.connect())
            _until(lambda: len(eve.network_status().peers) == 1)
            assert eve.count_records() == 0
        with _open(tmp_path / "pia", made_bundle, SharingPolicy.ITEMS) as pia:
            eve.vouch(pia.peer_id)
            pia.connect(eve.connect())
            _until(lambda: [p.item for p in eve.recommend(5, source="peers")] == ["20"])
        with _open(tmp_path / "pia", made_bundle, SharingPolicy.PRIVATE) as pia:
            pia.connect(eve.connect())
            _until(lambda: eve.recommend(5, source="peers") == [])


def test_the_model_learned_the_made_pattern_and_the_device_runs_it_without_torch(tmp_path: Path, made_bundle) -> None:
    with _open(tmp_path / "ana", made_bundle) as ana:
        now = 1_700_000_000
        ana.record_many([(str(item), "like", now + 60 * item) for item in range(40, 48)])
        picks = ana.recommend(10, source="model", now=now + 60 * 48)
        assert {int(pick.item) for pick in picks} & set(range(48, 60)), "items just ahead belong in the top ten"
        assert ana.runtime == "native"


@pytest.mark.parametrize("name", ["model.pte", "catalog.bin", "manifest.json", "manifest.sig", "README.md"])
def test_one_changed_byte_anywhere_in_a_bundle_is_refused_and_leaves_nothing(
    tmp_path: Path, made_bundle, name: str
) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for file in made_bundle.path.iterdir():
        content = bytearray(file.read_bytes())
        if file.name == name:
            content[len(content) // 2] ^= 1
        (copy / file.name).write_bytes(content)
    with pytest.raises(BundleError):
        Recommender.open(tmp_path / "device", bundle=copy, trusted_keys=[made_bundle.key])
    assert not (tmp_path / "device").exists()


def test_two_processes_cannot_open_one_device_but_its_store_survives(tmp_path: Path, made_bundle) -> None:
    with _open(tmp_path / "ana", made_bundle) as ana:
        ana.record("10", "like")
        with pytest.raises(Exception, match="open in another process"):
            _open(tmp_path / "ana", made_bundle)
    store = EventStore(tmp_path / "ana" / "events.db")
    assert [event.item for event in store.events()] == ["10"]
    store.close()
