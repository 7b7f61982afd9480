"""What a person's network says, by the walks that devices walk: peers by MeritRank, items by trust-weighted SALSA.

Everyone publishes the whole list in levels and at most 32 friends, all vouched for alike: how alike two people's tastes
are is not used, as it would tell what is hidden. The person in question has on the device what the case says is known.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks import Edges, World, graph_of, is_spam
from benchmarks.blend_people import Case, Ints, People, Person
from sdk.social import SocialConfig
from trust import AuthorEdges, ItemRanking, rank_items, rank_peers

_MOST_FRIENDS, _MOST_ARTISTS = 32, 64
_LEVEL_WEIGHT = np.array([0.0, 1.0, 2.0, 4.0])
_VOUCH = 2.0
WALKS = SocialConfig()
"""As a device walks."""


@dataclass(frozen=True, slots=True)
class Walked:
    """One item walk from one device.

    Attributes:
        items: int64 [n], places in the catalog, best first, none of them known.
        scores: float64 [n], share of walks times connectivity.
        n_peers: peers with trust.
        n_hits: hits of items that peers support.
    """

    items: Ints
    scores: NDArray[np.float64]
    n_peers: int
    n_hits: int


def world_of(people: People, seed: int) -> World:
    """Everyone's published lists: friends ("p", key) and artists ("i", place)."""
    world: World = {}
    for person in people.persons.values():
        drawn = np.random.default_rng((seed, person.key, 1)).permutation(np.array(person.friends, np.int64))
        trust: Edges = {("p", friend): _VOUCH for friend in sorted(drawn[:_MOST_FRIENDS].tolist())}
        world["p", person.key] = (trust, _items(person, np.arange(len(person.artists))))
    return world


def _items(person: Person, known: Ints) -> Edges:
    strongest = known[np.argsort(-person.levels[known], kind="stable")][:_MOST_ARTISTS]
    pairs = zip(person.artists[strongest].tolist(), _LEVEL_WEIGHT[person.levels[strongest]].tolist(), strict=True)
    return {("i", artist): weight for artist, weight in pairs}


def walk(
    people: People, world: World, cases: Iterable[Case], depth: int, *, vanilla: bool = False
) -> Iterator[tuple[Case, Walked]]:
    """Walk for each case; cases of one person should follow one another, who then looks around only once.

    Args:
        people: everybody.
        world: what everybody states, attackers too.
        cases: who asks.
        depth: items of a list.
        vanilla: without trust, as a baseline under attack.
    """
    graph = graph_of(world)
    config = replace(WALKS.items, trust_weighted=not vanilla)
    ego: Hashable = None
    for case in cases:
        person = people.persons[case.person]
        if ego != ("p", case.person):
            ego = ("p", case.person)
            peers = rank_peers(graph, ego, WALKS.peers)
        trust, items = world[ego]
        graph.replace(ego, AuthorEdges(trust, _items(person, case.known)))
        found = rank_items(graph, ego, peers, config)
        graph.replace(ego, AuthorEdges(trust, items))
        yield case, _walked(people, found, person.artists[case.known], len(peers), depth)


def _walked(people: People, found: ItemRanking, known: Ints, n_peers: int, depth: int) -> Walked:
    own = set(known.tolist())
    placed = ((_place(people, item), score) for item, score in found.supported(depth + len(own)))
    best = [(place, score) for place, score in placed if place not in own]
    items, scores = (np.array(column) for column in zip(*best[:depth], strict=True)) if best else ((), ())
    return Walked(np.asarray(items, np.int64), np.asarray(scores, np.float64), n_peers, found.peer_hits)


def _place(people: People, item: Hashable) -> int:
    assert isinstance(item, tuple)
    return people.spam[item[1]] if is_spam(item) else int(item[1])


def friends_of_friends(people: People, world: World, case: Case, depth: int) -> Ints:
    """Items by how many people within two steps list them, without any weight: what a plain social feed counts."""
    person = people.persons[case.person]
    near = dict.fromkeys(world["p", person.key][0])
    for friend in list(near):
        near.update(dict.fromkeys(world[friend][0]) if friend in world else {})
    near.pop(("p", person.key), None)
    counts = np.zeros(len(people.catalog), np.int64)
    for peer in near:
        counts[[_place(people, item) for item in world[peer][1]]] += 1
    counts[person.artists[case.known]] = 0
    order = np.argsort(-counts, kind="stable")[:depth]
    return order[counts[order] > 0]
