"""The attack battery: what each known attack gains, against closed forms, bounds and the exact oracle.

Where each scenario is tested: S1–S3 closed forms here and in `test_sybil_bounds`; S4, S5 generated regions there, I6
here; S6 beta, S7 split paths, S8 attack edges, S9 inflated weights, S16 few hits in `test_sybil_bounds` (weights that
are no numbers in `test_edges`, `test_bulk`); S10 in `test_popular_item_hijack`; S11–S14, S17, S20 here; S15 forged,
replayed and oversized records in `tests/p2p`; S18 in `test_stored_walks`; S19 in `test_meritrank`, `test_salsa`; R1, R2
in `test_real_data`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.attacks import (
    WIRINGS,
    attacked,
    clique,
    community,
    fooled,
    graph_of,
    is_attacker,
    is_spam,
    most_listed,
    ring,
)
from benchmarks.sybil import COUNTS, EGO, attacks, spam_share
from trust import AuthorEdges, GraphLimits, MeritRankConfig, PeerWalks, SalsaConfig, TrustGraph, rank_items, rank_peers

ATTACKER = ("attacker", 0)
ALPHAS = [0.1, 0.15, 0.3]


def hits_behind(exact, wiring: str, k: int, alpha: float) -> tuple[dict, dict]:
    """Exact unit hits and visits with k Sybils behind a stranger whom one friend vouches for."""
    trust = {"e": {"f": 3.0, "g": 3.0}, "f": {"g": 1.0, ATTACKER: 1.0}, "g": {"f": 2.0}}
    trust |= WIRINGS[wiring](ATTACKER, [("sybil", n) for n in range(k)])
    return exact.hits(trust, "e", alpha), exact.visits(trust, "e", alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("k", [1, 10, 100])
def test_closed_forms(exact, alpha: float, k: int) -> None:
    keep = 1 - alpha
    sums, visit_sums, own, own_visits = {}, {}, {}, {}
    base_hits, base_visits = (found[ATTACKER] for found in hits_behind(exact, "parallel", 0, alpha))
    for wiring in WIRINGS:
        hits, visits = hits_behind(exact, wiring, k, alpha)
        sums[wiring], visit_sums[wiring] = (
            sum(share for node, share in found.items() if node[0] == "sybil") / base
            for found, base in ((hits, base_hits), (visits, base_visits))
        )
        own[wiring], own_visits[wiring] = hits[ATTACKER] / base_hits, visits[ATTACKER] / base_visits
    assert own == pytest.approx(dict.fromkeys(WIRINGS, 1.0), abs=1e-9)  # unit hits: nobody lifts itself
    assert (sums["parallel"], visit_sums["parallel"]) == pytest.approx((keep, keep), abs=1e-9)
    assert sums["chain"] == pytest.approx(sum(keep**d for d in range(1, k + 1)), abs=1e-9)
    assert own_visits["cycle star"] == pytest.approx(1 / (alpha * (2 - alpha)), abs=1e-9)
    assert visit_sums["cycle star"] == pytest.approx(keep / (alpha * (2 - alpha)), abs=1e-9)
    if k > 1:
        assert (visit_sums["ring"], visit_sums["clique"]) == pytest.approx((keep / alpha,) * 2, abs=1e-9)
    assert max(sums.values()) <= keep / alpha + 1e-9


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    alpha=st.sampled_from(ALPHAS),
    beta=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    rows=st.dictionaries(
        st.integers(0, 9), st.dictionaries(st.integers(0, 9), st.integers(1, 9), max_size=4), min_size=1
    ),
)
def test_i6_connectivity_decay_on_a_full_cut_is_tolerant_of_any_region(exact, alpha: float, beta: float, rows) -> None:
    names = [ATTACKER, *(("sybil", n) for n in range(9))]
    region = {names[a]: {names[b]: float(w) for b, w in row.items() if b != a} for a, row in rows.items()}
    trust = {"e": {"f": 1.0, "g": 1.0}, "f": {"g": 1.0, ATTACKER: 2.0}, "g": {"f": 1.0}} | region
    hits = exact.hits(trust, "e", alpha)
    total = 0.0
    for node in names[1:]:
        if hits.get(node, 0.0) > 0.0:
            total += hits[node] * (1 - beta * exact.bottleneck(trust, "e", node, alpha))
    assert total <= (1 - beta) * (1 - alpha) / alpha * hits[ATTACKER] + 1e-9


def test_every_attack_of_the_benchmark_stays_within_the_bound_and_its_spam_stays_small() -> None:
    rows = attacks(MeritRankConfig(walks=10_000), (1, 100))
    assert len(rows) >= 15
    for row in rows:
        assert row.measured <= row.bound
        if "friend who turned" in row.attack:  # the ego asked for this friend's own list
            assert row.spam < 0.6 * row.vanilla
            continue
        assert row.spam <= 0.01
        assert row.spam <= row.vanilla / 8 or row.sybils == 1
        if "nobody" in row.attack:
            assert row.measured == row.spam == 0.0
    assert max(row.pagerank for row in rows) > 5.0  # what plain personalised PageRank gives for free
    assert COUNTS == (1, 10, 100, 500)


@pytest.mark.parametrize("wiring", ["ring", "clique"])
@pytest.mark.parametrize("k", [1, 10, 100, 1000])
def test_s4_regions_gain_no_more_than_the_bound(exact, wiring: str, k: int) -> None:
    world = fooled(community(), [next(iter(community()[EGO][0]))], ATTACKER)
    config = MeritRankConfig(beta=0.0, min_hits=1, max_length=500)
    alone = rank_peers(graph_of(attacked(world, WIRINGS[wiring], ATTACKER, 0)), EGO, config).score_of(ATTACKER)
    ranking = rank_peers(graph_of(attacked(world, WIRINGS[wiring], ATTACKER, k)), EGO, config)
    assert ranking.score_of(ATTACKER) == pytest.approx(alone, abs=exact.noise(alone, 10_000))
    total = sum(scored.score for scored in ranking.scores if scored.peer[0] == "sybil")
    assert total <= (0.85 / 0.15) * (alone + exact.noise(alone, 10_000))


def test_s11_mass_attack_and_what_the_defence_costs_when_nobody_attacks() -> None:
    world = community()
    rng, people = np.random.default_rng(3), list(world)
    popular = most_listed(world, 5)
    for share in (0.0, 0.3, 0.6):
        hostile = {people[i] for i in rng.permutation(len(people))[: int(share * len(people))]} - {EGO, *world[EGO][0]}
        seized = dict(world)
        for number, person in enumerate(sorted(hostile)):
            sybils = [("sybil", number, n) for n in range(20 if number % 2 else 2)]
            lists = dict.fromkeys([*(("spam", n) for n in range(3)), *popular], 1.0)
            trust = (clique if number % 2 else ring)(person, sybils)
            seized |= {member: (trust.get(member, {}), lists) for member in [person, *sybils]}
        graph = graph_of(seized)
        peers, plain = rank_peers(graph, EGO), rank_peers(graph, EGO, MeritRankConfig(beta=0.0))
        own = world[EGO][1]
        decayed = spam_share(rank_items(graph, EGO, peers), own)
        if share == 0.0:
            # Nobody attacks: the walk's own list of items hardly changes through the decays.
            top = {s.item for s in rank_items(graph, EGO, peers).top(30)}
            assert len(top & {s.item for s in rank_items(graph, EGO, plain, SalsaConfig(beta=0.0)).top(30)}) >= 25
        else:
            # What the attackers' items get is what honest people's edges give the attackers in trust, no more.
            honest = sum(s.score for s in peers.scores if s.peer in world and s.peer not in hostile)
            assert 0.0 < decayed <= 1.1 * (1 - honest / sum(s.score for s in peers.scores))


def test_s12_a_slow_farmer_loses_everything_by_one_block() -> None:
    world = community()
    good = world[next(iter(world[EGO][0]))][1]
    graph = graph_of(world)
    walks = PeerWalks(graph, EGO, MeritRankConfig())
    graph.replace(ATTACKER, AuthorEdges({}, good))
    mine = dict(world[EGO][0])
    for epoch in range(30):  # a tenth of the ego's trust at most per epoch
        mine[ATTACKER] = min(sum(world[EGO][0].values()), mine.get(ATTACKER, 0.0) + 0.1 * sum(mine.values()))
        graph.replace(EGO, AuthorEdges(mine, world[EGO][1]))
        if epoch % 10 == 0:
            walks.refresh()
    earned = walks.ranking().score_of(ATTACKER) / sum(s.score for s in walks.ranking().scores)
    graph.replace(ATTACKER, AuthorEdges({}, {("spam", n): 1.0 for n in range(3)}))
    spam = spam_share(rank_items(graph, EGO, walks.ranking()), world[EGO][1])
    assert 0.0 < spam <= 1.5 * earned
    walks.block({ATTACKER})
    assert spam_share(rank_items(graph, EGO, walks.ranking()), world[EGO][1]) == 0.0


def test_s13_new_identities_do_not_add_up(exact) -> None:
    world = community()
    friend = next(iter(world[EGO][0]))
    graph = graph_of(world)
    walks = PeerWalks(graph, EGO, MeritRankConfig(min_hits=1))
    scores = []
    for epoch in range(10):  # the friend is fooled anew each time; old identities keep their lists
        trust, items = world[friend]
        graph.replace(friend, AuthorEdges({**trust, ("attacker", epoch): 1.0}, items))
        graph.replace(("attacker", epoch), AuthorEdges({("attacker", old): 1.0 for old in range(epoch)}, {}))
        scores.append([s.score for s in walks.ranking().scores if is_attacker(s.peer)])
    trust = {author: lists[0] for author, lists in world.items()}
    entry = exact.hits(trust | {friend: {**trust[friend], "attacker": 1.0}}, EGO, 0.15)["attacker"]
    assert all(max(found) <= entry + exact.noise(entry, 10_000) for found in scores)
    assert sum(scores[-1]) <= (1 - 0.8 * 0.5) / 0.15 * entry
    # Without being fooled again, a new identity is worth nothing.
    graph.replace(friend, AuthorEdges(*world[friend]))
    graph.replace(("attacker", 99), AuthorEdges({EGO: 1.0}, {}))
    assert walks.ranking().score_of(("attacker", 99)) == 0.0


def test_s14_a_hijacked_friend_is_contained_and_cut_by_one_word() -> None:
    world = community()
    friend = next(iter(world[EGO][0]))
    graph = graph_of(world)
    walks = PeerWalks(graph, EGO)
    before = walks.ranking().score_of(friend)
    sybils = [("sybil", n) for n in range(30)]
    for member in sybils:
        graph.replace(member, AuthorEdges({}, {("spam", 0): 1.0}))
    graph.replace(friend, AuthorEdges(dict.fromkeys(sybils, 1.0), {("spam", 0): 1.0}))
    total = sum(s.score for s in walks.ranking().scores)
    exposure = spam_share(rank_items(graph, EGO, walks.ranking()), world[EGO][1])
    assert 0.0 < exposure <= 2.0 * before / total
    walks.block({friend})
    assert not [s for s in walks.ranking().scores if s.peer == friend or is_attacker(s.peer)]
    assert not [s for s in rank_items(graph, EGO, walks.ranking()).scores if is_spam(s.item)]


def test_s17_ten_thousand_unreachable_peers_change_nothing_and_push_nobody_out() -> None:
    world = community()
    graph = TrustGraph(GraphLimits(authors=1_000), pinned=[EGO])
    for author, lists in world.items():
        graph.replace(author, AuthorEdges(*lists))
    walks = PeerWalks(graph, EGO, MeritRankConfig(min_hits=1))
    before = walks.ranking().scores
    graph.set_hits(walks.ranking().hits())
    unvisited = sum(peer not in walks.ranking().hits() for peer in world)
    for n in range(10_000):
        graph.replace(("crowd", n), AuthorEdges({("crowd", n + 1): 1.0, EGO: 1.0}, {("spam", n): 1.0}))
    assert len(graph) == 1_000
    assert sum(peer in graph for peer in world) >= len(world) - unvisited
    assert len(graph.peers) < 3 * 4096  # made-up keys do not pile up either
    kept = {s.peer: s.score for s in walks.ranking().scores}
    # New numbers mean new draws; the scores stay what they were up to their noise.
    assert kept == pytest.approx({s.peer: s.score for s in before}, abs=0.02)


def test_s20_idleness_changes_no_rank_and_a_new_edge_outweighs_an_old_one_two_to_one() -> None:
    def ranking(day: int, newest: int):
        graph = TrustGraph()
        graph.replace("e", AuthorEdges.dated({"a": (1.0, day), "b": (1.0, newest)}, {"x": (1.0, day)}))
        graph.replace("a", AuthorEdges.dated({"c": (2.0, day), "b": (1.0, day)}, {}))
        return rank_peers(graph, "e", MeritRankConfig(walks=100_000))

    assert ranking(0, 0).scores == ranking(180, 180).scores
    aged = ranking(0, 180)
    assert aged.score_of("b") / aged.score_of("a") == pytest.approx(2.0, rel=0.15)  # a third of a's walks add to b's


def test_i7_an_alpha_of_one_half_or_more_depth_is_worth_less(exact) -> None:
    deep = {"e": {"a": 1.0}, "a": {"b": 1.0}, "b": {"c": 1.0}}
    shallow = rank_peers(exact.graph(deep), "e", dataclasses.replace(MeritRankConfig(), alpha=0.5, beta=0.0))
    assert [round(s.score, 1) for s in shallow.scores] == [0.5, 0.2, 0.1]
