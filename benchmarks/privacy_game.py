"""The membership game: is this item in the private history of the device whose records I have seen?

For each device and each of some target items a fair coin decides whether the item's event is put into the history or
kept out; all else stays as it is. The device publishes on several days while its history grows. The attacker sees
every record and knows policy, catalog and popularity. It is the strongest that sees only the target's own edges: from
shadow games with known coins (Shokri et al., S&P 2017) it learns how likely each pattern of being told over the days
is with and without the item, and scores by the likelihood ratio; other games measure it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from device_runtime import Action
from p2p import item_key
from sdk.item_opinion import ItemOpinion
from sdk.publication_log import ToldItem
from sdk.randomised_response import KeyedCoins, RandomisedResponse
from sdk.selection import OwnItems, Told, select_items
from sdk.sharing import SharingPolicy

FIRST_DAY = 20_000
_LIKED = frozenset({int(Action.LIKE)})
Pattern = tuple[bool, ...]
Published = list[set[str]]
"""Ids of the items in the records of one device, day by day."""

Likes = Mapping[str, tuple[int, int]]
"""What one person likes: level, and the day from which on."""


class PopularItems:
    """A catalog without categories, whose popularity everybody knows; stands where a bundle's `PublicCatalog` does."""

    namespace = "privacy"

    def __init__(self, popular: Sequence[str]) -> None:
        self._popular = list(popular)
        self._known = set(popular)
        self._keys = {item: item_key(self.namespace, item) for item in popular}

    def __contains__(self, item: str) -> bool:
        return item in self._known

    def key(self, item: str) -> bytes:
        """Return the key that names an item in records."""
        return self._keys[item]

    def categories_of(self, item: str) -> tuple[str, ...]:
        """Return none."""
        del item
        return ()

    def most_popular(self, count: int, policy: SharingPolicy) -> list[str]:
        """Return the most popular items that the policy allows."""
        return [item for item in self._popular[: count + len(policy.deny_items)] if item not in policy.deny_items][
            :count
        ]


Publish = Callable[[SharingPolicy, Likes, Sequence[int], PopularItems, bytes], Published]


def publish(
    policy: SharingPolicy, likes: Likes, days: Sequence[int], catalog: PopularItems, secret: bytes
) -> Published:
    """Publish on each day what the SDK selects."""
    told, coins, records = Told(), KeyedCoins(secret), []
    for day in days:
        chosen = select_items(policy, _history(likes, day), catalog, told, coins, day)
        told = _after(told, chosen.answers, {shared.edge.key for shared in chosen.items}, days[0], day)
        records.append({shared.item for shared in chosen.items if shared.item is not None})
    return records


def publish_with_fresh_noise(
    policy: SharingPolicy, likes: Likes, days: Sequence[int], catalog: PopularItems, secret: bytes
) -> Published:
    """What must not be done, 1: answer anew every day with new coins."""
    records = []
    for number, day in enumerate(days):
        records += publish(policy, likes, [day], catalog, secret + bytes([number]))
    return records


def publish_with_fixed_noise(
    policy: SharingPolicy, likes: Likes, days: Sequence[int], catalog: PopularItems, secret: bytes
) -> Published:
    """What must not be done, 2: answer anew every day with the same coins, as RAPPOR does for unchanging values."""
    assert policy.epsilon is not None
    response, coins = RandomisedResponse(policy.epsilon, policy.truth), KeyedCoins(secret)
    domain = catalog.most_popular(response.domain_size(policy.made_up), policy)
    drawn = {item: coins.coin(catalog.key(item), 0) for item in domain}
    return [
        {item for item in domain if response.tells(drawn[item], item in likes and likes[item][1] <= day)}
        for day in days
    ]


def _history(likes: Likes, day: int) -> OwnItems:
    now = [ItemOpinion(item, level, since, _LIKED) for item, (level, since) in likes.items() if since <= day]
    return OwnItems(sorted(now, key=lambda o: (-o.level, -o.day, o.item)), [opinion.item for opinion in now])


def _after(told: Told, answers: Mapping[bytes, object], keys: set[bytes], began: int, day: int) -> Told:
    items = {key: replace(item, now=key in keys) for key, item in told.items.items()}
    for key in keys:
        if key not in told.items or not told.items[key].now:
            items[key] = ToldItem(None, day, True)
    return Told({**told.answers, **answers}, items, began)  # type: ignore[dict-item]


@dataclass(frozen=True)
class Games:
    """Played games.

    Attributes:
        patterns: on which days the target was told.
        members: bool [games], whether the target was in the history.
    """

    patterns: list[Pattern]
    members: NDArray[np.bool_]


def play(
    policy: SharingPolicy,
    people: Sequence[Mapping[str, int]],
    catalog: PopularItems,
    targets: Sequence[str],
    days: Sequence[int],
    seed: int,
    published: Publish = publish,
    *,
    settled: bool = False,
) -> Games:
    """Play one game per person and target.

    Args:
        policy: of every device.
        people: levels of the items that each person likes.
        catalog: of all devices.
        targets: the items that the attacker asks about.
        days: on which devices publish.
        seed: of days, coins of the game, and secrets of the devices.
        published: what devices do.
        settled: whether all items are liked before the first publication; else from a random day on, which may be
            a month before it and up to the last.
    """
    since = (days[0] - 30, days[0] if settled else days[-1])
    patterns, members = [], []
    for person, liked in enumerate(people):
        rng = np.random.default_rng((seed, person))
        likes = {item: (level, int(rng.integers(*since))) for item, level in liked.items()}
        coins = rng.random(len(targets)) < 0.5
        for target, member in zip(targets, coins, strict=True):
            likes.pop(target, None)
            if member:
                likes[target] = (int(rng.integers(2, 4)), int(rng.integers(*since)))
        records = published(policy, likes, days, catalog, rng.bytes(32))
        patterns += [tuple(target in record for record in records) for target in targets]
        members += coins.tolist()
    return Games(patterns, np.array(members, bool))


@dataclass(frozen=True)
class Leak:
    """How well the attacker does.

    Attributes:
        games: how many it was measured on.
        auc: area under its curve, 0.5 for guessing.
        advantage: true minus false positives of its decisions, 0 for guessing.
        error: standard error of the advantage.
        true_positive: share of true positives at one false positive in a hundred.
    """

    games: int
    auc: float
    advantage: float
    error: float
    true_positive: float


def attack(shadow: Games, played: Games, false_positive: float = 0.01) -> Leak:
    """Learn from shadow games, decide the played ones, and compare with the truth."""
    score = _scores(shadow)
    scores = np.array([score(pattern) for pattern in played.patterns])
    members, positives = played.members, scores > 0
    n_in, n_out = int(members.sum()), int((~members).sum())
    hit, false = positives[members].mean(), positives[~members].mean()
    error = math.sqrt(hit * (1 - hit) / n_in + false * (1 - false) / n_out)
    fpr, tpr = roc(scores, members)
    auc = float(np.trapezoid(tpr, fpr))
    return Leak(len(scores), auc, float(hit - false), error, float(np.interp(false_positive, fpr, tpr)))


def _scores(shadow: Games) -> Callable[[Pattern], float]:
    """Return the log likelihood ratio of patterns, with one imagined game of each kind for every pattern."""
    counts = {True: Counter[Pattern](), False: Counter[Pattern]()}
    for pattern, member in zip(shadow.patterns, shadow.members.tolist(), strict=True):
        counts[member][pattern] += 1
    kinds = len(counts[True].keys() | counts[False].keys()) + 1
    totals = {member: counted.total() + kinds for member, counted in counts.items()}

    def score(pattern: Pattern) -> float:
        return math.log((counts[True][pattern] + 1) / totals[True] * totals[False] / (counts[False][pattern] + 1))

    return score


def roc(scores: NDArray[np.float64], members: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive shares from (0, 0) to (1, 1); equal scores are one straight piece."""
    _, places = np.unique(-scores, return_inverse=True)
    kinds = int(places.max()) + 1
    hits = np.bincount(places, members, kinds)
    false = np.bincount(places, ~members, kinds)
    start = np.zeros(1)
    return (
        np.concatenate([start, np.cumsum(false) / false.sum()]),
        np.concatenate([start, np.cumsum(hits) / hits.sum()]),
    )
