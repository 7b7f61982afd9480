"""`python -m benchmarks.privacy [--data FOLDER]`: what a device's records tell of its history, and what hiding costs.

Leak: the membership game of `benchmarks.privacy_game`, for every policy: nothing shared, items as they are, and items
under randomised response with several ε, beside what no test of such records can exceed; for histories that grow while
the device publishes, and for those complete before ("liked before", the worst case). Then what must not be done: fresh
coins every day; fixed coins asked every day. Cost: Recall@10 of what friends' records alone recommend, with a fifth of
each person's items hidden, beside popularity.

FilmTrust or Last.fm by --data or MERITREC_DATA; else people made from the seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.attacks import World, graph_of
from benchmarks.lastfm import DataMissing
from benchmarks.privacy_game import (
    FIRST_DAY,
    Leak,
    PopularItems,
    Publish,
    attack,
    play,
    publish,
    publish_with_fixed_noise,
    publish_with_fresh_noise,
)
from benchmarks.privacy_people import Population, find_population
from sdk.randomised_response import RandomisedResponse, advantage_bound, true_positive_bound
from sdk.sharing import SharingLevel, SharingPolicy
from trust import AuthorEdges, rank_items, rank_peers

EPSILONS = (0.5, 1.0, 2.0, 3.0, 4.0)
NAIVE_EPSILON = 2.0
FALSE_POSITIVE = 0.01
_SETTLED = ", liked before"
_K = 10
_HIDDEN = 0.2
_FRIENDS_PUBLISH = (FIRST_DAY, FIRST_DAY + 180)


@dataclass(frozen=True)
class Row:
    """What one policy leaks; bounds are None where there is none but 1."""

    policy: str
    leak: Leak
    advantage_bound: float | None
    true_positive_bound: float | None


@dataclass(frozen=True)
class Cost:
    """What friends' records are worth under one policy: told items and made-up ones per person, Recall@10."""

    policy: str
    told: float
    made_up: float
    recall: float
    error: float


def policy_of(epsilon: float | None) -> SharingPolicy:
    """Return the policy that tells items with this ε, or as they are."""
    return SharingPolicy(level=SharingLevel.ITEMS, epsilon=epsilon)


def leaks(people: Population, persons: int, targets: int, days: int, epsilons: Sequence[float], seed: int) -> list[Row]:
    """Play the game under every policy; targets are drawn from the items that every ε gives answers about."""
    rng = np.random.default_rng(seed)
    catalog = PopularItems(people.popular)
    least = min(RandomisedResponse(epsilon).domain_size(16) for epsilon in epsilons)
    popular = people.popular[: max(least, targets)]
    asked = [popular[place] for place in rng.permutation(len(popular))[:targets]]
    chosen = [people.likes[place] for place in rng.permutation(len(people.likes))[:persons]]
    publishing = [FIRST_DAY + 7 * week for week in range(days)]
    plans: list[tuple[str, SharingPolicy, Publish, float | None]] = [
        ("private", SharingPolicy.PRIVATE, publish, 0.0),
        ("items as they are", policy_of(None), publish, None),
        ("the same, targets denied", _denying(asked), publish, 0.0),
        *((f"items, ε = {epsilon:g}", policy_of(epsilon), publish, epsilon) for epsilon in epsilons),
        *((f"items, ε = {epsilon:g}{_SETTLED}", policy_of(epsilon), publish, epsilon) for epsilon in epsilons),
        (f"never do: fresh coins, ε = {NAIVE_EPSILON:g}", policy_of(NAIVE_EPSILON), publish_with_fresh_noise, None),
        (f"never do: fixed coins, ε = {NAIVE_EPSILON:g}", policy_of(NAIVE_EPSILON), publish_with_fixed_noise, None),
    ]
    rows = []
    for name, policy, how, epsilon in track(plans, "games", transient=True, console=Console(stderr=True)):
        settled = name.endswith(_SETTLED)
        shadow, played = (
            play(policy, chosen, catalog, asked, publishing, seed + n, how, settled=settled) for n in (1, 2)
        )
        leak = attack(shadow, played, FALSE_POSITIVE)
        bounds: tuple[float | None, float | None] = (None, None)
        if epsilon is not None:
            bounds = (advantage_bound(epsilon), true_positive_bound(epsilon, FALSE_POSITIVE))
        rows.append(Row(name, leak, *bounds))
    return rows


def _denying(items: Sequence[str]) -> SharingPolicy:
    return SharingPolicy(level=SharingLevel.ITEMS, deny_items=frozenset(items))


def costs(people: Population, roots: int, epsilons: Sequence[float], seed: int) -> list[Cost]:
    """Recommend from friends' records, published by everybody under each policy."""
    catalog = PopularItems(people.popular)
    rng = np.random.default_rng(seed)
    known = [p for p, liked in enumerate(people.likes) if len(liked) >= _K and len(people.friends[p]) >= 2]
    chosen = [known[place] for place in rng.permutation(len(known))[:roots]]
    hidden = {root: _hidden(people, root, rng) for root in chosen}
    found = [_popularity(people, hidden)]
    plans: list[tuple[str, float | None]] = [("items as they are", None)]
    plans += [(f"items, ε = {epsilon:g}", epsilon) for epsilon in epsilons]
    for name, epsilon in track(plans, "friends", transient=True, console=Console(stderr=True)):
        world, told, made_up = _published_world(people, catalog, epsilon, seed)
        recall, error = _recall(people, world, hidden)
        found.append(Cost(name, told, made_up, recall, error))
    return found


def _hidden(people: Population, root: int, rng: np.random.Generator) -> set[str]:
    items = list(people.likes[root])
    return {items[place] for place in rng.permutation(len(items))[: max(1, int(_HIDDEN * len(items)))]}


def _published_world(
    people: Population, catalog: PopularItems, epsilon: float | None, seed: int
) -> tuple[World, float, float]:
    policy, world, told, made_up = policy_of(epsilon), World(), 0, 0
    for person, liked in enumerate(people.likes):
        secret = np.random.default_rng((seed, person)).bytes(32)
        likes = {item: (level, FIRST_DAY - 1) for item, level in liked.items()}
        items = publish(policy, likes, _FRIENDS_PUBLISH, catalog, secret)[-1]
        told += len(items)
        made_up += len(items - set(liked))
        levels = {item: liked[item] if epsilon is None else 2 for item in items}
        friends: dict[Hashable, float] = {("p", friend): 2.0 for friend in people.friends[person][:32]}
        world["p", person] = (friends, {item: 2.0 ** (level - 1) for item, level in sorted(levels.items())})
    return world, told / len(people.likes), made_up / len(people.likes)


def _recall(people: Population, world: World, hidden: dict[int, set[str]]) -> tuple[float, float]:
    graph, values = graph_of(world), []
    for root, wanted in hidden.items():
        own = {item: 2.0 ** (level - 1) for item, level in people.likes[root].items() if item not in wanted}
        before = world["p", root]
        graph.replace(("p", root), AuthorEdges(before[0], dict(list(own.items())[:64])))
        peers = rank_peers(graph, ("p", root))
        ranked = [score.item for score in rank_items(graph, ("p", root), peers).scores if score.item not in own]
        graph.replace(("p", root), AuthorEdges(*before))
        values.append(len(wanted & {str(item) for item in ranked[:_K]}) / min(_K, len(wanted)))
    return float(np.mean(values)), float(np.std(values) / np.sqrt(len(values)))


def _popularity(people: Population, hidden: dict[int, set[str]]) -> Cost:
    values = []
    for root, wanted in hidden.items():
        own = set(people.likes[root]) - wanted
        first = [item for item in people.popular[: _K + len(own)] if item not in own][:_K]
        values.append(len(wanted & set(first)) / min(_K, len(wanted)))
    return Cost("private: popularity", 0, 0, float(np.mean(values)), float(np.std(values) / np.sqrt(len(values))))


def leak_table(rows: Sequence[Row]) -> Table:
    """Show what was measured beside the bounds."""
    table = Table(title="is the item in the history? what an attacker gains from all records", title_justify="left")
    for name in ("policy", "AUC", "advantage", "± 2 s.e.", "bound", f"TPR at {FALSE_POSITIVE:.0%} FPR", "bound"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for row in rows:
        leak, bounds = row.leak, [row.advantage_bound, row.true_positive_bound]
        shown = ["none" if bound is None else f"{bound:.3f}" for bound in bounds]
        table.add_row(
            row.policy,
            f"{leak.auc:.3f}",
            f"{leak.advantage:.3f}",
            f"{2 * leak.error:.3f}",
            shown[0],
            f"{leak.true_positive:.3f}",
            shown[1],
        )
    return table


def cost_table(found: Sequence[Cost]) -> Table:
    """Show what hiding costs."""
    table = Table(title=f"what friends' records alone recommend: Recall@{_K}", title_justify="left")
    for name in ("what everybody tells", "items told", "made up", f"Recall@{_K}", "± 2 s.e."):
        table.add_column(name, justify="left" if name.startswith("what") else "right")
    for cost in found:
        told = (f"{cost.told:.1f}", f"{cost.made_up:.1f}")
        table.add_row(cost.policy, *told, f"{cost.recall:.3f}", f"{2 * cost.error:.3f}")
    return table


def main() -> None:
    """Play, measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of FilmTrust or Last.fm (default: MERITREC_DATA, else made people)")
    parser.add_argument("--people", type=int, default=400, help="devices that are attacked")
    parser.add_argument("--targets", type=int, default=20, help="items asked about on each")
    parser.add_argument("--records", type=int, default=12, help="how often each publishes, once a week")
    parser.add_argument("--roots", type=int, default=150, help="people who are recommended to")
    parser.add_argument("--epsilon", type=float, nargs="+", default=list(EPSILONS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    try:
        people = find_population(options.data, options.seed)
    except DataMissing as error:
        sys.exit(f"privacy: {error}")
    console = Console(width=120)
    liked = sum(map(len, people.likes)) / len(people.likes)
    console.print(
        f"{people.name}: {len(people.likes):,} people, {len(people.popular):,} items, {liked:.1f} liked by each"
    )
    rows = leaks(people, options.people, options.targets, options.records, options.epsilon, options.seed)
    console.print(leak_table(rows))
    console.print(
        f"{rows[0].leak.games:,} games per row, {options.records} records of each device, seed {options.seed}"
    )
    found = costs(people, options.roots, options.epsilon, options.seed)
    console.print(cost_table(found))
    if options.json is not None:
        content = {"people": people.name, "leaks": [asdict(row) for row in rows], "costs": [asdict(c) for c in found]}
        options.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
