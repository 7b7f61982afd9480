"""Sybils list popular items beside their spam. Vanilla SALSA lets each in; trust-weighted does not."""

from __future__ import annotations

import numpy as np
import pytest

from trust import MeritRankConfig, SalsaConfig, rank_items, rank_peers

SYBILS = (1, 10, 100, 500)
POPULAR = range(5)


def honest_world(seed: int = 7) -> tuple[dict, dict]:
    """60 people with 5 friends and 8 of 120 items each, popular items first."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, 121)
    popularity /= popularity.sum()
    trust, items = {}, {}
    for person in range(60):
        friends = [int(f) for f in rng.permutation(60) if f != person][:5]
        trust["p", person] = {("p", friend): float(rng.integers(1, 4)) for friend in friends}
        liked = rng.choice(120, size=8, replace=False, p=popularity)
        items["p", person] = {("i", int(item)): float(rng.integers(1, 4)) for item in liked}
    return trust, items


def spam_share(exact, sybils: int, attack_edges: int, trust_weighted: bool) -> float:
    trust, items = honest_world()
    names = [("sybil", i) for i in range(sybils)]
    listed = {("i", item): 1.0 for item in POPULAR} | {("spam", n): 1.0 for n in range(3)}
    trust["attacker", 0] = dict.fromkeys(names, 1.0)
    items["attacker", 0] = listed
    items |= dict.fromkeys(names, listed)
    ego = ("p", 0)
    for friend in list(trust[ego])[:attack_edges]:
        trust[friend] = {**trust[friend], ("attacker", 0): 0.3}
    graph = exact.graph(trust, items)
    peers = rank_peers(graph, ego, MeritRankConfig(), 1)
    config = SalsaConfig(walks=40_000, trust_weighted=trust_weighted)
    ranking = rank_items(graph, ego, peers, config, 2)
    unseen = {scored.item: scored.score for scored in ranking.scores if scored.item not in items[ego]}
    return sum(score for item, score in unseen.items() if item[0] == "spam") / sum(unseen.values())


def test_spam_is_flat_in_the_number_of_sybils(exact) -> None:
    shares = {k: spam_share(exact, k, attack_edges=1, trust_weighted=True) for k in SYBILS}
    assert 0.0 < shares[10] < 0.02
    assert shares[100] <= 1.2 * shares[10] + 1e-3
    assert shares[500] <= 1.2 * shares[10] + 1e-3


def test_vanilla_is_captured_at_least_ten_times_worse(exact) -> None:
    vanilla = [spam_share(exact, k, attack_edges=1, trust_weighted=False) for k in SYBILS]
    weighted = spam_share(exact, 500, attack_edges=1, trust_weighted=True)
    assert vanilla == sorted(vanilla)
    assert vanilla[-1] >= 10 * max(weighted, 1e-4)
    assert vanilla[-1] >= 10 * vanilla[0]


@pytest.mark.parametrize("k", SYBILS)
def test_without_an_attack_edge_there_is_no_spam(exact, k: int) -> None:
    assert spam_share(exact, k, attack_edges=0, trust_weighted=True) == 0.0


def test_vanilla_is_captured_even_without_an_attack_edge(exact) -> None:
    assert spam_share(exact, 500, attack_edges=0, trust_weighted=False) > 0.1
