"""`python -m benchmarks.sybil`: what attackers gain, beside the bound, plain personalised PageRank and vanilla SALSA.

Gain is what the attackers' region scores for its Sybils, as a multiple of the share of walks that reach the attacker
without any; the bound is I6 with the smoothed bottleneck, (1 − β·b0)(1 − α)/α, for any number of Sybils however wired.
Plain PageRank's gain is its mass of attacker and Sybils over the attacker's alone, less 1. Spam is the attackers' share
of all scores of items that the ego does not list itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import networkx as nx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.attacks import WIRINGS, World, attacked, community, fooled, graph_of, is_attacker, is_spam, most_listed
from trust import (
    ItemRanking,
    MeritRankConfig,
    PeerRanking,
    SalsaConfig,
    TrustGraph,
    rank_items,
    rank_peers,
    to_networkx,
)

EGO: Hashable = ("p", 0)
ATTACKER: Hashable = ("attacker", 0)
COUNTS = (1, 10, 100, 500)


@dataclass(frozen=True)
class Row:
    """One attack: gains of the region's Sybils and shares of spam."""

    attack: str
    sybils: int
    bound: float
    measured: float
    pagerank: float
    spam: float
    vanilla: float


def tolerance(config: MeritRankConfig) -> float:
    """The bound c of Sybil tolerance, with the smoothed bottleneck share."""
    return (1 - config.beta * config.prior_share) * (1 - config.alpha) / config.alpha


def spam_share(ranking: ItemRanking, own: Mapping[Hashable, float]) -> float:
    """The attackers' part of the scores of all items that the ego does not list itself; 0 if there are none."""
    unseen = {scored.item: scored.score for scored in ranking.scores if scored.item not in own}
    total = sum(unseen.values())
    return sum(score for item, score in unseen.items() if is_spam(item)) / total if total else 0.0


def sybil_score(ranking: PeerRanking) -> float:
    """What all Sybils, the attackers themselves excepted, score together."""
    return sum(s.score for s in ranking.scores if isinstance(s.peer, tuple) and s.peer[0] == "sybil")


def pagerank_gain(graph: TrustGraph, base: TrustGraph, attacker: Hashable, alpha: float) -> float:
    """Plain personalised PageRank's mass of the region over the attacker's own mass without Sybils, less 1."""
    masses = []
    for each in (graph, base):
        network = to_networkx(each)
        ranks = nx.pagerank(network, alpha=1 - alpha, personalization={EGO: 1.0}, tol=1e-10, max_iter=500)
        masses.append(sum(rank for node, rank in ranks.items() if node == attacker or is_attacker(node)))
    return masses[0] / masses[1] - 1.0 if masses[1] else 0.0


def measured(
    attack: str, sybils: int, world: World, base: World, config: MeritRankConfig, attacker: Hashable = ATTACKER
) -> Row:
    """Measure one attacked world against the same without Sybils."""
    graph, without = graph_of(world), graph_of(base)
    plain = MeritRankConfig(alpha=config.alpha, beta=0.0, walks=config.walks, min_hits=1)
    reached = rank_peers(without, EGO, plain).score_of(attacker)
    peers = rank_peers(graph, EGO, config)
    own = world[EGO][1]
    return Row(
        attack,
        sybils,
        tolerance(config),
        sybil_score(peers) / reached if reached else 0.0,
        pagerank_gain(graph, without, attacker, config.alpha),
        spam_share(rank_items(graph, EGO, peers, SalsaConfig(walks=config.walks)), own),
        spam_share(rank_items(graph, EGO, peers, SalsaConfig(walks=config.walks, trust_weighted=False)), own),
    )


def attacks(config: MeritRankConfig, counts: tuple[int, ...] = COUNTS) -> list[Row]:
    """Measure every attack of the battery that is a wiring, a number of edges or a way to state them."""
    world = community()
    popular = most_listed(world, 5)
    friends = list(world[EGO][0])
    strangers = [peer for peer in world if peer != EGO and peer not in friends]
    once = fooled(world, friends[:1], ATTACKER)
    base = attacked(once, WIRINGS["parallel"], ATTACKER, 0, popular)
    cases = [
        (f"{name}, one friend fooled", k, attacked(once, wiring, ATTACKER, k, popular), base)
        for name, wiring in WIRINGS.items()
        for k in counts
    ]
    cases += [
        ("popular items listed, nobody fooled", k, attacked(world, WIRINGS["parallel"], ATTACKER, k, popular), world)
        for k in counts
    ]
    for edges in (2, 5, 10):
        split = fooled(world, [*friends[:1], *strangers[: edges - 1]], ATTACKER)
        empty = attacked(split, WIRINGS["parallel"], ATTACKER, 0, popular)
        cases.append(
            (f"clique, {edges} people fooled", 100, attacked(split, WIRINGS["clique"], ATTACKER, 100, popular), empty)
        )
    loud = attacked(once, WIRINGS["clique"], ATTACKER, 100, popular)
    loud = {
        author: ({p: w * 1e9 for p, w in trust.items()}, {i: w * 1e9 for i, w in items.items()})
        if is_attacker(author)
        else (trust, items)
        for author, (trust, items) in loud.items()
    }
    cases.append(("clique, weights inflated 1e9 times", 100, loud, base))
    rows = [measured(*case, config) for case in track(cases, "attacking", transient=True)]
    # A friend of the ego's turns: its own edges are the region's now. Sybils behind it are strangers still.
    turned, silent = (attacked(world, WIRINGS["clique"], friends[0], k, popular) for k in (100, 0))
    return [*rows, measured("clique behind a friend who turned", 100, turned, silent, config, friends[0])]


def main() -> None:
    """Print the table; exit 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walks", type=int, default=40_000)
    parser.add_argument("--alpha", type=float, default=0.15)
    parser.add_argument("--beta", type=float, default=0.8)
    options = parser.parse_args()
    rows = attacks(MeritRankConfig(walks=options.walks, alpha=options.alpha, beta=options.beta))
    table = Table(title=f"120 honest people, alpha {options.alpha}, beta {options.beta}", title_justify="left")
    table.add_column("attack")
    for column in ("Sybils", "bound", "measured", "margin", "plain PageRank", "spam", "spam, vanilla SALSA"):
        table.add_column(column, justify="right")
    for row in rows:
        gains = (row.bound, row.measured, row.bound - row.measured, row.pagerank)
        shares = (f"{row.spam:.2%}", f"{row.vanilla:.2%}")
        table.add_row(row.attack, str(row.sybils), *(f"{gain:.2f}" for gain in gains), *shares)
    console = Console(width=140)
    console.print(table)
    broken = [row for row in rows if row.measured > row.bound]
    console.print(f"{len(rows) - len(broken)} of {len(rows)} within the bound")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
