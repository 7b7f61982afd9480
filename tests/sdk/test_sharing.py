"""What a sharing policy lets out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Action
from p2p import AdjacencyRecord, PeerId, item_key
from sdk.item_opinion import ItemOpinion, actions_of, state_of
from sdk.sharing import SharingPolicy, shared_vouches
from sdk.sharing import shared_items as shared_of_opinions
from sdk.store import BLOCKED, Opinion, StoredEvent

ME = PeerId(bytes(32))
events = st.lists(
    st.builds(
        StoredEvent,
        st.sampled_from([f"i{n}" for n in range(90)]),
        st.sampled_from([int(a) for a in Action if a is not Action.PAD]),
        st.integers(0, 2_000_000_000),
    ),
    max_size=150,
).map(lambda rows: sorted(rows, key=lambda event: event.at))
opinions = st.lists(
    st.builds(
        Opinion, st.binary(min_size=32, max_size=32).filter(any), st.sampled_from([BLOCKED, 1, 2, 3]), st.just(0)
    ),
    max_size=50,
    unique_by=lambda opinion: opinion.peer,
)


def item_opinions(history: list[StoredEvent]) -> list[ItemOpinion]:
    """What the store makes of a history in time order."""
    said = {event.item: [(e.action, e.at) for e in history if e.item == event.item] for event in history}
    states = {item: state_of(events_) for item, events_ in said.items()}
    found = [ItemOpinion(item, s.level, s.day, actions_of(s.actions)) for item, s in states.items() if s.level]
    return sorted(found, key=lambda o: (-o.level, -o.day, o.item))


def shared_items(policy: SharingPolicy, history: list[StoredEvent], namespace: str):
    return shared_of_opinions(policy, item_opinions(history), namespace)


@given(st.sampled_from(SharingPolicy), events, opinions)
def test_whatever_is_shared_makes_a_valid_record(policy, history, said) -> None:
    record = AdjacencyRecord(ME, 1, 0, shared_vouches(policy, said), shared_items(policy, history, "n"))
    if policy is SharingPolicy.PRIVATE:
        assert record.is_tombstone
    if policy is not SharingPolicy.NETWORK:
        assert record.trust == ()
    blocked = {opinion.peer for opinion in said if opinion.level == BLOCKED}
    assert not blocked & {edge.peer for edge in record.trust}


def test_views_are_not_shared_and_a_dislike_takes_back() -> None:
    history = [StoredEvent("seen", Action.VIEW, 0), StoredEvent("good", Action.LIKE, 86_400)]
    (edge,) = shared_items(SharingPolicy.ITEMS, history, "n")
    assert (edge.key, edge.level, edge.day) == (item_key("n", "good"), 2, 1)
    history.append(StoredEvent("good", Action.DISLIKE, 90_000))
    assert shared_items(SharingPolicy.ITEMS, history, "n") == ()


def test_repeated_liking_raises_the_level_to_three_at_most() -> None:
    history = [StoredEvent("a", Action.LIKE, n) for n in range(5)]
    assert [opinion.level for opinion in item_opinions(history)] == [3]


def test_the_strongest_then_the_latest_fill_the_limit() -> None:
    history = [StoredEvent(f"i{n}", Action.LIKE, n * 86_400) for n in range(100)]
    history.append(StoredEvent("bought", Action.BUY, 0))
    edges = shared_items(SharingPolicy.ITEMS, sorted(history, key=lambda e: e.at), "n")
    assert len(edges) == 64
    assert item_key("n", "bought") in {edge.key for edge in edges}
    assert {edge.day for edge in edges} - {0} == set(range(37, 100))


def test_each_policy_lets_out_what_it_says() -> None:
    history, said = [StoredEvent("a", Action.BUY, 0)], [Opinion(b"p" * 32, 3, 0)]
    counts = {p: (len(shared_items(p, history, "n")), len(shared_vouches(p, said))) for p in SharingPolicy}
    assert counts == {SharingPolicy.PRIVATE: (0, 0), SharingPolicy.ITEMS: (1, 0), SharingPolicy.NETWORK: (1, 1)}


def test_every_action_has_its_level_and_no_view_goes_out_alone() -> None:
    levels = {action: item_opinions([StoredEvent("a", action, 0)]) for action in Action if action is not Action.PAD}
    found = {action: [o.level for o in opinions_] for action, opinions_ in levels.items()}
    assert found == {
        Action.VIEW: [1],
        Action.LIKE: [2],
        Action.SAVE: [2],
        Action.BUY: [3],
        Action.DISLIKE: [],
        Action.SKIP: [],
    }


def test_liking_again_after_a_skip_starts_anew() -> None:
    history = [StoredEvent("a", action, 0) for action in (Action.BUY, Action.SKIP, Action.LIKE)]
    assert [o.level for o in item_opinions(history)] == [2]


def test_the_strongest_then_the_latest_vouches_fill_the_limit() -> None:
    said = [Opinion(bytes([n]) * 32, 1, n) for n in range(1, 41)]
    said += [Opinion(b"s" * 32, 3, 0), Opinion(b"x" * 32, BLOCKED, 99)]
    edges = shared_vouches(SharingPolicy.NETWORK, said)
    assert len(edges) == 32
    assert [edge.peer for edge in edges] == sorted(edge.peer for edge in edges)
    assert {edge.peer[0] for edge in edges} == {ord("s"), *range(10, 41)}
