from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import AuthorEdges, ConfigError, MeritRankConfig, PeerWalks, TrustGraph, rank_peers

WALKS = 4_000
RAW = MeritRankConfig(beta=0.0, walks=WALKS, min_hits=1, max_length=500)
NODE = st.integers(0, 7)


@st.composite
def graphs(draw):
    rows = draw(st.dictionaries(NODE, st.dictionaries(NODE, st.integers(1, 9), min_size=1, max_size=4), min_size=1))
    trust = {a: {b: float(w) for b, w in row.items() if b != a} for a, row in rows.items()}
    return {0: {1: 1.0, 2: 2.0}} | trust


@settings(derandomize=True, max_examples=60, deadline=None)
@given(trust=graphs(), alpha=st.sampled_from([0.1, 0.15, 0.3, 0.5]), seed=st.integers(0, 2**32))
def test_unit_hits_agree_with_the_dense_inverse(exact, trust, alpha: float, seed: int) -> None:
    config = dataclasses.replace(RAW, alpha=alpha)
    ranking = rank_peers(exact.graph(trust), 0, config, seed)
    for node, share in exact.hits(trust, 0, alpha).items():
        assert ranking.score_of(node) == pytest.approx(share, abs=exact.noise(share, WALKS))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), alpha=st.sampled_from([0.15, 0.3]), seed=st.integers(0, 2**32))
def test_bottlenecks_agree_with_exact_co_visits(exact, trust, alpha: float, seed: int) -> None:
    config = dataclasses.replace(RAW, alpha=alpha, beta=0.8, prior_hits=0.0, min_hits=50)
    ranking = rank_peers(exact.graph(trust), 0, config, seed)
    for scored in ranking.scores:
        share = 0.0 if scored.direct else exact.bottleneck(trust, 0, scored.peer, alpha)
        assert scored.bottleneck == pytest.approx(share, abs=exact.noise(share, scored.hits) + 0.03)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), seed=st.integers(0, 2**32))
def test_hits_bottleneck_and_via_are_those_of_a_naive_recount(exact, trust, seed: int) -> None:
    config = MeritRankConfig(walks=300, min_hits=2, prior_hits=7.0, prior_share=0.25)
    graph = exact.graph(trust)
    kept = PeerWalks(graph, 0, config, seed)
    ranking = kept.ranking()
    direct = set(trust[0])
    hits: dict = {}
    together: dict = {}
    via: dict = {}
    steps: dict = {}
    stored = kept._stored.walks
    for begin, end in pairwise(stored.bounds.tolist()):
        walk = stored.cells[begin:end].tolist()
        met: list = []
        friend = None
        for step, node in enumerate((graph.peers.keys[number] for number in walk if number >= 0), start=1):
            friend = node if node in direct else friend
            if node == 0 or node in met:
                continue
            hits[node] = hits.get(node, 0) + 1
            via.setdefault(node, []).append(friend)
            steps.setdefault(node, []).append(step)
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
        found = ranking.via_of(scored.peer)
        assert dict(found) == pytest.approx({f: came.count(f) / n for f in set(came)})
        assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)
        assert ranking.steps_to(scored.peer) == pytest.approx(sum(steps[scored.peer]) / n)
    assert [s.score for s in ranking.scores] == sorted((s.score for s in ranking.scores), reverse=True)


@pytest.mark.parametrize(
    ("trust", "ego"),
    [({}, "e"), ({"a": {"b": 1.0}}, "e"), ({"e": {}, "a": {"e": 1.0}}, "e"), ({"a": {"e": 1.0}}, "e")],
    ids=["empty graph", "unknown ego", "ego without edges", "ego only mentioned"],
)
def test_an_ego_that_trusts_nobody_gets_an_empty_ranking(exact, trust, ego) -> None:
    ranking = rank_peers(exact.graph(trust), ego, MeritRankConfig(), 0)
    assert ranking.scores == ()
    assert len(ranking) == 0
    assert ranking.hits() == {}
    assert ranking.score_of("a") == 0.0
    assert ranking.via_of("a") == ()


def test_hand_computed_line_of_friends(exact) -> None:
    trust = {"e": {"a": 3.0, "b": 1.0}, "a": {"c": 1.0}}
    ranking = rank_peers(exact.graph(trust), "e", dataclasses.replace(RAW, walks=200_000), 4)
    assert ranking.score_of("a") == pytest.approx(0.85 * 0.75, abs=0.006)
    assert ranking.score_of("b") == pytest.approx(0.85 * 0.25, abs=0.006)
    assert ranking.score_of("c") == pytest.approx(0.85**2 * 0.75, abs=0.006)
    assert ranking.via_of("c") == (("a", 1.0),)
    assert ranking.top(1)[0].peer == "a"


def test_an_unreachable_component_changes_nothing(exact) -> None:
    near = {1: {2: 1.0, 3: 1.0}, 2: {4: 1.0}, 3: {4: 1.0}}
    far = {100 + i: {100 + (i + 1) % 500: 1.0, 1: 1.0} for i in range(500)}
    alone = rank_peers(exact.graph(near), 1, MeritRankConfig(), 2)
    crowded = rank_peers(exact.graph(near | far), 1, MeritRankConfig(), 2)
    assert alone.scores == crowded.scores


def test_a_graph_of_many_unreachable_peers_gives_the_same_ranking(exact) -> None:
    near = {1: {2: 1.0, 3: 1.0}, 2: {4: 1.0}, 3: {4: 1.0, 5: 1.0}, 4: {5: 1.0}}
    far = {100 + i: {1000 + 200 * i + j: 1.0 for j in range(200)} for i in range(350)}
    crowd = exact.graph(near | far)
    assert len(crowd.peers) > 2**16
    alone = rank_peers(exact.graph(near), 1, MeritRankConfig(), 2)
    assert alone.scores == rank_peers(crowd, 1, MeritRankConfig(), 2).scores


def test_renaming_everybody_changes_no_rank(exact) -> None:
    trust = {i: {(i * 7 + j) % 40: float(1 + j) for j in range(1, 6) if (i * 7 + j) % 40 != i} for i in range(40)}
    names = {i: f"{(i * 17) % 40:02d}" for i in range(40)}
    renamed = {names[a]: {names[b]: w for b, w in row.items()} for a, row in trust.items()}
    first = rank_peers(exact.graph(trust), 0, MeritRankConfig(), 9)
    again = rank_peers(exact.graph(renamed), names[0], MeritRankConfig(), 9)
    assert [dataclasses.replace(s, peer=names[s.peer]) for s in first.scores] == list(again.scores)


def test_ego_scaling_changes_nothing(exact) -> None:
    trust = {"e": {"a": 1.0, "b": 2.0}, "a": {"c": 1.0}, "b": {"c": 1.0, "a": 3.0}}
    scaled = trust | {"e": {"a": 1024.0, "b": 2048.0}}
    left = rank_peers(exact.graph(trust), "e", MeritRankConfig(), 5)
    right = rank_peers(exact.graph(scaled), "e", MeritRankConfig(), 5)
    assert left.scores == right.scores


def test_a_blocked_peer_and_those_behind_it_score_nothing(exact) -> None:
    trust = {"e": {"a": 1.0, "bad": 9.0}, "a": {"bad": 1.0, "c": 1.0}, "bad": {"crony": 1.0}}
    graph = exact.graph(trust)
    before = rank_peers(graph, "e", RAW, 1)
    after = rank_peers(graph, "e", RAW, 1, blocked={"bad", "nobody knows", "e"})
    assert before.score_of("crony") > 0.4
    assert after.score_of("bad") == after.score_of("crony") == 0.0
    # Every walk over "a" goes on to "bad" or "c": of those that go on, half count.
    shares = {"a": 0.1 * 0.85 * (1 - 0.85 / 2), "c": 0.1 * 0.85 * 0.85 / 2}
    for peer, share in shares.items():
        assert after.score_of(peer) == pytest.approx(share, abs=exact.noise(share, WALKS))
    assert len(rank_peers(graph, "e", RAW, 1, blocked={"a", "bad"})) == 0


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), blocked=st.sets(NODE, max_size=3), seed=st.integers(0, 2**32))
def test_who_leads_to_a_blocked_peer_loses_those_walks(exact, trust, blocked, seed: int) -> None:
    blocked = blocked - {0}
    dead_ends = {author: {} if author in blocked else row for author, row in trust.items()}
    ranking = rank_peers(exact.graph(trust), 0, RAW, seed, blocked=blocked)
    for node, share in exact.hits(dead_ends, 0, 0.15).items():
        good = 0.0 if node in blocked else share - exact.then(dead_ends, 0, node, blocked, 0.15)
        assert ranking.score_of(node) == pytest.approx(good, abs=exact.noise(good, WALKS))


def test_blocking_and_taking_back_repairs_the_walks_in_place(exact) -> None:
    trust = {"e": {"a": 1.0, "bad": 1.0}, "a": {"c": 1.0}, "bad": {"crony": 1.0}}
    walks = PeerWalks(exact.graph(trust), "e", RAW, 3)
    assert walks.ranking().score_of("crony") > 0.3
    walks.block({"bad"})
    assert walks.ranking().score_of("crony") == 0.0
    walks.block(frozenset())
    share = exact.hits(trust, "e", 0.15)["crony"]
    assert walks.ranking().score_of("crony") == pytest.approx(share, abs=exact.noise(share, WALKS))


def test_peers_below_the_minimum_of_hits_are_not_ranked_but_counted(exact) -> None:
    trust = {"e": {"a": 1e6, "rare": 1.0}}
    config = dataclasses.replace(RAW, walks=10_000, min_hits=500)
    ranking = rank_peers(exact.graph(trust), "e", config, 11)
    many = rank_peers(exact.graph({"e": {"a": 30.0, "rare": 1.0}}), "e", config, 11)
    assert [scored.peer for scored in ranking.scores] == ["a"]
    assert many.score_of("rare") == 0.0
    assert 0 < many.hits()["rare"] < 500


def test_scores_carry_over_to_a_graph_with_other_numbers() -> None:
    graph, later = TrustGraph(), TrustGraph()
    graph.replace("e", AuthorEdges({"m": 1.0, "z": 1.0}, {}))
    ranking = rank_peers(graph, "e", RAW, 1)
    later.replace("a", AuthorEdges({"m": 1.0}, {}))
    assert later.peers.keys == ["a", "m"]
    assert [column.tolist() for column in ranking.scores_in(later)] == [[1], [ranking.score_of("m")]]
    both = [ranking.score_of("m"), ranking.score_of("z")]
    assert [column.tolist() for column in ranking.scores_in(graph)] == [[1, 2], both]


def test_what_only_one_of_the_top_friends_reaches_is_worth_nothing_if_friends_must_agree(exact) -> None:
    trust = {
        "e": {"f": 2.0, "g": 1.0, "h": 1.0},
        "f": {"known": 1.0, "mallory": 1.0, "e": 1.0},
        "g": {"known": 1.0, "e": 3.0},
        "mallory": {f"s{n}": 1.0 for n in range(5)},
    }
    graph = exact.graph(trust)
    plain = rank_peers(graph, "e", RAW, 1)
    agreed = rank_peers(graph, "e", dataclasses.replace(RAW, agreeing_friends=2), 1)
    sybils = ["mallory", *trust["mallory"]]
    assert all(plain.score_of(peer) > 0.0 for peer in sybils)
    assert all(agreed.score_of(peer) == 0.0 for peer in sybils)
    # g passes a quarter of its walks on to "known", f a third; before returning to e nothing else counts.
    assert agreed.score_of("known") == pytest.approx(0.85 / 4, abs=0.04)
    assert agreed.score_of("f") == plain.score_of("f")


@settings(derandomize=True, max_examples=40, deadline=None)
@given(trust=graphs(), seed=st.integers(0, 2**32), count=st.integers(1, 9), beta=st.sampled_from([0.0, 0.8, 1.0]))
def test_the_top_is_the_top_of_the_ranking(exact, trust, seed: int, count: int, beta: float) -> None:
    config = MeritRankConfig(walks=500, beta=beta, min_hits=1)
    graph = exact.graph(trust)
    alone, after = PeerWalks(graph, 0, config, seed), PeerWalks(graph, 0, config, seed)
    assert alone.top(count) == after.ranking().top(count) == after.top(count)


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
        {"agreeing_friends": -1},
        {"walks": 10.5},
        {"min_hits": "3"},
    ],
)
def test_settings_out_of_range_are_refused(values) -> None:
    with pytest.raises(ConfigError):
        MeritRankConfig(**values)


@pytest.mark.parametrize("accelerate", [False, True])
def test_walks_for_one_ranking_are_those_that_are_kept_and_notice_a_change(accelerate: bool) -> None:
    graph = TrustGraph()
    graph.replace("e", AuthorEdges({"m": 1.0, "z": 2.0}, {}))
    graph.replace("m", AuthorEdges({"far": 1.0, "z": 1.0}, {}))
    kept, once = (PeerWalks(graph, "e", RAW, 1, accelerate=accelerate, once=once) for once in (False, True))
    assert once.ranking().scores == kept.ranking().scores == rank_peers(graph, "e", RAW, 1).scores
    graph.replace("z", AuthorEdges({"new": 1.0}, {}))
    assert once.ranking().score_of("new") > 0.0
    once.block({"z"})
    assert (once.ranking().score_of("z"), once.ranking().score_of("new")) == (0.0, 0.0)
