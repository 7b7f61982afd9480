"""From records to a ranking: whose words count from where this person stands."""

from __future__ import annotations

import pytest

from p2p import AdjacencyRecord, Identity, ItemEdge, PeerId, TrustEdge, item_key
from sdk.item_opinion import ItemOpinion
from sdk.social import SocialConfig, SocialGraph, SocialView
from sdk.store import BLOCKED, Opinion
from trust import MeritRankConfig

ME, FRIEND, FAR, STRANGER = (Identity.from_seed(bytes([n]) * 32).peer_id for n in range(1, 5))
CONFIG = SocialConfig(peers=MeritRankConfig(walks=2_000))


def _record(author: PeerId, items: dict[str, int], trust: tuple[PeerId, ...] = (), day: int = 100) -> AdjacencyRecord:
    edges = sorted((ItemEdge(item_key("n", item), level, day) for item, level in items.items()), key=lambda e: e.key)
    vouches = sorted((TrustEdge(peer, 2) for peer in trust), key=lambda e: e.peer)
    return AdjacencyRecord(author, 1, 0, tuple(vouches), tuple(edges))


def _items(view: SocialView) -> list[str]:
    names = {item_key("n", name): name for name in ("a", "b", "c", "d")}
    return [names[key] for key, score in view.item_scores.items() if score.n_supporters]


@pytest.fixture
def graph() -> SocialGraph:
    """I vouch for a friend, who vouches for a peer far away; a stranger vouches for everybody."""
    graph = SocialGraph(ME, CONFIG)
    graph.set_self([], [Opinion(FRIEND, 2, 0)], "n")
    graph.set_record(_record(FRIEND, {"a": 3}, (FAR,)))
    graph.set_record(_record(FAR, {"b": 2}))
    graph.set_record(_record(STRANGER, {"c": 3}, (ME, FRIEND, FAR)))
    return graph


def test_friends_and_their_friends_count_and_strangers_do_not(graph: SocialGraph) -> None:
    view = graph.view()
    assert list(view.trusted) == [FRIEND, FAR]
    assert view.trusted[FRIEND].direct
    assert not view.trusted[FAR].direct
    assert _items(view) == ["a", "b"]
    assert [supporter for supporter, _ in view.item_scores[item_key("n", "b")].supporters] == [FAR]


def test_nobody_is_trusted_before_a_vouch() -> None:
    graph = SocialGraph(ME, CONFIG)
    assert not graph.view().trusted
    graph.set_self([ItemOpinion("a", 3, 100)], [], "n")
    graph.set_record(_record(FRIEND, {"a": 3, "b": 3}))
    assert not graph.view().trusted
    assert _items(graph.view()) == []


def test_the_higher_level_weighs_more(graph: SocialGraph) -> None:
    graph.set_record(_record(FRIEND, {"c": 1, "d": 3}))
    assert _items(graph.view()) == ["d", "c"]


def test_among_equal_levels_the_newer_weighs_more(graph: SocialGraph) -> None:
    old, new = ItemEdge(item_key("n", "c"), 2, 0), ItemEdge(item_key("n", "d"), 2, 60)
    edges = tuple(sorted((old, new), key=lambda e: e.key))
    graph.set_record(AdjacencyRecord(FRIEND, 2, 0, (), edges))
    assert _items(graph.view()) == ["d", "c"]


def test_an_idle_author_loses_nothing(graph: SocialGraph) -> None:
    graph.set_record(_record(FRIEND, {"a": 3}, (FAR,), day=0))
    old = graph.view()
    graph.set_record(_record(FRIEND, {"a": 3}, (FAR,), day=20_000))
    new = graph.view()
    assert [(s.item, s.score) for s in new.items.scores] == [(s.item, s.score) for s in old.items.scores]


def test_edges_a_lifetime_apart_are_still_a_graph(graph: SocialGraph) -> None:
    edges = sorted(
        (ItemEdge(item_key("n", name), 1, day) for name, day in (("c", 0), ("d", 60_000))), key=lambda e: e.key
    )
    graph.set_record(AdjacencyRecord(FRIEND, 2, 0, (), tuple(edges)))
    graph.set_self([ItemOpinion("a", 2, 47_000), ItemOpinion("b", 2, 0)], [Opinion(FRIEND, 2, 0)], "n")
    assert _items(graph.view())[0] == "d"


def test_my_own_record_from_the_network_is_ignored(graph: SocialGraph) -> None:
    before = graph.view()
    graph.set_record(_record(ME, {"d": 3}, (STRANGER,)))
    assert graph.view() is before


def test_a_block_cuts_off_the_peer_and_whoever_is_known_only_through_it(graph: SocialGraph) -> None:
    graph.set_self([], [Opinion(FRIEND, BLOCKED, 0)], "n")
    assert not graph.view().trusted
    assert _items(graph.view()) == []
    assert graph.blocked == {FRIEND}
    graph.set_self([], [Opinion(FRIEND, 2, 0), Opinion(FAR, BLOCKED, 0)], "n")
    assert list(graph.view().trusted) == [FRIEND]
    assert _items(graph.view()) == ["a"]


def test_a_new_record_replaces_the_old_and_a_dropped_one_is_gone(graph: SocialGraph) -> None:
    first = graph.view()
    assert graph.view() is first
    graph.set_record(_record(FRIEND, {"d": 1}, (FAR,)))
    second = graph.view()
    assert second is not first
    assert set(_items(second)) == {"b", "d"}
    graph.drop(FRIEND)
    third = graph.view()
    assert _items(third) == []
    assert FAR not in third.trusted
    graph.set_self([], [Opinion(FRIEND, 2, 0), Opinion(FAR, 1, 0)], "n")
    assert graph.view() is not third
    assert _items(graph.view()) == ["b"]


def test_records_that_came_between_two_looks_count_at_the_next(graph: SocialGraph) -> None:
    before = graph.view()
    crowd = [PeerId(number.to_bytes(32, "big")) for number in range(1, 700)]  # more than wait at once
    for peer in crowd:
        graph.set_record(_record(peer, {"a": 1}))
    graph.set_record(_record(FRIEND, {"a": 3}, tuple(crowd[:32])))
    graph.set_record(_record(crowd[3], {"old": 3}))
    graph.set_record(_record(crowd[3], {"new": 3}))
    graph.drop(crowd[4])
    view = graph.view()
    assert crowd[3] in view.trusted
    assert crowd[3] not in before.trusted
    assert item_key("n", "new") in view.item_scores
    assert item_key("n", "old") not in view.item_scores
    assert crowd[4] in view.trusted  # the friend still vouches for it
    graph.set_record(_record(FRIEND, {"a": 3}))
    graph.drop(FRIEND)  # before anybody looked
    assert not set(crowd) & set(graph.view().trusted)


def test_the_same_graph_and_seed_give_the_same_scores(graph: SocialGraph) -> None:
    first = graph.view()
    graph.set_self([], [Opinion(FRIEND, 2, 0)], "n")
    assert graph.view() is first  # nothing changed, so nobody walks
    graph.set_self([], [Opinion(FRIEND, 2, 1)], "n")
    again = graph.view()
    assert again is not first
    assert again.peers.scores == first.peers.scores
    assert again.items.scores == first.items.scores


def test_hits_say_whom_the_walks_visit(graph: SocialGraph) -> None:
    assert graph.hits(FRIEND) == 0
    graph.view()
    assert graph.hits(FRIEND) > graph.hits(FAR) > 0
    assert graph.hits(STRANGER) == 0


def test_only_the_strongest_vouches_are_walked() -> None:
    graph = SocialGraph(ME, CONFIG)
    weak = [Opinion(bytes([n]) * 32, 1, n) for n in range(40)]
    graph.set_self([], [*weak, Opinion(FRIEND, 3, 0)], "n")
    trusted = graph.view().trusted
    assert len(trusted) == 32
    assert next(iter(trusted)) == FRIEND
    assert {peer[0] for peer in trusted if peer != FRIEND} == set(range(9, 40))


# -- hand-overs ------------------------------------------------------------------------------------


NEW, NEWER = (Identity.from_seed(bytes([n]) * 32).peer_id for n in (8, 9))


def test_who_trusted_the_old_key_trusts_the_new_one(graph: SocialGraph) -> None:
    friend = _record(FRIEND, {"a": 3}, (FAR,))
    before = graph.view().trusted[FAR].score
    assert graph.set_successor(FAR, NEW) == {FAR}
    graph.drop(FAR)
    graph.set_record(friend)  # it names the old key
    graph.set_record(_record(NEW, {"d": 2}))
    view = graph.view()
    assert set(view.trusted) == {FRIEND, NEW}
    assert view.trusted[NEW].score == pytest.approx(before, rel=0.1)
    assert _items(view) == ["a", "d"]
    assert graph.set_successor(FAR, NEW) == frozenset()
    assert graph.set_successor(FAR, None) == {FAR}
    graph.set_record(friend)
    assert set(graph.view().trusted) == {FRIEND, FAR}


def test_my_own_vouch_and_block_go_along(graph: SocialGraph) -> None:
    graph.set_successor(FRIEND, NEW)
    graph.drop(FRIEND)
    graph.set_record(_record(NEW, {"a": 3}, (FAR,)))
    assert list(graph.view().trusted) == [NEW, FAR]
    said = [Opinion(FRIEND, 2, 0), Opinion(FAR, BLOCKED, 1)]
    graph.set_self([], said, "n")
    graph.set_successor(FAR, NEWER)
    assert set(graph.blocked) == {NEWER}
    assert graph.current(said) == [Opinion(NEW, 2, 0), Opinion(NEWER, BLOCKED, 1)]
    assert graph.current([*said, Opinion(NEWER, 3, 2)])[-1] == Opinion(NEWER, 3, 2)


def test_edges_that_become_one_count_once_and_none_leads_to_its_author(graph: SocialGraph) -> None:
    graph.set_successor(FAR, NEW)
    both = tuple(sorted((TrustEdge(FAR, 1), TrustEdge(NEW, 3))))
    graph.set_record(AdjacencyRecord(FRIEND, 2, 0, both, ()))
    graph.set_record(_record(NEW, {"d": 2}, (FAR,)))  # the new key vouches for its old self
    assert set(graph.view().trusted) == {FRIEND, NEW}
