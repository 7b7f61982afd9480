"""Real networks, where MERITREC_DATA names a folder with them: friendships with listening, and signed trust ratings."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lastfm import find_folder, load
from benchmarks.web3recommend import quality
from trust import AuthorEdges, GraphLimits, MeritRankConfig, TrustGraph, rank_peers

DATA = os.environ.get("MERITREC_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="MERITREC_DATA names no folder with hetrec-lastfm and bitcoin-otc"),
]


def test_r1_and_r2_removed_favourites_come_back_and_alpha_changes_little() -> None:
    world = load(find_folder(DATA))
    known = [person for person, (trust, items) in world.items() if len(trust) >= 3 and len(items) >= 20]
    roots = [known[place] for place in np.random.default_rng(1).permutation(len(known))[:40]]
    found = {(r.method, r.at, r.measure): r.value for r in quality(world, roots, lambda: None)}
    for alpha in (0.1, 0.15, 0.3):
        recall = found["trust walk", alpha, "top 100"]
        assert recall > 0.5  # the paper: more than half of a hundred roots
        assert recall >= found["popularity", 0.15, "top 100"]
    assert found["trust walk", 0.1, "RBO"] == pytest.approx(1.0)
    assert found["trust walk", 0.15, "RBO"] >= 0.6


def test_walks_tell_held_out_good_ratings_from_bad_ones() -> None:
    (path,) = Path(DATA or "", "bitcoin-otc").glob("*.csv")
    trusted: dict[int, dict[int, float]] = defaultdict(dict)
    rejected: dict[int, set[int]] = defaultdict(set)
    with path.open(newline="") as file:
        for source, target, rating, _ in csv.reader(file):
            if source.isdigit() and source != target:
                if float(rating) > 0:
                    trusted[int(source)][int(target)] = float(rating)
                else:
                    rejected[int(source)].add(int(target))
    graph = TrustGraph(GraphLimits(trust_edges=2_000))
    for author, edges in trusted.items():
        graph.replace(author, AuthorEdges(edges, {}))
    egos = [person for person in trusted if len(trusted[person]) >= 10 and len(rejected[person]) >= 5]
    areas = []
    for ego in egos:
        order = np.random.default_rng(ego).permutation(sorted(trusted[ego])).tolist()
        kept = {peer: trusted[ego][peer] for peer in order[len(order) // 2 :]}
        graph.replace(ego, AuthorEdges(kept, {}))
        ranking = rank_peers(graph, ego, MeritRankConfig(min_hits=1))
        good = np.array([ranking.score_of(peer) for peer in order[: len(order) // 2]])
        bad = np.array([ranking.score_of(peer) for peer in rejected[ego]])
        areas.append((good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2)
        graph.replace(ego, AuthorEdges(trusted[ego], {}))
    assert len(egos) >= 50
    assert np.mean(areas) > 0.62
