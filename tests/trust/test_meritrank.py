from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import AuthorEdges, ConfigError, MeritRankConfig, TrustGraph, rank_peers
from trust.walks import walk_nodes

WALKS = 4_000
RAW = MeritRankConfig(beta=0.0, walks=WALKS, min_hits=1, max_length=500)
NODE = st.integers(0, 7)


@st.composite
def graphs(draw):
    rows = draw(st.dictionaries(NODE, st.dictionaries(NODE, st.integers(1, 9), min_size=1, max_size=4), min_size=1))
    trust = {a: {b: float(w) for b, w in row.items() if b != a} for a, row in rows.items()}
    return {0: {1: 1.0, 2: 2.0}} | trust


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(trust=graphs(), alpha=st.sampled_from([0.1, 0.15, 0.3, 0.5]), seed=st.integers(0, 2**32))
def test_unit_hits_agree_with_the_dense_inverse(exact, trust, alpha: float, seed: int) -> None:
    config = dataclasses.replace(RAW, alpha=alpha)
    ranking = rank_peers(exact.snapshot(trust), 0, config, rng(seed))
    for node, share in exact.hits(trust, 0, alpha).items():
        assert ranking.score_of(node) == pytest.approx(share, abs=exact.noise(share, WALKS))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), alpha=st.sampled_from([0.15, 0.3]), seed=st.integers(0, 2**32))
def test_bottlenecks_agree_with_exact_co_visits(exact, trust, alpha: float, seed: int) -> None:
    config = dataclasses.replace(RAW, alpha=alpha, beta=0.8, prior_hits=0.0, min_hits=50)
    ranking = rank_peers(exact.snapshot(trust), 0, config, rng(seed))
    for scored in ranking.scores:
        share = 0.0 if scored.direct else exact.bottleneck(trust, 0, scored.peer, alpha)
        assert scored.bottleneck == pytest.approx(share, abs=exact.noise(share, scored.hits) + 0.03)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), seed=st.integers(0, 2**32))
def test_hits_bottleneck_and_via_are_those_of_a_naive_recount(exact, trust, seed: int) -> None:
    config = MeritRankConfig(walks=300, min_hits=2, prior_hits=7.0, prior_share=0.25)
    snap = exact.snapshot(trust)
    ranking = rank_peers(snap, 0, config, rng(seed))
    direct = set(trust[0])
    hits: dict = {}
    together: dict = {}
    via: dict = {}
    start = snap.peer_index[0]
    for walk in walk_nodes(snap.trust, start, 300, 0.15, 64, rng(seed)).tolist():
        met: list = []
        friend = None
        for node in (snap.peers[index] for index in walk if index >= 0):
            friend = node if node in direct else friend
            if node == 0 or node in met:
                continue
            hits[node] = hits.get(node, 0) + 1
            via.setdefault(node, []).append(friend)
            for x in met:
                together[node, x] = together.get((node, x), 0) + 1
            met.append(node)
    assert ranking.hits() == hits
    assert {scored.peer for scored in ranking.scores} == {node for node, n in hits.items() if n >= 2}
    for scored in ranking.scores:
        n = hits[scored.peer]
        shared = max((c for (v, _), c in together.items() if v == scored.peer), default=0)
        bottleneck = 0.0 if scored.peer in direct else (shared + 7.0 * 0.25) / (n + 7.0)
        assert scored.hits == n
        assert scored.direct == (scored.peer in direct)
        assert scored.bottleneck == pytest.approx(bottleneck)
        assert scored.score == pytest.approx(n / 300 * (1 - 0.8 * bottleneck))
        came = via[scored.peer]
        assert dict(scored.via) == pytest.approx({f: came.count(f) / n for f in set(came)})
        assert [s for _, s in scored.via] == sorted((s for _, s in scored.via), reverse=True)
    assert [s.score for s in ranking.scores] == sorted((s.score for s in ranking.scores), reverse=True)


@pytest.mark.parametrize(
    ("trust", "ego"),
    [({}, "e"), ({"a": {"b": 1.0}}, "e"), ({"e": {}, "a": {"e": 1.0}}, "e"), ({"a": {"e": 1.0}}, "e")],
    ids=["empty graph", "unknown ego", "ego without edges", "ego only mentioned"],
)
def test_an_ego_that_trusts_nobody_gets_an_empty_ranking(exact, trust, ego) -> None:
    ranking = rank_peers(exact.snapshot(trust), ego, MeritRankConfig(), rng())
    assert ranking.scores == ()
    assert len(ranking) == 0
    assert ranking.hits() == {}
    assert ranking.score_of("a") == 0.0
    assert ranking.via_of("a") == ()


def test_hand_computed_line_of_friends(exact) -> None:
    trust = {"e": {"a": 3.0, "b": 1.0}, "a": {"c": 1.0}}
    ranking = rank_peers(exact.snapshot(trust), "e", dataclasses.replace(RAW, walks=200_000), rng(4))
    assert ranking.score_of("a") == pytest.approx(0.85 * 0.75, abs=0.006)
    assert ranking.score_of("b") == pytest.approx(0.85 * 0.25, abs=0.006)
    assert ranking.score_of("c") == pytest.approx(0.85**2 * 0.75, abs=0.006)
    assert ranking.via_of("c") == (("a", 1.0),)
    assert ranking.top(1)[0].peer == "a"


def test_an_unreachable_component_changes_nothing(exact) -> None:
    near = {1: {2: 1.0, 3: 1.0}, 2: {4: 1.0}, 3: {4: 1.0}}
    far = {100 + i: {100 + (i + 1) % 500: 1.0, 1: 1.0} for i in range(500)}
    alone = rank_peers(exact.snapshot(near), 1, MeritRankConfig(), rng(2))
    crowded = rank_peers(exact.snapshot(near | far), 1, MeritRankConfig(), rng(2))
    assert alone.scores == crowded.scores


def test_a_graph_of_many_unreachable_peers_gives_the_same_ranking(exact) -> None:
    near = {1: {2: 1.0, 3: 1.0}, 2: {4: 1.0}, 3: {4: 1.0, 5: 1.0}, 4: {5: 1.0}}
    far = {100 + i: {1000 + 200 * i + j: 1.0 for j in range(200)} for i in range(350)}
    crowd = exact.snapshot(near | far)
    assert len(crowd.peers) > 2**16
    alone = rank_peers(exact.snapshot(near), 1, MeritRankConfig(), rng(2))
    assert alone.scores == rank_peers(crowd, 1, MeritRankConfig(), rng(2)).scores


def test_the_same_state_gives_the_same_ranking_whatever_the_order_of_arrival(exact) -> None:
    trust = {i: {(i * 7 + j) % 40: float(1 + j) for j in range(1, 6) if (i * 7 + j) % 40 != i} for i in range(40)}
    backwards = {a: dict(reversed(row.items())) for a, row in reversed(trust.items())}
    first = rank_peers(exact.snapshot(trust), 0, MeritRankConfig(), rng(9))
    again = rank_peers(exact.snapshot(backwards), 0, MeritRankConfig(), rng(9))
    assert first.scores == again.scores


def test_ego_scaling_changes_nothing(exact) -> None:
    trust = {"e": {"a": 1.0, "b": 2.0}, "a": {"c": 1.0}, "b": {"c": 1.0, "a": 3.0}}
    scaled = trust | {"e": {"a": 1024.0, "b": 2048.0}}
    left = rank_peers(exact.snapshot(trust), "e", MeritRankConfig(), rng(5))
    right = rank_peers(exact.snapshot(scaled), "e", MeritRankConfig(), rng(5))
    assert left.scores == right.scores


def test_a_blocked_peer_and_those_behind_it_score_nothing(exact) -> None:
    trust = {"e": {"a": 1.0, "bad": 9.0}, "a": {"bad": 1.0, "c": 1.0}, "bad": {"crony": 1.0}}
    snap = exact.snapshot(trust)
    before = rank_peers(snap, "e", RAW, rng(1))
    after = rank_peers(snap, "e", RAW, rng(1), blocked={"bad", "nobody knows", "e"})
    assert before.score_of("crony") > 0.4
    assert after.score_of("bad") == after.score_of("crony") == 0.0
    cut = exact.hits({"e": {"a": 1.0}, "a": {"c": 1.0}}, "e", 0.15)
    for peer, share in cut.items():
        assert after.score_of(peer) == pytest.approx(share, abs=exact.noise(share, WALKS))
    assert len(rank_peers(snap, "e", RAW, rng(1), blocked={"a", "bad"})) == 0


def test_peers_below_the_minimum_of_hits_are_not_ranked_but_counted(exact) -> None:
    trust = {"e": {"a": 1e6, "rare": 1.0}}
    config = dataclasses.replace(RAW, walks=10_000, min_hits=500)
    ranking = rank_peers(exact.snapshot(trust), "e", config, rng(11))
    many = rank_peers(exact.snapshot({"e": {"a": 30.0, "rare": 1.0}}), "e", config, rng(11))
    assert [scored.peer for scored in ranking.scores] == ["a"]
    assert many.score_of("rare") == 0.0
    assert 0 < many.hits()["rare"] < 500


def test_scores_carry_over_to_a_later_snapshot() -> None:
    graph = TrustGraph()
    graph.replace("e", AuthorEdges({"m": 1.0, "z": 1.0}, {}))
    early = graph.snapshot()
    ranking = rank_peers(early, "e", RAW, rng(1))
    graph.replace("e", AuthorEdges({"a": 1.0, "m": 1.0}, {}))
    later = graph.snapshot()
    scores = ranking.scores_in(later)
    assert later.peers == ("a", "e", "m")
    assert scores.tolist() == [0.0, 0.0, ranking.score_of("m")]


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"alpha": float("nan")},
        {"beta": 1.1},
        {"prior_share": -0.1},
        {"prior_hits": float("inf")},
        {"prior_hits": -1.0},
        {"walks": 0},
        {"walks": 10**7},
        {"max_length": 1},
        {"min_hits": 0},
    ],
)
def test_settings_out_of_range_are_refused(values) -> None:
    with pytest.raises(ConfigError):
        MeritRankConfig(**values)
