"""What Sybils, 30 % of all identities, do to the blend, to the walk alone, and to social rankings without trust.

Eight attackers command the Sybils, each region wired in another way. Attack edges: so many honest people, drawn, were
fooled into vouching for an attacker, as strongly as for a friend; some of those who are asked are among them. Every
attacker and Sybil lists the three artists that are pushed and, to be met by walks, the most popular ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.attacks import WIRINGS, World, attacked, fooled, most_listed
from benchmarks.blend_friends import friends_of_friends, walk, world_of
from benchmarks.blend_lists import DEPTH, Lists, walked_lists
from benchmarks.blend_measures import TOP, Floats, gains
from benchmarks.blend_people import Case, Ints, People

SYBIL_SHARE = 0.3
FOOLED_SHARE = 0.05
ATTACKERS = 8
_POPULAR = 5
Blend = Callable[[Lists], list[Ints]]


@dataclass(frozen=True, slots=True)
class Attacked:
    """One system before and under the attack; means over all cases.

    Attributes:
        system: name.
        recall, recall_attacked, ndcg, ndcg_attacked: at 10.
        spam: part of the first ten places that spam holds under the attack.
    """

    system: str
    recall: float
    recall_attacked: float
    ndcg: float
    ndcg_attacked: float
    spam: float


def attacked_world(people: People, seed: int) -> World:
    """Everyone and the attackers."""
    world = world_of(people, seed)
    honest = list(world)
    popular = most_listed(world, _POPULAR)
    sybils = round(SYBIL_SHARE / (1.0 - SYBIL_SHARE) * len(honest)) - ATTACKERS
    rng = np.random.default_rng((seed, 2))
    victims = rng.permutation(len(honest))[: max(ATTACKERS, round(FOOLED_SHARE * len(honest)))]
    for number in range(ATTACKERS):
        attacker = ("attacker", number)
        mine = [honest[place] for place in victims[number::ATTACKERS].tolist()]
        wiring = list(WIRINGS.values())[number % len(WIRINGS)]
        count = sybils // ATTACKERS + (number < sybils % ATTACKERS)
        world = attacked(fooled(world, mine, attacker, 2.0), wiring, attacker, count, popular)
    return world


def under_attack(
    people: People,
    cases: Sequence[Case],
    blended: Blend,
    seed: int,
    progress: Callable[[int, int], None],
) -> list[Attacked]:
    """Compare every system with itself.

    Args:
        people: everybody.
        cases: who asks.
        blended: makes the blend's lists of walks; the model's lists are beyond peers' reach.
        seed: decides who is fooled.
        progress: told (walks done, walks).
    """
    worlds = (world_of(people, seed), attacked_world(people, seed))
    total, done = 4 * len(cases), 0
    found: dict[str, list[list[Ints]]] = {"blended": [], "friends alone": [], "vanilla SALSA": [], "friend counts": []}
    for world in worlds:
        for vanilla in (False, True):
            walks = []
            for _, each in walk(people, world, cases, DEPTH, vanilla=vanilla):
                walks.append(each)
                done += 1
                progress(done, total)
            if not vanilla:
                found["blended"].append(blended(walked_lists(walks)))
            found["vanilla SALSA" if vanilla else "friends alone"].append([each.items for each in walks])
        found["friend counts"].append([friends_of_friends(people, world, case, TOP) for case in cases])
    return [
        _row(name, gains(before, cases), gains(after, cases), after, people) for name, (before, after) in found.items()
    ]


def _row(name: str, before: Floats, after: Floats, lists: Sequence[Ints], people: People) -> Attacked:
    spam = float(np.mean([np.isin(items[:TOP], people.spam).sum() / TOP for items in lists]))
    recall, ndcg = before.mean(axis=0).tolist()
    recall_after, ndcg_after = after.mean(axis=0).tolist()
    return Attacked(name, recall, recall_after, ndcg, ndcg_after, spam)
