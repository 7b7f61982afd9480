"""A graph loaded at once is the graph loaded author by author; bad arrays are refused by name."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import (
    AuthorEdges,
    ConfigError,
    EdgeError,
    GraphLimits,
    MeritRankConfig,
    SelfEdgeError,
    TooManyEdgesError,
    TrustGraph,
    WeightError,
    from_arrays,
    from_networkx,
    rank_peers,
    to_networkx,
)

EDGES = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1]), st.floats(0.01, 100)
)


def arrays(edges: dict) -> tuple[list, list, list]:
    return [a for a, _ in edges], [b for _, b in edges], list(edges.values())


@given(EDGES, st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 3)), st.floats(0.01, 100)))
def test_it_is_the_graph_of_single_replacements(trust: dict, likes: dict) -> None:
    peers, items = [f"p{n}" for n in range(6)], list("wxyz")
    loaded, single = from_arrays(peers, arrays(trust), items, arrays(likes)), TrustGraph()
    for peer in range(6):
        friends = {peers[b]: w for (a, b), w in trust.items() if a == peer}
        liked = {items[i]: w for (a, i), w in likes.items() if a == peer}
        if friends or liked:
            single.replace(peers[peer], AuthorEdges(friends, liked))
    left, right = loaded.snapshot(), single.snapshot()
    assert (left.peers, left.items) == (right.peers, right.items)
    for side in ("trust", "peer_items", "item_peers"):
        a, b = getattr(left, side), getattr(right, side)
        assert a.columns.tolist() == b.columns.tolist()
        assert a.shares.tolist() == pytest.approx(b.shares.tolist())
    assert set(loaded.authors) == set(single.authors)


def test_a_loaded_graph_can_be_edited_and_walked() -> None:
    graph = from_arrays(["e", "a", "b"], ([0, 1], [1, 2], [1.0, 1.0]))
    config = MeritRankConfig(beta=0.0)
    assert rank_peers(graph, "e", config).score_of("b") == pytest.approx(0.85**2, abs=0.02)
    graph.replace("a", AuthorEdges({"c": 1.0}, {}))
    graph.set_trust("e", "b", 1.0)
    ranking = rank_peers(graph, "e", config)
    assert ranking.score_of("b") == pytest.approx(0.425, abs=0.02)
    assert ranking.score_of("c") == pytest.approx(0.425 * 0.85, abs=0.02)


@pytest.mark.parametrize(
    ("peers", "edges", "error"),
    [
        (["a", "a"], ([0], [1], [1.0]), EdgeError),
        (["a", "b"], ([0], [0], [1.0]), SelfEdgeError),
        (["a", "b"], ([0], [2], [1.0]), EdgeError),
        (["a", "b"], ([-1], [0], [1.0]), EdgeError),
        (["a", "b"], ([0.0], [1.0], [1.0]), EdgeError),
        (["a", "b"], ([0, 1], [1], [1.0]), EdgeError),
        (["a", "b"], ([[0]], [[1]], [[1.0]]), EdgeError),
        (["a", "b"], ([0, 0], [1, 1], [1.0, 2.0]), EdgeError),
        (["a", "b"], ([0], [1], [0.0]), WeightError),
        (["a", "b"], ([0], [1], [-1.0]), WeightError),
        (["a", "b"], ([0], [1], [float("nan")]), WeightError),
        (["a", "b"], ([0], [1], [float("inf")]), WeightError),
        (["a", "b"], ([0], [1], ["x"]), WeightError),
        (["a", "b"], ([0], [1], [1j]), WeightError),
        (["a", "b"], ([0], [1], [None]), WeightError),
        (["a", "b"], ([0], [1], [10**400]), WeightError),
        (list(range(50)), ([0] * 40, list(range(1, 41)), [1.0] * 40), TooManyEdgesError),
        (list(range(50)), (list(range(40)), list(range(1, 41)), [1.0] * 40), TooManyEdgesError),
    ],
)
def test_bad_arrays_are_refused_by_name(peers, edges, error) -> None:
    with pytest.raises(error):
        from_arrays(peers, edges, limits=GraphLimits(authors=30))


def test_a_million_edges_of_one_author_are_refused() -> None:
    count = 1_000_001
    with pytest.raises(TooManyEdgesError, match="1000000"):
        from_arrays(range(count), (np.zeros(count - 1, int), np.arange(1, count), np.ones(count - 1)))
    with pytest.raises(TooManyEdgesError):
        TrustGraph().replace("a", AuthorEdges(dict.fromkeys(range(1_000_000), 1.0), {}))


@given(EDGES)
def test_networkx_there_and_back(edges: dict) -> None:
    network = nx.DiGraph()
    network.add_weighted_edges_from((a, b, w) for (a, b), w in edges.items())
    back = to_networkx(from_networkx(network))
    assert dict(back.edges) == dict(network.edges)
    assert set(back.nodes) == set(network.nodes)


def test_undirected_edges_count_both_ways_and_missing_weights_are_one() -> None:
    graph = from_networkx(nx.path_graph(3))
    assert dict(to_networkx(graph).edges) == {edge: {"weight": 1.0} for edge in ((0, 1), (1, 0), (1, 2), (2, 1))}


@pytest.mark.parametrize("make", [nx.MultiDiGraph, nx.MultiGraph])
def test_parallel_edges_are_refused(make) -> None:
    with pytest.raises(EdgeError, match="parallel"):
        from_networkx(make([(0, 1), (0, 1)]))


def test_bad_networks_are_refused_by_name() -> None:
    with pytest.raises(SelfEdgeError):
        from_networkx(nx.DiGraph([(0, 0)]))
    network = nx.DiGraph()
    network.add_edge(0, 1, weight=-1.0)
    with pytest.raises(WeightError):
        from_networkx(network)
    assert len(from_networkx(nx.DiGraph())) == 0


def test_without_networkx_the_export_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(ConfigError, match="pip install networkx"):
        to_networkx(TrustGraph())
