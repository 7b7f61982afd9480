from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import (
    AuthorEdges,
    ConfigError,
    GraphLimits,
    GraphSnapshot,
    SelfEdgeError,
    TooManyEdgesError,
    TrustGraph,
    WeightError,
)

KEYS = st.integers(0, 9)
LISTS = st.dictionaries(
    KEYS,
    st.tuples(
        st.dictionaries(KEYS, st.floats(0.001, 1e6), max_size=5),
        st.dictionaries(st.sampled_from("uvwxyz"), st.floats(0.001, 1e6), max_size=4),
    ),
    max_size=8,
)


def edges_of(trust: dict[Hashable, float], items: dict[Hashable, float] | None = None) -> AuthorEdges:
    return AuthorEdges(trust, items or {})


def shares(snap: GraphSnapshot, side: str) -> dict[Hashable, dict[Hashable, float]]:
    rows = getattr(snap, side)
    sources = snap.items if side == "item_peers" else snap.peers
    targets = snap.items if side == "peer_items" else snap.peers
    return {
        source: {targets[c]: s for c, s in zip(rows.row(i).tolist(), rows.row_shares(i).tolist(), strict=True)}
        for i, source in enumerate(sources)
    }


def same(left: GraphSnapshot, right: GraphSnapshot) -> bool:
    sides = ("trust", "peer_items", "item_peers")
    arrays = ("indptr", "columns", "shares", "cumulative")
    return (left.peers, left.items) == (right.peers, right.items) and all(
        np.array_equal(getattr(getattr(left, side), name), getattr(getattr(right, side), name))
        for side in sides
        for name in arrays
    )


@given(LISTS)
def test_snapshot_states_every_edge_normalised_per_author(lists) -> None:
    graph = TrustGraph()
    for author, (trust, items) in lists.items():
        graph.replace(author, edges_of({k: w for k, w in trust.items() if k != author}, items))
    snap = graph.snapshot()
    trust_shares, item_shares = shares(snap, "trust"), shares(snap, "peer_items")
    for author, (trust, items) in lists.items():
        trust = {k: w for k, w in trust.items() if k != author}
        assert trust_shares[author] == pytest.approx({k: w / sum(trust.values()) for k, w in trust.items()})
        assert item_shares[author] == pytest.approx({k: w / sum(items.values()) for k, w in items.items()})
    for item, holders in shares(snap, "item_peers").items():
        held = {peer: row[item] for peer, row in item_shares.items() if item in row}
        assert holders == pytest.approx({peer: share / sum(held.values()) for peer, share in held.items()})


@given(LISTS, st.randoms(use_true_random=False))
def test_snapshot_does_not_depend_on_the_order_of_arrival(lists, random) -> None:
    def build(authors: list[int], reverse: bool) -> GraphSnapshot:
        graph = TrustGraph()
        for author in authors:
            trust, items = lists[author]
            kept = [(k, w) for k, w in trust.items() if k != author]
            graph.replace(author, edges_of(dict(kept[::-1] if reverse else kept), items))
        return graph.snapshot()

    shuffled = list(lists)
    random.shuffle(shuffled)
    assert same(build(list(lists), False), build(shuffled, True))


def test_keys_of_several_types_get_a_fixed_order() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({1: 1.0, b"b": 1.0, (2, "x"): 1.0}))
    assert graph.snapshot().peers == (b"b", 1, "a", (2, "x"))


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1.0, 1e9, 1.7e307])
def test_only_ratios_of_weights_matter(scale: float) -> None:
    graph, plain = TrustGraph(), TrustGraph()
    graph.replace("a", edges_of({"b": scale, "c": 10 * scale}, {"x": scale}))
    graph.replace("b", edges_of({"a": 1.0}))
    plain.replace("a", edges_of({"b": 1.0, "c": 10.0}, {"x": 1.0}))
    plain.replace("b", edges_of({"a": 1.0}))
    scaled, unscaled = shares(graph.snapshot(), "trust"), shares(plain.snapshot(), "trust")
    assert scaled["a"] == pytest.approx(unscaled["a"])
    assert scaled["b"] == unscaled["b"] == {"a": 1.0}


def test_replace_replaces_the_whole_list() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0, "c": 1.0}, {"x": 1.0}))
    graph.replace("a", edges_of({"d": 2.0}, {"y": 1.0}))
    snap = graph.snapshot()
    assert snap.peers == ("a", "d")
    assert snap.items == ("y",)
    assert len(graph) == 1


@given(st.lists(LISTS, min_size=1, max_size=4), st.integers(3, 12), st.dictionaries(KEYS, st.integers(1, 9)))
def test_many_lists_at_once_are_those_lists_one_by_one(batches, authors, hits) -> None:
    one, many = (TrustGraph(GraphLimits(authors=authors)) for _ in range(2))
    for graph in (one, many):
        graph.set_hits(hits)
    for batch in batches:
        lists = {
            author: AuthorEdges({k: w for k, w in trust.items() if k != author}, items, dict.fromkeys(items, author))
            for author, (trust, items) in batch.items()
        }
        gone = [evicted for author, edges in lists.items() for evicted in one.replace(author, edges)]
        assert many.replace_many(lists) == tuple(gone)
        assert many.authors == one.authors
        assert (many.peers.keys, many.items.keys) == (one.peers.keys, one.items.keys)
        assert many.changes.since(0) == one.changes.since(0)
        for number in range(len(one.peers)):
            for mine, theirs in zip(many.trust_rows.row(number), one.trust_rows.row(number), strict=True):
                assert np.allclose(mine, theirs, rtol=0, atol=1e-12)
            for mine, theirs in zip(many.item_rows.row(number), one.item_rows.row(number), strict=True):
                assert mine.tolist() == theirs.tolist()


def test_one_bad_list_among_many_leaves_the_graph_as_it_was() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0}, {"x": 1.0}))
    before = graph.snapshot()
    for bad in (edges_of({"c": 1.0}), edges_of({str(i): 1.0 for i in range(33)})):
        with pytest.raises((SelfEdgeError, TooManyEdgesError)):
            graph.replace_many({"a": edges_of({"d": 1.0}), "c": bad})
        assert same(before, graph.snapshot())
        assert graph.authors == ("a",)


def test_an_empty_list_and_remove_both_withdraw_everything() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0}, {"x": 1.0}))
    graph.replace("a", edges_of({}))
    assert graph.snapshot().peers == ("a",)
    assert "a" in graph
    assert graph.remove("a") is True
    assert graph.remove("a") is False
    assert graph.snapshot().peers == ()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: edges_of({"b": float("nan")}), WeightError),
        (lambda: edges_of({"a": 1.0}), SelfEdgeError),
        (lambda: edges_of({str(i): 1.0 for i in range(33)}), TooManyEdgesError),
        (lambda: edges_of({}, {str(i): 1.0 for i in range(65)}), TooManyEdgesError),
    ],
)
def test_a_refused_list_leaves_the_graph_as_it_was(make, error) -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0}, {"x": 1.0}))
    graph.replace("b", edges_of({"a": 1.0}))
    before, order = graph.snapshot(), graph.authors
    with pytest.raises(error):
        graph.replace("a", make())
    assert same(before, graph.snapshot())
    assert graph.authors == order


def test_the_least_visited_author_is_evicted_then_the_oldest() -> None:
    graph = TrustGraph(GraphLimits(authors=3))
    for author in "abc":
        assert graph.replace(author, edges_of({})) == ()
    graph.set_hits({"a": 5, "b": 1, "c": 1, "d": 1})
    graph.replace("b", edges_of({}))  # b is now newer than c
    assert graph.replace("d", edges_of({})) == ("c",)
    assert graph.authors == ("a", "b", "d")


def test_a_crowd_of_unknown_authors_cannot_push_out_visited_ones() -> None:
    graph = TrustGraph(GraphLimits(authors=3), pinned=["ego"])
    for author in ("ego", "friend", "other"):
        graph.replace(author, edges_of({}))
    graph.set_hits({"friend": 900, "other": 4})
    for crowd in range(50):
        assert graph.replace(crowd, edges_of({"friend": 1.0})) == (crowd,)
    assert graph.authors == ("ego", "friend", "other")


def test_a_pinned_author_stays_even_when_walks_never_visit_it() -> None:
    graph = TrustGraph(GraphLimits(authors=2), pinned=["ego"])
    graph.replace("ego", edges_of({}))
    for author in range(20):
        graph.replace(author, edges_of({}))
    assert graph.authors == ("ego", 19)


@given(st.lists(st.tuples(KEYS, st.integers(0, 3)), max_size=40))
def test_the_store_never_exceeds_its_limit(arrivals) -> None:
    graph = TrustGraph(GraphLimits(authors=4), pinned=[0])
    for author, hits in arrivals:
        graph.set_hits({author: hits})
        before = set(graph.authors)
        gone = graph.replace(author, edges_of({}))
        assert len(graph) <= 4
        assert set(graph.authors) == (before | {author}) - set(gone)
        assert 0 not in gone


def test_limits_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ConfigError):
        GraphLimits(authors=0)
    with pytest.raises(ConfigError):
        TrustGraph(GraphLimits(authors=1), pinned=["ego"])


def test_snapshot_arrays_are_read_only() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0}))
    with pytest.raises(ValueError, match="read-only"):
        graph.snapshot().trust.shares[0] = 2.0


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (("nobody", "b", 1.0), KeyError),
        (("a", "a", 1.0), SelfEdgeError),
        (("a", "b", float("nan")), WeightError),
        (("a", "b", float("inf")), WeightError),
        (("a", "b", -1.0), WeightError),
        (("a", "new", 1.0), TooManyEdgesError),
    ],
)
def test_a_refused_edit_leaves_the_graph_as_it_was(edit, error) -> None:
    graph = TrustGraph(GraphLimits(trust_edges=2))
    graph.replace("a", edges_of({"b": 1.0, "c": 1.0}))
    before, position = graph.snapshot(), graph.changes.position
    with pytest.raises(error):
        graph.set_trust(*edit)
    assert same(before, graph.snapshot())
    assert graph.changes.position == position
    assert graph.peers.keys == ["a", "b", "c"]


def test_keys_that_collide_stay_apart() -> None:
    class Colliding:
        def __init__(self, name: str) -> None:
            self.name = name

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Colliding) and other.name == self.name

    a, b, c = (Colliding(name) for name in "abc")
    graph = TrustGraph()
    graph.replace(a, edges_of({b: 1.0}, {a: 1.0}))  # one key may name a peer and an item
    graph.replace(b, edges_of({c: 1.0}, {a: 1.0}))
    assert len(graph) == 2
    assert graph.peers.keys == [a, b, c]
    assert graph.items.keys == [a]


def test_a_list_that_changes_items_only_touches_no_walk() -> None:
    graph = TrustGraph()
    graph.replace("a", edges_of({"b": 1.0}, {"x": 1.0}))
    position = graph.changes.position
    graph.replace("a", edges_of({"b": 1.0}, {"y": 1.0}))
    assert graph.changes.position == position
    graph.replace("a", edges_of({"b": 2.0}, {"y": 1.0}))
    assert graph.changes.since(position) == [graph.peers.find("a")]


def test_a_list_stands_in_for_a_while() -> None:
    graph = TrustGraph()
    graph.replace("a", AuthorEdges({"z": 0.1, "m": 0.7, "b": 0.2}, {"v": 0.3, "u": 0.6}, {"u": 7}))
    graph.replace("b", edges_of({"a": 1.0}))
    before = [array.tolist() for rows in (graph.trust_rows, graph.item_rows) for array in rows.row(0)]
    position = graph.changes.position
    with graph.standing_in("a", edges_of({"b": 1.0}, {"w": 1.0})):
        assert graph.trust_rows.row(0)[0].tolist() == [graph.peers.find("b")]
        assert graph.item_rows.row(0)[0].tolist() == [graph.items.find("w")]
    assert [array.tolist() for rows in (graph.trust_rows, graph.item_rows) for array in rows.row(0)] == before
    assert 0 in (graph.changes.since(position) or [])
    with graph.standing_in("new", edges_of({"a": 1.0}, {"u": 1.0})):
        assert len(graph.trust_rows.row(graph.peers.find("new"))[0]) == 1
    assert "new" not in graph
    assert not len(graph.trust_rows.row(graph.peers.find("new"))[0])


def test_a_list_that_stands_in_is_checked_and_leaves_with_an_error() -> None:
    graph = TrustGraph(GraphLimits(trust_edges=2))
    graph.replace("a", edges_of({"b": 1.0}))
    with pytest.raises(SelfEdgeError), graph.standing_in("a", edges_of({"a": 1.0})):
        pass
    with pytest.raises(TooManyEdgesError), graph.standing_in("a", edges_of({"x": 1.0, "y": 1.0, "z": 1.0})):
        pass
    with pytest.raises(RuntimeError), graph.standing_in("a", edges_of({"c": 1.0})):
        raise RuntimeError
    assert shares(graph.snapshot(), "trust")["a"] == {"b": 1.0}
