"""`python -m benchmarks.trust`: the trust walks beside networkx's personalised PageRank on the same graphs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import networkx as nx
import numpy as np

from trust import (
    AuthorEdges,
    GraphSnapshot,
    MeritRankConfig,
    PeerRanking,
    SalsaConfig,
    TrustGraph,
    rank_items,
    rank_peers,
)

_OUT_DEGREE = 10
_ITEMS_PER_PEER = 10
_REPEATS = 7


def made_graph(edges: int, seed: int = 0) -> tuple[TrustGraph, nx.DiGraph]:
    """Make a graph whose popularity follows a power law, for both sides."""
    rng = np.random.default_rng(seed)
    peers = edges // _OUT_DEGREE
    popularity = np.arange(1, peers + 1) ** -0.7
    popularity /= popularity.sum()
    graph, peer = TrustGraph(), nx.DiGraph()
    for author in range(peers):
        friends = set(rng.choice(peers, _OUT_DEGREE, p=popularity).tolist()) - {author}
        items = set(rng.choice(peers, _ITEMS_PER_PEER, p=popularity).tolist())
        weights = dict(zip(friends, rng.uniform(0.5, 2.0, len(friends)).tolist(), strict=True))
        graph.replace(author, AuthorEdges(trust=dict(weights), items={f"item {i}": 1.0 for i in items}))
        peer.add_weighted_edges_from((author, friend, weight) for friend, weight in weights.items())
    return graph, peer


def median_ms(call: Callable[[], object]) -> float:
    """Return the median time of a call in milliseconds, after one that is not counted."""
    call()
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def _peers(snapshot: GraphSnapshot) -> PeerRanking:
    return rank_peers(snapshot, 0, MeritRankConfig(), np.random.default_rng(0))


def _items(snapshot: GraphSnapshot, ranking: PeerRanking) -> object:
    return rank_items(snapshot, 0, ranking, SalsaConfig(), np.random.default_rng(0)).top(50)


def main() -> None:
    """Print the table."""
    print(f"{'trust edges':>12}{'snapshot':>10}{'peers':>9}{'items':>9}{'networkx':>10}{'networkx / peers':>18}   (ms)")
    for edges in (1_000, 10_000, 100_000):
        graph, peer = made_graph(edges)
        snapshot = graph.snapshot()
        ranking = _peers(snapshot)
        row = (
            median_ms(graph.snapshot),
            median_ms(partial(_peers, snapshot)),
            median_ms(partial(_items, snapshot, ranking)),
            median_ms(partial(nx.pagerank, peer, alpha=0.85, personalization={0: 1.0})),
        )
        print(f"{edges:>12,}{row[0]:>10.1f}{row[1]:>9.1f}{row[2]:>9.1f}{row[3]:>10.1f}{row[3] / row[1]:>17.2f}x")
    print("10,000 walks each; networkx computes plain personalised PageRank by power iteration, without any decay.")


if __name__ == "__main__":
    main()
