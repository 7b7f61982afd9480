"""Whose records a device wants: everyone's while there are few, later those that walks visit; never the blocked."""

from __future__ import annotations

from p2p import AdjacencyRecord, Identity, PeerId, TrustEdge
from sdk.interest import Interest, InterestConfig
from sdk.social import SocialConfig, SocialGraph
from sdk.store import BLOCKED, Opinion
from trust import MeritRankConfig

ME, FRIEND, FAR, STRANGER, OLD = (Identity.from_seed(bytes([n]) * 32).peer_id for n in range(1, 6))


class Device:
    def __init__(self, config: InterestConfig | None = None) -> None:
        self.held = 0
        self.social = SocialGraph(ME, SocialConfig(peers=MeritRankConfig(walks=500)))
        self.social.set_self([], [Opinion(FRIEND, 2, 0)], "n")
        self.social.set_record(AdjacencyRecord(FRIEND, 1, 0, (TrustEdge(FAR, 2),), ()))
        self.social.look_around()
        self.interest = Interest(self.social, lambda: self.held, config or InterestConfig(everyone_up_to=10))

    def hold(self, count: int) -> frozenset[PeerId] | None:
        self.held = count
        self.social.look_around()
        self.interest.refresh()
        return self.interest.frontier()


def test_few_records_are_everyones_and_many_are_those_of_peers_whom_walks_visit() -> None:
    device = Device()
    assert device.hold(10) is None
    assert device.interest.admit(STRANGER) > 0
    assert device.hold(11) == {ME, FRIEND, FAR}
    assert device.interest.admit(STRANGER) == 0
    assert device.interest.admit(FRIEND) > device.interest.admit(FAR) > 1


def test_only_the_most_visited_are_wanted_and_they_do_not_come_and_go() -> None:
    device = Device(InterestConfig(everyone_up_to=0, most_visited=1))
    assert device.hold(1) == {ME, FRIEND}
    assert device.interest.admit(FAR) == 0
    many = [PeerId(bytes([i]) * 32) for i in range(100, 112)]
    device = Device(InterestConfig(everyone_up_to=0, most_visited=8))
    for level in (2, 3, 1):  # each time the walks count anew, and equal peers change places
        trust = tuple(TrustEdge(peer, level) for peer in many)
        device.social.set_record(AdjacencyRecord(FRIEND, 1 + level, 0, trust, ()))
        before = device.interest.frontier() or frozenset()
        wanted = device.hold(1)
        assert wanted is not None
        assert len(wanted) == 9
        if level != 2:
            assert len(wanted & before) >= 7


def test_the_change_back_waits_for_half() -> None:
    device = Device()
    device.hold(11)
    assert device.hold(6) is not None
    assert device.hold(5) is None
    assert device.hold(10) is None


def test_the_blocked_are_never_admitted() -> None:
    device = Device()
    device.social.set_self([], [Opinion(FRIEND, 2, 0), Opinion(FAR, BLOCKED, 0), Opinion(STRANGER, BLOCKED, 0)], "n")
    device.hold(0)
    assert device.interest.admit(FAR) == device.interest.admit(STRANGER) == 0


def test_the_old_keys_of_visited_peers_are_wanted_too() -> None:
    device = Device()
    device.social.set_successor(OLD, FRIEND)
    assert device.hold(11) == {ME, FRIEND, FAR, OLD}
    assert device.interest.admit(OLD) > 0
