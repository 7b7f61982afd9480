"""Whole devices: what the person chooses is what peers hold, offline choices come true later, nothing more goes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest

from p2p import AdjacencyRecord, Identity, PeerId, item_key
from p2p.bridge_hub import BridgeHub
from p2p.key_file import read_key_file
from sdk import InvalidInput, Recommender, RecommenderConfig, SharingLevel, SharingPolicy, Why
from sdk.device_folder import DeviceFolder

Opener = Callable[..., Recommender]
PATIENCE_S = 10.0
ITEMS = RecommenderConfig(sharing=SharingPolicy.ITEMS)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Circle:
    """Devices joined by one hub, and what a device that only listens holds of them."""

    def __init__(self, opened: Opener, stack: ExitStack) -> None:
        self._opened, self._stack, self.hub = opened, stack, BridgeHub()

    def device(self, name: str, **options: Any) -> Recommender:
        return self._opened(name, transport=lambda identity: self.hub.bridge(name, identity), **options)

    def listener(self) -> Recommender:
        device = self._stack.enter_context(self.device("listener"))
        device.connect(listen="listener")
        return device


@pytest.fixture
def circle(opened: Opener) -> Iterator[Circle]:
    with ExitStack() as stack:
        yield Circle(opened, stack)


def held(device: Recommender, peer: PeerId) -> AdjacencyRecord | None:
    signed = device._device.network.store.get(peer)
    return None if signed is None else signed.record


def keys(*items: str) -> list[bytes]:
    return sorted(item_key("tiny", item) for item in items)


def told(record: AdjacencyRecord | None) -> list[bytes]:
    return [] if record is None else [edge.key for edge in record.items]


def test_what_is_said_to_be_published_is_what_a_peer_holds(circle: Circle) -> None:
    listener = circle.listener()
    with circle.device("ann") as ann:
        ann.record_many([("item-1", "buy", None), ("item-2", "like", None), ("item-3", "view", None)])
        ann.connect(["listener"], listen="ann")
        assert ann.sharing == SharingPolicy.PRIVATE
        assert ann.shared().published.is_empty
        preview = ann.set_sharing(SharingPolicy(level=SharingLevel.ITEMS, deny_items=frozenset({"item-2"})))
        assert preview.pending
        assert held(listener, ann.peer_id) is None  # to choose sends nothing
        assert ann.publish()
        assert eventually(lambda: told(held(listener, ann.peer_id)) == keys("item-1"))
        report = ann.shared()
        record = held(listener, ann.peer_id)
        assert record is not None
        assert report.published.edges == (record.items, record.trust) == report.would_publish.edges
        assert (report.published.version, report.peer) == (record.version, record.author)
        assert {h.item: h.why for h in report.withheld} == {"item-2": Why.DENIED, "item-3": Why.ACTION}
        assert not ann.publish()
        assert ann.forget("item-1").published is True  # connected, so it is taken out at once
        assert eventually(lambda: held(listener, ann.peer_id) is not None and told(held(listener, ann.peer_id)) == [])
        assert ann.shared().ever_told == ()


def test_to_withdraw_offline_comes_true_after_a_restart_and_lasts(circle: Circle) -> None:
    listener = circle.listener()
    with circle.device("ann", config=ITEMS) as ann:
        ann.record("item-1")
        ann.connect(["listener"], listen="ann")
        peer = ann.peer_id
        assert eventually(lambda: told(held(listener, peer)) == keys("item-1"))
    with circle.device("ann", config=ITEMS) as ann:
        assert ann.withdraw() is False  # not connected
        assert ann.shared().pending
        assert told(held(listener, peer)) == keys("item-1")
    with circle.device("ann", config=ITEMS) as ann:
        assert ann.sharing == SharingPolicy.PRIVATE  # whatever the app's configuration says
        assert ann.shared().would_publish.is_empty
        ann.connect(["listener"], listen="ann")
        assert eventually(lambda: (record := held(listener, peer)) is not None and record.is_tombstone)
        assert not ann.shared().pending
        ann.record("item-2")
        assert not ann.publish()
        assert ann.withdraw() is True
        ann.set_sharing(SharingPolicy.ITEMS)  # until told otherwise
        assert ann.publish()
        assert eventually(lambda: told(held(listener, peer)) == keys("item-1", "item-2"))


def test_a_device_that_never_shared_has_nothing_to_withdraw(circle: Circle) -> None:
    listener = circle.listener()
    with circle.device("ann") as ann:
        ann.record("item-1")
        ann.connect(["listener"], listen="ann")
        assert ann.withdraw() is True
        assert held(ann, ann.peer_id) is held(listener, ann.peer_id) is None


def test_to_forget_everything_takes_everything_back(circle: Circle) -> None:
    listener = circle.listener()
    with circle.device("ann", config=RecommenderConfig(sharing=SharingPolicy.NETWORK)) as ann:
        ann.record("item-1")
        ann.vouch(listener.peer_id)
        ann.connect(["listener"], listen="ann")
        assert eventually(lambda: told(held(listener, ann.peer_id)) == keys("item-1"))
        assert ann.forget(everything=True).published is True
        assert eventually(lambda: (record := held(listener, ann.peer_id)) is not None and record.is_tombstone)
        assert ann.sharing == SharingPolicy.PRIVATE
        assert ann.export_my_data()["sharing"]["ever_told"] == []


def test_under_epsilon_the_record_stays_the_same_while_the_history_grows(circle: Circle) -> None:
    listener = circle.listener()
    hiding = SharingPolicy(level=SharingLevel.ITEMS, epsilon=1.0, made_up=8)
    with circle.device("ann", config=RecommenderConfig(sharing=hiding)) as ann:
        for number in range(20):
            ann.record(f"item-{number}")
        ann.connect(["listener"], listen="ann")
        peer, first = ann.peer_id, ann.shared()
        assert first.epsilon_spent == 1.0
        assert {item.made_up for item in first.published.items} == {True, False}
        assert eventually(lambda: told(held(listener, peer)) == [item.edge.key for item in first.published.items])
        for number in range(20, 60):
            ann.record(f"item-{number}")
        assert not ann.publish()
    with circle.device("ann", config=RecommenderConfig(sharing=hiding)) as ann:
        ann.connect(["listener"], listen="ann")
        assert ann.shared().published.edges == first.published.edges


def test_a_policy_with_an_unknown_category_is_refused(opened: Opener) -> None:
    with opened() as me:
        with pytest.raises(InvalidInput, match="no category"):
            me.set_sharing(SharingPolicy(deny_categories=frozenset({"jazz"})))
        assert me.sharing == SharingPolicy.PRIVATE


# -- communities -----------------------------------------------------------------------------------


def test_two_communities_cannot_tell_that_they_meet_one_device(circle: Circle, opened: Opener) -> None:
    """Nothing that goes out in one community names a key of the other, and opinions and choices are apart."""
    sent: dict[str, list[bytes]] = {}
    peers: dict[str, PeerId] = {}
    for community in ("", "work", "play"):
        with circle.device("ann", community=community) as ann:
            ann.record(f"item-{len(sent)}")
            ann.vouch((community or "none").encode().ljust(32, b"."))
            ann.set_sharing(SharingPolicy(level=SharingLevel.NETWORK, epsilon=2.0, made_up=4))
            ann.connect(listen="ann")
            peers[community] = ann.peer_id
            store = ann._device.network.store
            assert ann._device.network.status().peers == ()
            sent[community] = [record.to_bytes() for record in store.records()]
            assert [o.community for o in ann.opinions()] == [community]
    assert len(set(peers.values())) == 3
    for community, wires in sent.items():
        (wire,) = wires  # its own record, and no other community's
        others = [key for name, key in peers.items() if name != community]
        others += [(name or "none").encode().ljust(32, b".") for name in peers if name != community]
        assert peers[community] in wire
        assert not any(key in wire for key in others)
    with circle.device("ann") as ann:
        ann.withdraw()
    with circle.device("ann", community="work") as ann:
        assert ann.sharing.level is SharingLevel.NETWORK


@pytest.mark.parametrize("everything", [False, True])
def test_to_forget_reaches_what_was_told_in_other_communities(circle: Circle, everything: bool, tmp_path: Path) -> None:
    for community in ("", "work", "play"):
        with circle.device("ann", community=community, config=ITEMS) as ann:
            if not community:
                ann.record_many([("item-1", "like", None), ("item-2", "like", None)])
            ann.connect(listen="ann")
    with circle.device("ann", community="new", config=ITEMS) as ann:
        assert ann.forget(None if everything else "item-1", everything=everything).published is True
        assert ann.forget("item-9").published is False
    for community in ("", "work", "play"):
        with circle.device("ann", community=community, config=ITEMS) as ann:
            assert len(ann.shared().published.items) == 2  # nobody was there to be told yet
            ann.connect(listen="ann")
            report = ann.shared()
            assert told(held(ann, ann.peer_id)) == ([] if everything else keys("item-2"))
            assert report.ever_told == ()
            assert report.policy == (SharingPolicy.PRIVATE if everything else SharingPolicy.ITEMS)
    logs = list((tmp_path / "ann").rglob("publications.db*"))
    assert len([log for log in logs if log.name == "publications.db"]) == 4
    assert not any(item_key("tiny", "item-1") in log.read_bytes() for log in logs)


def test_what_communities_have_in_common_are_items_and_hours(circle: Circle) -> None:
    """The limit that docs/privacy.md states: equal items have equal keys, and records of one hour have its time."""
    made = {}
    for community in ("work", "play"):
        with circle.device("ann", community=community, config=ITEMS) as ann:
            if not made:
                ann.record("item-1")  # one history for all communities
            ann.connect(listen="ann")
            (signed,) = ann._device.network.store.records()
            made[community] = msgpack.unpackb(signed.body)
    work, play = made["work"], made["play"]
    differing = [place for place in range(len(work)) if work[place] != play[place]]
    assert differing == [1]  # the author
    assert work[3] % 3_600 == 0
    assert work[2] == work[3] // 3_600 * 256  # the version follows the hour, so it tells no more than that


def test_the_node_of_a_community_runs_under_its_pseudonym(opened: Opener, tmp_path: Path) -> None:
    seen: list[PeerId] = []
    hub = BridgeHub()

    def transport(identity: Identity) -> Any:
        seen.append(identity.peer_id)
        return hub.bridge("ann", identity)

    with opened("ann", community="work", transport=transport) as ann:
        ann.connect(listen="ann")
        assert seen == [ann.peer_id]
    seed, public = read_key_file(tmp_path / "ann" / "identity.key", None)
    assert seen[0] == Identity.from_seed(seed).pseudonym("work").peer_id != public


def test_friends_in_a_community_follow_a_device_to_its_new_key(circle: Circle, tmp_path: Path) -> None:
    with circle.device("ann", community="work", config=RecommenderConfig(sharing=SharingPolicy.NETWORK)) as ann:
        with circle.device("ben", community="work", config=ITEMS) as ben:
            old = ben.peer_id
            ann.vouch(old, level=3)
            ben.record("item-7", "buy")
            ben.connect(listen="ben")
            ann.connect(["ben"], listen="ann")
            assert eventually(lambda: told(held(ann, old)) == keys("item-7"))
        folder = DeviceFolder.open(tmp_path / "ben")
        folder.rotate()
        folder.close()
        with circle.device("ben", community="work", config=ITEMS) as ben:
            assert ben.peer_id != old
            ben.connect(["ann"], listen="ben")
            assert eventually(lambda: [peer for peer, _ in ann.trusted_peers()] == [ben.peer_id])
            assert ben.shared().editions[0].items == 1
