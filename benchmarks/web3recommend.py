"""`python -m benchmarks.web3recommend --data FOLDER`: the experiments of Web3Recommend (arXiv 2307.01411) on Last.fm.

Quality: each person's favourite artist is taken out of the person's own list; is it among the first k unseen items,
for each alpha, beside popularity and vanilla SALSA? Stability: rank-biased overlap (p = .9) of the first hundred items
with those of alpha = .1. Attacks: one chain, or one star of cycles, of 1 to 100 Sybils behind a friend of a friend; and
a share of all people turned attackers, half with a chain of 20 Sybils and half with 2 in a cycle. Every Sybil lists
three items of spam and the five most popular artists.

The paper's own data (Million Song Dataset) and code differ: trust there is similarity alone. Shapes compare, numbers
do not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.attacks import (
    SPAM,
    WIRINGS,
    World,
    attacked,
    chain,
    cycle_star,
    fooled,
    graph_of,
    is_spam,
    most_listed,
    region,
)
from benchmarks.lastfm import DataMissing, file_hashes, find_folder, load
from benchmarks.sybil import spam_share
from benchmarks.web3recommend_plots import draw
from trust import AuthorEdges, MeritRankConfig, SalsaConfig, TrustGraph, rank_items, rank_peers

ALPHAS = (0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9)
CUTS = (10, 100, 500, 1000)
BETAS = (0.0, 0.5, 0.8, 1.0)
SYBILS = (1, 2, 5, 10, 20, 50, 100)
HOSTILE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
VANILLA = "vanilla SALSA"
RBO_P = 0.9


@dataclass(frozen=True)
class Result:
    """One figure of one experiment."""

    experiment: str
    method: str
    at: float
    measure: str
    value: float


def ranked(
    graph: TrustGraph, ego: Hashable, own: Sequence[Hashable], alpha: float, beta: float, vanilla: bool
) -> list[Hashable]:
    """Items that the ego does not list, best first."""
    peers = rank_peers(graph, ego, MeritRankConfig(alpha=alpha, beta=beta))
    config = SalsaConfig(alpha=alpha, beta=beta, trust_weighted=not vanilla)
    mine = set(own)
    return [s.item for s in rank_items(graph, ego, peers, config).scores if s.item not in mine]


def rank_biased_overlap(a: Sequence[Hashable], b: Sequence[Hashable], depth: int = 100) -> float:
    """Rank-biased overlap of two lists cut at `depth`, extrapolated (Webber, Moffat and Zobel, TOIS 2010, eq. 32)."""
    depth = min(depth, len(a), len(b))
    if depth == 0:
        return 0.0
    seen_a: set[Hashable] = set()
    seen_b: set[Hashable] = set()
    total, overlap = 0.0, 0
    for place in range(depth):
        seen_a.add(a[place])
        seen_b.add(b[place])
        overlap = len(seen_a & seen_b)
        total += RBO_P**place * overlap / (place + 1)
    return (1 - RBO_P) * total + RBO_P**depth * overlap / depth


def quality(world: World, roots: list[Hashable], tick: Callable[[], object]) -> list[Result]:
    """Removed favourites and rank-biased overlap, for each alpha."""
    graph, results = graph_of(world), []
    popular = most_listed(world, CUTS[-1] + 100)
    methods = [(f"{alpha:g}", alpha, False) for alpha in ALPHAS] + [(VANILLA, 0.15, True)]
    found = {(name, cut): 0 for name, _, _ in [*methods, ("popularity", 0.0, False)] for cut in CUTS}
    overlaps: dict[str, list[float]] = {name: [] for name, _, _ in methods}
    for root in roots:
        trust, items = world[root]
        favourite = max(items, key=lambda item: items[item])
        own = [item for item in items if item != favourite]
        graph.replace(root, AuthorEdges(trust, {item: items[item] for item in own}))
        lists = {name: ranked(graph, root, own, alpha, 0.8, vanilla) for name, alpha, vanilla in methods}
        lists["popularity"] = [item for item in popular if item not in set(own)]
        for name, ranking in lists.items():
            place = ranking.index(favourite) if favourite in ranking else len(world) * 100
            for cut in CUTS:
                found[name, cut] += place < cut
        for name in overlaps:
            overlaps[name].append(rank_biased_overlap(lists[name], lists["0.1"]))
        graph.replace(root, AuthorEdges(trust, items))
        tick()
    for (name, cut), count in found.items():
        method = "trust walk" if name[0] == "0" else name
        results.append(
            Result(
                "removed favourite", method, float(name) if name[0] == "0" else 0.15, f"top {cut}", count / len(roots)
            )
        )
    for name, values in overlaps.items():
        method = "trust walk" if name != VANILLA else name
        results.append(
            Result(
                "overlap with alpha .1", method, float(name) if name != VANILLA else 0.15, "RBO", float(np.mean(values))
            )
        )
    return results


Spam = tuple[float, float, float]
"""Spam's share of all unseen scores, of the first ten places, and the share of spam items among the first hundred."""


def spam_of(world: World, roots: Sequence[Hashable], alpha: float) -> dict[str, Spam]:
    """For each beta and for vanilla SALSA, the mean over some people of what their lists hold of spam."""
    graph = graph_of(world)
    found: dict[str, list[Spam]] = {}
    for root in roots:
        own = world[root][1]
        for name, beta, vanilla in [*((f"beta {beta:g}", beta, False) for beta in BETAS), (VANILLA, 0.8, True)]:
            peers = rank_peers(graph, root, MeritRankConfig(alpha=alpha, beta=beta))
            items = rank_items(graph, root, peers, SalsaConfig(alpha=alpha, beta=beta, trust_weighted=not vanilla))
            spam = [is_spam(s.item) for s in items.scores if s.item not in own]
            found.setdefault(name, []).append(
                (spam_share(items, own), sum(spam[:10]) / 10, sum(spam[:100]) / len(SPAM))
            )
    return {name: _mean(shares) for name, shares in found.items()}


def _mean(shares: list[Spam]) -> Spam:
    first, ten, hundred = np.mean(shares, axis=0).tolist()
    return first, ten, hundred


def one_attacker(
    world: World, roots: list[Hashable], wiring: str, alpha: float, tick: Callable[[], object]
) -> list[Result]:
    """One region behind a friend's friend of each root."""
    results, popular = [], most_listed(world, 5)
    for count in SYBILS:
        shares: dict[str, list[Spam]] = {}
        for number, root in enumerate(roots):
            behind = next(iter(world[next(iter(world[root][0]))][0]), root)
            victim = behind if behind != root else next(iter(world[root][0]))
            attacker = ("attacker", number)
            weight = float(np.mean(list(world[victim][0].values())))
            hostile = attacked(fooled(world, [victim], attacker, weight), WIRINGS[wiring], attacker, count, popular)
            for name, pair in spam_of(hostile, [root], alpha).items():
                shares.setdefault(name, []).append(pair)
        for name, pairs in shares.items():
            results += _spam_results(f"one attacker, {wiring}", name, count, pairs)
        tick()
    return results


def mass_attack(
    world: World, roots: list[Hashable], alpha: float, seed: int, tick: Callable[[], object]
) -> list[Result]:
    """A growing share of all people turned attackers; lists of those who are not."""
    results, popular = [], most_listed(world, 5)
    order = [list(world)[place] for place in np.random.default_rng(seed).permutation(len(world))]
    for share in HOSTILE:
        hostile = dict(world)
        turned = set(order[: int(share * len(order))])
        for number, person in enumerate(p for p in order if p in turned):
            wiring, count = ((chain, 20), (cycle_star, 2))[number % 2]
            hostile |= region(wiring, person, count, popular)
        honest = [root for root in roots if root not in turned]
        for name, pair in spam_of(hostile, honest, alpha).items() if honest else ():
            results += _spam_results("mass attack", name, share, [pair])
        tick()
    return results


def _spam_results(experiment: str, name: str, at: float, shares: list[Spam]) -> list[Result]:
    measures = ("spam in all scores", "first 10 places", "spam items in the first 100")
    return [Result(experiment, name, at, measure, mean) for measure, mean in zip(measures, _mean(shares), strict=True)]


def tables(results: list[Result]) -> list[Table]:
    """One table for each experiment and measure."""
    shown = []
    for experiment, measure in dict.fromkeys((r.experiment, r.measure) for r in results):
        mine = [r for r in results if (r.experiment, r.measure) == (experiment, measure)]
        steps = sorted({r.at for r in mine})
        table = Table(title=f"{experiment}: {measure}", title_justify="left", min_width=60)
        table.add_column("")
        for step in steps:
            table.add_column(f"{step:g}", justify="right")
        for method in dict.fromkeys(r.method for r in mine):
            values = {r.at: r.value for r in mine if r.method == method}
            table.add_row(method, *(f"{values[step]:.3f}" if step in values else "" for step in steps))
        shown.append(table)
    return shown


def main() -> None:
    """Run the experiments, print the tables, write results.json, results.txt and the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of hetrec-lastfm (default: MERITREC_DATA)")
    parser.add_argument("--out", type=Path, default=Path("web3recommend-out"))
    parser.add_argument("--roots", type=int, default=100, help="people for quality; a quarter of them for attacks")
    parser.add_argument("--alpha", type=float, default=0.15, help="of the attacks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        folder = find_folder(options.data)
    except DataMissing as error:
        sys.exit(f"web3recommend: {error}")
    world = load(folder)
    known = [person for person, (trust, items) in world.items() if len(trust) >= 3 and len(items) >= 20]
    chosen = np.random.default_rng(options.seed).permutation(len(known))[: options.roots]
    roots = [known[place] for place in chosen]
    few = roots[: max(1, len(roots) // 4)]
    console = Console(width=140)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("quality", total=len(roots))
        results = quality(world, roots, partial(progress.advance, task))
        for wiring in ("chain", "cycle star"):
            attack = progress.add_task(f"one attacker, {wiring}", total=len(SYBILS))
            results += one_attacker(world, few[:5], wiring, options.alpha, partial(progress.advance, attack))
        mass = progress.add_task("mass attack", total=len(HOSTILE))
        results += mass_attack(world, few, options.alpha, options.seed, partial(progress.advance, mass))
    options.out.mkdir(parents=True, exist_ok=True)
    stated = {"files": file_hashes(folder), "roots": len(roots), "alpha": options.alpha, "seed": options.seed}
    (options.out / "results.json").write_text(json.dumps(stated | {"results": [asdict(r) for r in results]}, indent=1))
    with (options.out / "results.txt").open("w") as file:
        for target in (console, Console(file=file, width=140)):
            for table in tables(results):
                target.print(table)
    plots = draw([asdict(result) for result in results], options.out)
    console.print(
        f"{len(world):,} people; files {stated['files']}. Written to {options.out}: results.json, results.txt, "
        + ", ".join(plots)
    )


if __name__ == "__main__":
    main()
