"""Worlds of honest people, and what attackers add to them.

A world is author → (trust edges, item edges). Attackers cannot change what honest people state; they are reached by
attack edges, honest people's own mistakes, and decide everything that leaves their own region.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import pairwise

import numpy as np

from trust import AuthorEdges, GraphLimits, TrustGraph

Edges = dict[Hashable, float]
World = dict[Hashable, tuple[Edges, Edges]]
SPAM: list[Hashable] = [("spam", n) for n in range(3)]
LIMITS = GraphLimits(authors=100_000, trust_edges=2_000, item_edges=2_000)


def graph_of(world: Mapping[Hashable, tuple[Edges, Edges]]) -> TrustGraph:
    """Load a world."""
    graph = TrustGraph(LIMITS)
    for author, (trust, items) in world.items():
        graph.replace(author, AuthorEdges(trust, items))
    return graph


def community(people: int = 120, items: int = 240, seed: int = 7) -> World:
    """Make people with 5 friends, mostly of their own quarter, and 8 items each, popular ones first."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, items + 1)
    popularity /= popularity.sum()
    world: World = {}
    for person in range(people):
        near = [p for p in range(people) if p % 4 == person % 4 and p != person]
        far = [p for p in range(people) if p % 4 != person % 4]
        friends = [*rng.choice(near, 4, replace=False).tolist(), int(rng.choice(far))]
        liked = rng.choice(items, size=8, replace=False, p=popularity).tolist()
        world["p", person] = (
            {("p", friend): float(rng.integers(1, 4)) for friend in friends},
            {("i", item): float(rng.integers(1, 4)) for item in liked},
        )
    return world


def fooled(world: World, friends: Iterable[Hashable], attacker: Hashable, weight: float = 1.0) -> World:
    """Let some people vouch for an attacker."""
    changed = dict(world)
    for friend in friends:
        trust, items = changed[friend]
        changed[friend] = ({**trust, attacker: weight}, items)
    return changed


def parallel(attacker: Hashable, sybils: list[Hashable]) -> dict[Hashable, Edges]:
    """The attacker vouches for every Sybil."""
    return {attacker: dict.fromkeys(sybils, 1.0)}


def chain(attacker: Hashable, sybils: list[Hashable]) -> dict[Hashable, Edges]:
    """The attacker vouches for the first Sybil, each for the next."""
    return {source: {target: 1.0} for source, target in pairwise([attacker, *sybils])}


def cycle_star(attacker: Hashable, sybils: list[Hashable]) -> dict[Hashable, Edges]:
    """The attacker vouches for every Sybil and each for the attacker."""
    return {attacker: dict.fromkeys(sybils, 1.0)} | {sybil: {attacker: 1.0} for sybil in sybils}


def ring(attacker: Hashable, sybils: list[Hashable]) -> dict[Hashable, Edges]:
    """The Sybils vouch in a circle that the attacker leads into."""
    if len(sybils) < 2:
        return parallel(attacker, sybils)
    return {attacker: {sybils[0]: 1.0}} | {a: {b: 1.0} for a, b in pairwise([*sybils, sybils[0]])}


def clique(attacker: Hashable, sybils: list[Hashable]) -> dict[Hashable, Edges]:
    """The attacker vouches for every Sybil and each of them for all others."""
    everyone = dict.fromkeys(sybils, 1.0)
    return {attacker: everyone} | {s: {other: 1.0 for other in sybils if other != s} for s in sybils}


Wiring = Callable[[Hashable, list[Hashable]], dict[Hashable, Edges]]
WIRINGS: dict[str, Wiring] = {
    "parallel": parallel,
    "chain": chain,
    "cycle star": cycle_star,
    "ring": ring,
    "clique": clique,
}


def attacked(world: World, wiring: Wiring, attacker: Hashable, count: int, popular: Iterable[Hashable] = ()) -> World:
    """Add a region behind one attacker."""
    return world | region(wiring, attacker, count, popular)


def region(wiring: Wiring, attacker: Hashable, count: int, popular: Iterable[Hashable] = ()) -> World:
    """An attacker with Sybils; all of them list the spam and, to be met by walks, some popular items."""
    sybils: list[Hashable] = [("sybil", attacker, n) for n in range(count)]
    trust = wiring(attacker, sybils)
    items = dict.fromkeys([*SPAM, *popular], 1.0)
    return {member: (trust.get(member, {}), items) for member in [attacker, *sybils]}


def most_listed(world: World, count: int) -> list[Hashable]:
    """The items that most people list."""
    listed: dict[Hashable, int] = {}
    for _, items in world.values():
        for item in items:
            listed[item] = listed.get(item, 0) + 1
    return sorted(listed, key=lambda item: -listed[item])[:count]


def is_attacker(key: Hashable) -> bool:
    """Whether a key belongs to an attackers' region built here."""
    return isinstance(key, tuple) and key[0] in ("attacker", "sybil")


def is_spam(item: Hashable) -> bool:
    """Whether an item is the attackers'."""
    return isinstance(item, tuple) and item[0] == "spam"
