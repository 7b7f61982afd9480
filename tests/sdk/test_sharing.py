"""What a sharing policy lets out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Action
from p2p import AdjacencyRecord, PeerId, item_key
from sdk.sharing import SharingPolicy, item_opinions, shared_items, shared_vouches
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
