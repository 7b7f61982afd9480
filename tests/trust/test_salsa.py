from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import AuthorEdges, ConfigError, MeritRankConfig, SalsaConfig, TrustGraph, rank_items, rank_peers

WALKS = 4_000
RAW = SalsaConfig(walks=WALKS, min_support=1, max_hops=500, beta=0.0)
PEERS = MeritRankConfig(walks=2_000, min_hits=1)
NODE = st.integers(0, 6)
ITEM = st.sampled_from("uvwxyz")


@st.composite
def worlds(draw):
    weight = st.integers(1, 9).map(float)
    rows = draw(st.dictionaries(NODE, st.dictionaries(NODE, weight, min_size=1, max_size=3), min_size=1))
    trust = {0: {1: 1.0, 2: 2.0}} | {a: {b: w for b, w in row.items() if b != a} for a, row in rows.items()}
    items = draw(st.dictionaries(NODE, st.dictionaries(ITEM, weight, min_size=1, max_size=4), min_size=1))
    return trust, items


def start_mixture(items, ego, first) -> dict:
    own = len(items.get(ego, {}))
    total = sum(first.values())
    starts = {peer: (5 / (own + 5)) * weight / total for peer, weight in first.items()} if total else {}
    return {peer: share for peer, share in (starts | {ego: own / (own + 5)}).items() if peer in items}


@pytest.mark.parametrize("trust_weighted", [True, False])
@settings(derandomize=True, max_examples=60, deadline=None)
@given(world=worlds(), alpha=st.sampled_from([0.1, 0.15, 0.4]), seed=st.integers(0, 2**32))
def test_item_scores_agree_with_the_markov_chain(exact, trust_weighted: bool, world, alpha: float, seed: int) -> None:
    trust, items = world
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, 0, PEERS, seed)
    config = dataclasses.replace(RAW, alpha=alpha, trust_weighted=trust_weighted)
    ranking = rank_items(graph, 0, peers, config, seed + 1)
    if trust_weighted:
        first = entry = {scored.peer: scored.score for scored in peers.scores}
    else:
        first, entry = trust[0], {peer: 1.0 for peer in items if peer != 0}
    starts = start_mixture(items, 0, first)
    expected = exact.item_hits(items, starts, entry, alpha)
    for item, share in expected.items():
        assert ranking.score_of(item) == pytest.approx(share, abs=exact.noise(share, WALKS))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_every_item_names_trusted_supporters_and_the_friends_they_came_through(exact, world, seed) -> None:
    trust, items = world
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, 0, PEERS, seed)
    ranking = rank_items(graph, 0, peers, RAW, seed)
    for scored in ranking.scores:
        assert scored.n_supporters == len(scored.supporters)
        shares = [share for _, share in scored.supporters]
        assert shares == sorted(shares, reverse=True)
        for peer, _ in scored.supporters:
            assert peer != 0
            assert scored.item in items[peer]
            assert peers.score_of(peer) > 0.0
        assert {friend for friend, _ in scored.friends} <= set(trust[0])
        if scored.supporters:
            assert sum(shares) == pytest.approx(1.0)
            assert sum(share for _, share in scored.friends) == pytest.approx(1.0)
        else:
            assert scored.item in items[0]  # only the ego's own start led there
    assert [s.score for s in ranking.scores] == sorted((s.score for s in ranking.scores), reverse=True)
    assert ranking.top(2) == ranking.scores[:2]


def test_supporters_and_friends_of_a_small_world(exact) -> None:
    trust = {"e": {"anna": 1.0, "bert": 1.0}, "anna": {"carl": 1.0}}
    items = {"anna": {"x": 1.0}, "bert": {"y": 1.0}, "carl": {"x": 1.0}}
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, "e", MeritRankConfig(beta=0.0), 0)
    ranking = rank_items(graph, "e", peers, SalsaConfig(beta=0.0), 0)
    x, y = sorted(ranking.scores, key=lambda scored: str(scored.item))
    assert [peer for peer, _ in x.supporters] == ["anna", "carl"]
    assert x.supporters[0][1] == pytest.approx(1 / 1.85, abs=0.03)
    assert x.friends == (("anna", pytest.approx(1.0)),)
    assert (y.supporters, y.friends) == ((("bert", 1.0),), (("bert", 1.0),))
    assert x.score + y.score == pytest.approx(1.0)


@pytest.mark.parametrize("trust_weighted", [True, False])
def test_the_ego_is_a_start_only(exact, trust_weighted: bool) -> None:
    # The ego alone holds "secret"; could a walk enter the ego from "shared", it would get there often.
    trust = {"e": {"a": 1.0}, "a": {"e": 1.0}}
    items = {"e": {"shared": 9.0, "secret": 1.0}, "a": {"shared": 1.0}}
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, "e", PEERS, 0)
    config = dataclasses.replace(RAW, trust_weighted=trust_weighted)
    ranking = rank_items(graph, "e", peers, config, 0)
    share = 2 / 7 * 0.1
    assert ranking.score_of("secret") == pytest.approx(share, abs=exact.noise(share, WALKS))


def test_a_peer_without_trust_cannot_be_entered(exact) -> None:
    trust = {"e": {"a": 1.0}, "stranger": {"e": 1.0, "a": 1.0}}
    items = {"e": {"hit": 1.0}, "a": {"hit": 1.0, "x": 1.0}, "stranger": {"hit": 9.0, "spam": 1.0}}
    graph = exact.graph(trust, items)
    ranking = rank_items(graph, "e", rank_peers(graph, "e", PEERS, 0), RAW, 0)
    assert ranking.score_of("x") > 0.1
    assert ranking.score_of("spam") == 0.0


def test_a_newcomer_with_four_events_and_one_friend_gets_good_items(exact) -> None:
    crowd = {("p", i): {("p", (i + j) % 20): 1.0 for j in (1, 2, 3)} for i in range(20)}
    trust = crowd | {"new": {("p", 0): 1.0}}
    # Even peers like a, b, c … with the newcomer's own four events; odd peers like another taste as much.
    mine = {("even", n): 1.0 for n in range(4)}
    taste = {("p", i): {("even" if i % 2 == 0 else "odd", n): 1.0 for n in range(i % 5, i % 5 + 8)} for i in range(20)}
    graph = exact.graph(trust, taste | {"new": mine})
    peers = rank_peers(graph, "new", MeritRankConfig(), 1)
    ranking = rank_items(graph, "new", peers, SalsaConfig(), 1)
    unseen = [scored for scored in ranking.scores if scored.item not in mine]
    assert {item for item in taste["p", 0] if item not in mine} <= {scored.item for scored in unseen}
    assert [scored.item[0] for scored in unseen[:4]] == ["even"] * 4
    assert all(scored.friends == ((("p", 0), pytest.approx(1.0)),) for scored in unseen)


def test_friends_who_share_nothing_lower_scores_but_cost_no_samples(exact) -> None:
    trust = {"e": {"quiet": 3.0, "open": 1.0}}
    graph = exact.graph(trust, {"open": {"x": 1.0}})
    peers = rank_peers(graph, "e", MeritRankConfig(), 0)
    (x,) = rank_items(graph, "e", peers, RAW, 0).scores
    assert x.hits == WALKS
    total = peers.score_of("quiet") + peers.score_of("open")
    assert x.score == pytest.approx(peers.score_of("open") / total)


@pytest.mark.parametrize("trust_weighted", [True, False])
@pytest.mark.parametrize(
    ("trust", "items"),
    [
        ({}, {}),
        ({"a": {"b": 1.0}}, {"a": {"x": 1.0}}),
        ({"e": {}}, {"a": {"x": 1.0}}),
        ({"e": {"a": 1.0}}, {"b": {"x": 1.0}}),
        ({"e": {"a": 1.0}, "b": {"a": 1.0}}, {}),
    ],
    ids=["empty", "unknown ego", "no trust", "nothing reachable", "no items"],
)
def test_nothing_to_walk_gives_an_empty_ranking(exact, trust_weighted, trust, items) -> None:
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, "e", MeritRankConfig(), 0)
    ranking = rank_items(graph, "e", peers, SalsaConfig(trust_weighted=trust_weighted), 0)
    assert ranking.scores == ()
    assert ranking.score_of("x") == 0.0


def test_an_ego_without_friends_sees_its_own_items_only(exact) -> None:
    graph = exact.graph({}, {"e": {"x": 1.0}, "stranger": {"x": 1.0, "spam": 1.0}})
    peers = rank_peers(graph, "e", MeritRankConfig(), 0)
    ranking = rank_items(graph, "e", peers, SalsaConfig(), 0)
    assert [scored.item for scored in ranking.scores] == ["x"]
    assert ranking.scores[0].supporters == ()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("trust_weighted", [True, False])
def test_weights_of_absurd_range_break_nothing(exact, trust_weighted: bool) -> None:
    trust = {"e": {"a": 1.7e308, "b": 5e-324}, "a": {"b": 5e-324, "c": 1.7e308}}
    items = {"a": {"big": 1.7e308, "lost": 5e-324}, "c": {"big": 5e-324}, "e": {"own": 1e-300, "big": 1e300}}
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, "e", PEERS, 0)
    ranking = rank_items(graph, "e", peers, dataclasses.replace(RAW, trust_weighted=trust_weighted), 0)
    assert [scored.item for scored in ranking.scores] == ["big"]
    assert ranking.score_of("big") == pytest.approx(1.0)


def test_renaming_everything_changes_no_rank(exact) -> None:
    trust = {i: {(i * 3 + j) % 30: float(j) for j in (1, 2, 5) if (i * 3 + j) % 30 != i} for i in range(30)}
    items = {i: {(i * j) % 17: float(j) for j in (1, 2, 3)} for i in range(30)}
    named = {a: {-b: w for b, w in row.items()} for a, row in items.items()}

    def run(items):
        graph = exact.graph(trust, items)
        return rank_items(graph, 0, rank_peers(graph, 0, PEERS, 4), SalsaConfig(), 5).scores

    assert [dataclasses.replace(s, item=-s.item) for s in run(items)] == list(run(named))


def test_distance_and_freshness_are_told() -> None:
    graph = TrustGraph()
    graph.replace("e", AuthorEdges.dated({"a": (1.0, 0)}, {"mine": (1.0, 3)}))
    graph.replace("a", AuthorEdges.dated({"b": (1.0, 0)}, {"near": (1.0, 10)}))
    graph.replace("b", AuthorEdges.dated({}, {"far": (1.0, 7), "near": (1.0, 12)}))
    graph.replace("stranger", AuthorEdges.dated({}, {"far": (1.0, 99)}))
    graph.replace("a", AuthorEdges.dated({"b": (1.0, 0)}, {"near": (1.0, 10), "undated": (1.0, 10)}))
    peers = rank_peers(graph, "e", PEERS, 1)
    found = {scored.item: scored for scored in rank_items(graph, "e", peers, RAW, 1).scores}
    assert (found["far"].steps, found["far"].newest_day) == (2.0, 7)
    assert 1.0 < found["near"].steps < 2.0
    assert found["near"].newest_day == 12
    assert (found["mine"].steps, found["mine"].newest_day) == (0.0, None)


def test_exploration_draws_from_trusted_peers_only_by_their_trust(exact) -> None:
    friends = {("f", n): 1.0 for n in range(4)}
    trust = {"e": friends, ("f", 0): {("s", n): 1.0 for n in range(300)}}
    items = {("f", n): {("liked", n, j): 1.0 for j in range(60)} for n in range(4)}
    items |= {("s", n): {("spam", n): 1.0} for n in range(300)} | {"stranger": {"strange": 1.0}, "e": {"own": 1.0}}
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, "e", MeritRankConfig(), 1)
    ranking = rank_items(graph, "e", peers, SalsaConfig(walks=300, min_support=5), 1)
    ranked = {scored.item for scored in ranking.scores}
    drawn = [pair for seed in range(60) for pair in ranking.explore(5, seed)]
    assert len(drawn) == 300
    assert not {item for item, _ in drawn} & (ranked | {"strange", "own"})
    assert all(item in items[peer] for item, peer in drawn)
    total = sum(scored.score for scored in peers.scores)
    spam = sum(scored.score for scored in peers.scores if scored.peer[0] == "s") / total
    assert sum(item[0] == "spam" for item, _ in drawn) / 300 == pytest.approx(spam, abs=0.1)
    assert len(ranking.explore(10**6, 0)) == len(set(ranking.explore(10**6, 0)))
    assert ranking.explore(5, 3) == ranking.explore(5, 3)


def test_nothing_to_explore_where_nobody_is_trusted(exact) -> None:
    graph = exact.graph({"a": {"b": 1.0}}, {"b": {"x": 1.0}, "e": {"own": 1.0}})
    for ego in ("e", "unknown"):
        peers = rank_peers(graph, ego, MeritRankConfig(), 0)
        assert rank_items(graph, ego, peers, SalsaConfig(min_support=100_000), 0).explore(5, 0) == ()


def test_connectivity_decay_survives_new_numbers_in_the_graph(exact) -> None:
    trust = {"e": {"a": 1.0}, "a": {"b": 1.0}}
    lists = {"a": {"x": 1.0}, "b": {"y": 1.0}}
    graph, later = exact.graph(trust, lists), exact.graph({"z": {"b": 1.0}} | trust, lists)
    peers = rank_peers(graph, "e", MeritRankConfig(), 0)
    here, there = (rank_items(g, "e", peers, SalsaConfig(walks=20_000), 0) for g in (graph, later))
    assert here.score_of("y") == pytest.approx(there.score_of("y"), rel=0.1)


@pytest.mark.parametrize("values", [{"alpha": 1.0}, {"walks": 0}, {"walks": 1e3}, {"max_hops": 0}, {"min_support": 0}])
def test_settings_out_of_range_are_refused(values) -> None:
    with pytest.raises(ConfigError):
        SalsaConfig(**values)


def test_any_integer_is_a_seed_and_counts_below_one_ask_for_nothing(exact) -> None:
    graph = exact.graph({"e": {"a": 1.0}}, {"a": {"x": 1.0, "y": 1e-9}})
    for seed in (-1, 2**80):
        peers = rank_peers(graph, "e", MeritRankConfig(), seed)
        items = rank_items(graph, "e", peers, SalsaConfig(), seed)
        assert len(items) == 1
        assert len(items.explore(9, seed)) == 1
    assert peers.top(-1) == items.top(-1) == items.explore(-1, 0) == ()


@pytest.mark.parametrize("trust_weighted", [True, False])
def test_a_ranking_serves_a_graph_that_has_grown_since(exact, trust_weighted: bool) -> None:
    graph = exact.graph({"e": {"a": 1.0}, "a": {"b": 1.0}}, {"a": {"x": 1.0}, "b": {"y": 1.0}})
    peers = rank_peers(graph, "e", PEERS)
    for n in range(200):
        graph.replace(("new", n), AuthorEdges({}, {"x": 1.0, "z": 1.0}))
    config = dataclasses.replace(RAW, trust_weighted=trust_weighted)
    found = {scored.item: scored for scored in rank_items(graph, "e", peers, config).scores}
    assert found["x"].friends[0][0] == "a"
    assert ("y" in found) is trust_weighted  # by affinity alone nobody leads from "x" to "y"
    assert ("z" in found) is not trust_weighted
    if not trust_weighted:
        assert {peer[0] for peer, _ in found["z"].supporters} == {"new"}
        assert found["z"].friends == ()  # the ranking knows none of them


@settings(max_examples=30, deadline=None)
@given(world=worlds(), trust_weighted=st.booleans(), seed=st.integers(0, 2**32))
def test_compiled_and_plain_kernels_give_the_same_ranking(exact, world, trust_weighted: bool, seed: int) -> None:
    graph = exact.graph(*world)
    config = dataclasses.replace(RAW, trust_weighted=trust_weighted, beta=0.8)
    one, other = (
        rank_items(graph, 0, rank_peers(graph, 0, PEERS, seed, accelerate=fast), config, seed, accelerate=fast)
        for fast in (False, True)
    )
    assert one.scores == other.scores
    assert one.explore(5, seed) == other.explore(5, seed)
