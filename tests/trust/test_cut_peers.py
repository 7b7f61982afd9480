"""Connectivity decay of items: what only one stranger's region pushes fades, whatever the region does inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust import AuthorEdges, MeritRankConfig, SalsaConfig, TrustGraph, rank_items, rank_peers
from trust.cut_peers import CutPeers
from trust.kernels import SMALLEST_SHARE, WalkCells, find_kernels
from trust.rows import WeightedRows

Lists = dict[str, tuple[dict[str, float], dict[str, float]]]


def _ranked(lists: Lists, seed: int = 0, **salsa: float):
    graph = TrustGraph()
    for author, (trust, items) in lists.items():
        graph.replace(author, AuthorEdges(trust=dict(trust), items=dict(items)))
    peers = rank_peers(graph, "ego", MeritRankConfig(), seed)
    return peers, rank_items(graph, "ego", peers, SalsaConfig(**salsa), seed)


def _attacked(sybils: int) -> Lists:
    """Two friends who know each other; one of them was fooled by a stranger with Sybils behind it."""
    good = {f"good-{n}": 1.0 for n in range(10)}
    lists: Lists = {
        "ego": ({"ann": 1.0, "bob": 1.0}, {}),
        "ann": ({"bob": 1.0, "mallory": 1.0}, good),
        "bob": ({"ann": 1.0}, good),
        "mallory": ({f"s{n}": 1.0 for n in range(sybils)}, {"spam": 1.0}),
    }
    for n in range(sybils):
        lists[f"s{n}"] = (
            {"mallory": 1.0, f"s{(n + 1) % sybils}": 1.0} if sybils > 1 else {"mallory": 1.0},
            {"spam": 1.0},
        )
    return lists


@pytest.mark.parametrize("sybils", [1, 5, 30])
def test_spam_behind_one_stranger_loses_the_full_factor_and_good_items_little(sybils: int) -> None:
    _, decayed = _ranked(_attacked(sybils), beta=0.8)
    _, plain = _ranked(_attacked(sybils), beta=0.0)
    kept = {item: decayed.score_of(item) / plain.score_of(item) for item in ("spam", "good-0")}
    hits = next(s.hits for s in plain.scores if s.item == "spam")
    assert kept["spam"] == pytest.approx(1 - 0.8 * (hits + 10) / (hits + 20), abs=1e-9)
    assert kept["good-0"] > 0.95  # only direct friends support it
    assert decayed.scores[-1].item == "spam"


def test_what_a_direct_friend_supports_is_not_cut_by_that_friend() -> None:
    peers, decayed = _ranked({"ego": ({"ann": 1.0}, {}), "ann": ({}, {"x": 1.0})}, prior_hits=0.0)
    assert decayed.score_of("x") == pytest.approx(1.0)
    assert peers.cuts.through.size == 0


def test_an_item_of_two_unrelated_strangers_keeps_more_than_an_item_of_one() -> None:
    lists: Lists = {
        "ego": ({"ann": 1.0}, {}),
        "ann": ({"cat": 1.0, "dan": 1.0}, {}),
        "cat": ({}, {"both": 1.0, "one": 1.0}),
        "dan": ({}, {"both": 1.0, "other": 1.0}),
    }
    _, decayed = _ranked(lists, beta=0.8, prior_hits=0.0)
    _, plain = _ranked(lists, beta=0.0)
    kept = {item: decayed.score_of(item) / plain.score_of(item) for item in ("both", "one", "other")}
    assert kept["one"] == pytest.approx(0.2)
    assert kept["both"] == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("sybils", [1, 20])
def test_what_hangs_behind_one_of_several_friends_fades_and_what_hangs_behind_the_only_friend_does_not(sybils) -> None:
    def kept(friends: int) -> float:
        lists: Lists = {"ego": ({f"f{n}": 1.0 for n in range(friends)}, {})}
        lists |= {f"f{n}": ({}, {"good": 1.0}) for n in range(friends)}
        lists["f0"] = ({f"s{n}": 1.0 for n in range(sybils)}, {"good": 1.0})
        lists |= {f"s{n}": ({}, {"spam": 1.0}) for n in range(sybils)}
        decayed, plain = (_ranked(lists, beta=beta, prior_hits=0.0)[1] for beta in (0.8, 0.0))
        assert decayed.score_of("good") == pytest.approx(plain.score_of("good"))
        return decayed.score_of("spam") / plain.score_of("spam")

    assert kept(5) == pytest.approx(0.2, abs=0.01)
    assert kept(1) == pytest.approx(0.2 if sybils == 1 else 1 - 0.8 / sybils, abs=0.03)


@pytest.mark.parametrize("accelerate", [False, True])
@given(
    walks=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5, unique=True), min_size=1, max_size=30),
    direct=st.sets(st.integers(1, 6), max_size=2),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_shares_are_those_of_a_naive_recount(
    accelerate: bool, walks: list[list[int]], direct: set[int], seed: int
) -> None:
    n_peers = 7
    lengths = [len(w) for w in walks]
    cells = WalkCells(
        cells=np.concatenate([np.array(w, np.int32) for w in walks]),
        first=np.ones(sum(lengths), np.bool_),
        bounds=np.concatenate(([0], np.cumsum(lengths))),
        walk=np.repeat(np.arange(len(walks), dtype=np.int32), lengths),
        ego=0,
    )
    hits = np.bincount(cells.cells, minlength=n_peers)
    is_direct = np.isin(np.arange(n_peers), list(direct))
    targets = np.flatnonzero((hits > 0) & ~is_direct)
    shared = find_kernels(accelerate).co_visits(cells, targets, hits)
    reached = np.flatnonzero(hits)
    cuts = CutPeers.of(shared, reached, hits[reached], is_direct[reached], len(walks))
    rng = np.random.default_rng(seed)
    support = rng.random((4, n_peers)) * (hits > 0)
    support[support < 0.4] = 0.0
    rows, columns = np.nonzero(support)
    supporters = WeightedRows.from_edges(rows, columns, support[rows, columns], 4, n_peers)
    largest = cuts.largest_share(supporters)
    for item in range(4):
        total = support[item].sum()
        expected = 0.0
        for x in range(1, n_peers):
            share = 0.0
            for p in np.flatnonzero(support[item]):
                if p in direct:
                    continue
                through = sum(x in w[: w.index(p) + 1] for w in walks if p in w) / hits[p]
                share += support[item, p] / total * (through if through >= SMALLEST_SHARE else 0.0)
            usual = hits[x] / len(walks) if x in direct else 0.0
            expected = max(expected, (share - usual) / max(1 - usual, 1e-9))
        assert largest[item] == pytest.approx(expected)
