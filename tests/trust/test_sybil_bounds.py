"""What an attacker can gain, on the exact oracle for any region and in the package's own walks.

I1 to I5: with entry probability h(R) into the attackers' region fixed by the honest edges, whatever the
attackers do inside, I1 h(R) stays, I2 their visits sum to at most h(R)/α, I3 the Sybils' to (1 − α)/α of it,
I4 no Sybil is hit by more than (1 − α)·h(R), and I5 no honest peer's hits change by more than (1 − α)·h(R).
"""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import MeritRankConfig, rank_peers

WALKS = 4_000
RAW = MeritRankConfig(beta=0.0, walks=WALKS, min_hits=1, max_length=500)
ALPHAS = st.sampled_from([0.1, 0.15, 0.3, 0.5])
EGO = "h0"


@st.composite
def attacks(draw):
    """An honest graph with edges to attackers, and two ways to wire what leaves the attackers' region."""
    honest = [f"h{i}" for i in range(draw(st.integers(2, 7)))]
    attackers = [f"a{i}" for i in range(draw(st.integers(1, 3)))]
    sybils = [f"s{i}" for i in range(draw(st.integers(1, 12)))]

    def row(author, targets, least):
        others = [target for target in targets if target != author]
        weights = st.dictionaries(st.sampled_from(others), st.integers(1, 9), min_size=least, max_size=5)
        return {target: float(weight) for target, weight in draw(weights).items()}

    everyone = honest + attackers + sybils
    base = {author: row(author, honest + attackers, int(author == EGO)) for author in honest}
    wirings = [{author: row(author, everyone, 0) for author in attackers + sybils} for _ in range(2)]
    return base, attackers, sybils, wirings


@settings(derandomize=True, max_examples=120, deadline=None)
@given(attack=attacks(), alpha=ALPHAS)
def test_inequalities_hold_exactly(exact, attack, alpha: float) -> None:
    base, attackers, sybils, (one, other) = attack
    region = [*attackers, *sybils]
    entry = exact.entry(base | one, EGO, region, alpha)
    assert exact.entry(base | other, EGO, region, alpha) == pytest.approx(entry, abs=1e-12)  # I1
    visits = exact.visits(base | one, EGO, alpha)
    hits, changed = exact.hits(base | one, EGO, alpha), exact.hits(base | other, EGO, alpha)
    if len(attackers) == 1:
        assert hits["a0"] == pytest.approx(changed["a0"], abs=1e-12)  # I1 for the way in
    assert sum(visits[node] for node in region) <= entry / alpha + 1e-9  # I2
    assert sum(visits[node] for node in sybils) <= entry * (1 - alpha) / alpha + 1e-9  # I3
    assert max(hits[node] for node in sybils) <= (1 - alpha) * entry + 1e-9  # I4
    for node in set(base) - {EGO}:
        assert abs(hits[node] - changed[node]) <= (1 - alpha) * entry + 1e-9  # I5


@settings(derandomize=True, max_examples=60, deadline=None)
@given(attack=attacks(), alpha=ALPHAS, seed=st.integers(0, 2**32))
def test_inequalities_hold_in_the_walks(exact, attack, alpha: float, seed: int) -> None:
    base, attackers, sybils, (one, other) = attack
    region = [*attackers, *sybils]
    entry = exact.entry(base | one, EGO, region, alpha)
    config = dataclasses.replace(RAW, alpha=alpha)
    ranking = rank_peers(exact.graph(base | one), EGO, config, seed)
    # A walk counts once per Sybil, so a sum over Sybils is spread up to their number times as wide.
    slack = exact.noise(entry, WALKS)
    total = sum(ranking.score_of(node) for node in sybils)
    assert total <= entry * (1 - alpha) / alpha + slack * len(sybils)
    assert max(ranking.score_of(node) for node in sybils) <= (1 - alpha) * entry + slack
    changed = exact.hits(base | other, EGO, alpha)
    for node in set(base) - {EGO}:
        noise = exact.noise(changed[node], WALKS) + slack
        assert abs(ranking.score_of(node) - changed[node]) <= (1 - alpha) * entry + noise


def behind_one_attacker(attack: str, k: int) -> dict:
    trust: dict = {"e": {"f": 3.0, "g": 3.0}, "f": {"g": 1.0, "a": 1.0}, "g": {"f": 2.0}}
    sybils = [("s", i) for i in range(k)]
    if attack == "parallel":
        trust["a"] = dict.fromkeys(sybils, 1.0)
    elif attack == "chain":
        trust["a"] = {sybils[0]: 1.0}
        trust |= {left: {right: 1.0} for left, right in itertools.pairwise(sybils)}
    else:
        trust["a"] = dict.fromkeys(sybils, 1.0)
        trust |= {sybil: {"a": 1.0} for sybil in sybils}
    return trust


def sybil_sum(ranking) -> float:
    return sum(scored.score for scored in ranking.scores if isinstance(scored.peer, tuple))


@pytest.mark.parametrize("attack", ["parallel", "chain", "cycle"])
@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("alpha", [0.15, 0.3])
def test_more_sybils_do_not_gain_more(exact, attack: str, k: int, alpha: float) -> None:
    config = dataclasses.replace(RAW, alpha=alpha, walks=40_000)
    trust = behind_one_attacker(attack, k)
    alone = exact.hits(behind_one_attacker(attack, 1), "e", alpha)["a"]
    ranking = rank_peers(exact.graph(trust), "e", config, k)
    keep = 1 - alpha
    expected = {
        "parallel": keep,
        "chain": sum(keep**d for d in range(1, k + 1)),
        "cycle": sum(share for node, share in exact.hits(trust, "e", alpha).items() if isinstance(node, tuple)) / alone,
    }[attack]
    limit = keep / (alpha * (2 - alpha)) if attack == "cycle" else keep / alpha
    assert expected <= limit + 1e-9
    assert sybil_sum(ranking) / alone == pytest.approx(expected, rel=0.12)
    # Unit hits: the attacker itself gains nothing, not even from a cycle.
    assert ranking.score_of("a") == pytest.approx(alone, abs=exact.noise(alone, 40_000))


@pytest.mark.parametrize("attack", ["parallel", "chain", "cycle"])
def test_connectivity_decay_bounds_the_gain_and_is_monotone_in_beta(exact, attack: str) -> None:
    alpha, prior_share = 0.15, 0.5
    for k in (1, 10, 100):
        snap = exact.graph(behind_one_attacker(attack, k))
        alone = exact.hits(behind_one_attacker(attack, 1), "e", alpha)["a"]
        gains = []
        for beta in (0.0, 0.5, 0.8, 1.0):
            config = MeritRankConfig(alpha=alpha, beta=beta, walks=20_000, max_length=500)
            gains.append(sybil_sum(rank_peers(snap, "e", config, 1)) / alone)
            assert gains[-1] <= (1 - beta * prior_share) * (1 - alpha) / alpha * 1.1
        assert gains == sorted(gains, reverse=True)
        raw = MeritRankConfig(alpha=alpha, beta=1.0, prior_hits=0.0, walks=20_000)
        assert sybil_sum(rank_peers(snap, "e", raw, 1)) == 0.0


def test_a_second_path_has_no_cliff_to_stay_under(exact) -> None:
    def factor(share: float) -> float:
        trust = {
            "e": {"f": 1.0, "g": 1.0},
            "f": {"a": share, "x": 1 - share} if share < 1 else {"a": 1.0},
            "g": {"a": 1 - share, "y": share} if share < 1 else {"y": 1.0},
            "a": {"s": 1.0},
        }
        ranking = rank_peers(exact.graph(trust), "e", MeritRankConfig(walks=100_000), 3)
        (scored,) = [scored for scored in ranking.scores if scored.peer == "a"]
        return scored.score / (scored.hits / 100_000)

    factors = {share: factor(share) for share in (1.0, 0.995, 0.98, 0.95, 0.9, 0.7, 0.5)}
    assert abs(factors[0.995] - factors[0.98]) < 0.03
    assert abs(factors[1.0] - factors[0.98]) < 0.03
    assert list(factors.values()) == sorted(factors.values())
    for share, value in factors.items():
        assert value == pytest.approx(1 - 0.8 * share, abs=0.02)


@pytest.mark.parametrize("hits", range(1, 4))
def test_few_hits_through_one_friend_are_not_punished_as_a_bottleneck(exact, hits: int) -> None:
    config = MeritRankConfig(walks=100, min_hits=1)
    trust = {"e": {"f": 1.0}, "f": {"g": 1.0 - hits / 100, "v": hits / 100}}
    found = [
        scored
        for seed in range(40)
        for scored in rank_peers(exact.graph(trust), "e", config, seed).scores
        if scored.peer == "v" and scored.hits <= 3
    ]
    assert found
    assert all(scored.score / (scored.hits / 100) >= 0.5 for scored in found)


@pytest.mark.parametrize("factor", [1e-9, 1e3, 1e9, 1e300])
def test_inflated_weights_have_no_effect(exact, factor: float) -> None:
    honest = behind_one_attacker("parallel", 10)
    inflated = honest | {"a": {peer: weight * factor for peer, weight in honest["a"].items()}}
    plain = rank_peers(exact.graph(honest), "e", RAW, 8)
    loud = rank_peers(exact.graph(inflated), "e", RAW, 8)
    assert plain.scores == loud.scores


def test_gain_grows_with_attack_edges_only(exact) -> None:
    def gain(attack_edges: int, k: int) -> float:
        trust = {"e": {("h", i): 1.0 for i in range(10)}}
        trust |= {("h", i): {("h", (i + 1) % 10): 3.0} for i in range(10)}
        for i in range(attack_edges):
            trust["h", i] = {**trust["h", i], "a": 1.0}
        trust["a"] = {f"s{i}": 1.0 for i in range(k)}
        ranking = rank_peers(exact.graph(trust), "e", dataclasses.replace(RAW, walks=40_000), 1)
        return sum(scored.score for scored in ranking.scores if isinstance(scored.peer, str))

    assert gain(0, 100) == 0.0
    assert gain(1, 100) == pytest.approx(gain(1, 1), rel=0.1)
    assert 3.0 < gain(5, 50) / gain(1, 50) < 5.5
