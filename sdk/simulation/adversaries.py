"""The attacks of a scenario, day by day. What each may do is what a real attacker could.

Attackers decide everything that leaves their own region; honest people are reached only by their own mistakes (being
fooled, a polluted history) or because their device was taken over. Each adversary draws from a stream of its own, so
that adding one changes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sdk.simulation.edges import Ints
from sdk.simulation.population import LEVELS, MOST_FRIENDS, MOST_LIKES, Population
from sdk.simulation.scenario import AttackConfig, AttackKind, Scenario, Wiring
from sdk.simulation.world import Attackers, Misbehaviour, Stated, Statement

_POPULAR = 8  # honest items that hijackers list, to be met by walks
_HONEST_LOOKING = 20  # likes that a farmer copies while it earns trust
_MISBEHAVIOUR: dict[AttackKind, Misbehaviour] = {"equivocator": "equivocate", "flooder": "flood", "eclipse": "eclipse"}
_WITHOUT_IDENTITIES = ("hijacked-friend", "profile-pollution")


@dataclass(frozen=True, slots=True, eq=False)
class Adversary:
    """One adversary; all its draws are made once, so that every day begins from the same choices.

    Attributes:
        config: what it was told to do.
        identities: int64 [times that it begins anew, identities], its numbers.
        spam: int64, the items that it pushes.
        fooled: int64, honest people who vouch for it, or whose history it pollutes.
        taken: int64, honest people whose devices it may take over.
        mask: int64 [identities, likes], honest items that it can pretend to like.
    """

    config: AttackConfig
    identities: Ints
    spam: Ints
    fooled: Ints
    taken: Ints
    mask: Ints


class Adversaries:
    """All adversaries of a scenario.

    Args:
        scenario: which.
        people: the honest people on the first day.
    """

    def __init__(self, scenario: Scenario, people: Population) -> None:
        self._all: list[Adversary] = []
        self.identities = 0
        spam = people.items
        for number, config in enumerate(scenario.attacks):
            rng = np.random.default_rng((scenario.seed, 2, number))
            drawn = _drawn(config, people, people.people + self.identities, spam, scenario.days, rng)
            self._all.append(drawn)
            self.identities += drawn.identities.size
            spam += config.spam_items
        self.spam = frozenset(range(people.items, spam))

    def on(self, day: int, people: Population) -> Attackers:
        """Return what all of them do on a day."""
        attackers = Attackers(spam=self.spam, identities=self.identities)
        for adversary in self._all:
            _ACTS[adversary.config.kind](adversary, attackers, day, people)
        return attackers

    def blocks(self) -> list[list[int]]:
        """Return the identities of each adversary that has any, all its lives together."""
        return [block for block in (each.identities.ravel().tolist() for each in self._all) if block]

    def surrounded(self) -> list[tuple[int, int]]:
        """Return the people whom an eclipse surrounds, each with the place in `blocks` of who does."""
        having = [each for each in self._all if each.identities.size]
        return [
            (person, place)
            for place, each in enumerate(having)
            if each.config.kind == "eclipse"
            for person in each.fooled.tolist()
        ]


def _drawn(
    config: AttackConfig, people: Population, first: int, first_spam: int, days: int, rng: np.random.Generator
) -> Adversary:
    size = max(1, round(config.share * people.people))
    own = 0 if config.kind in _WITHOUT_IDENTITIES else size
    lives = 1 + (days - 1 - config.start_day) // config.every_day if config.kind == "whitewasher" else 1
    order = rng.permutation(people.people)
    n_fooled = min(people.people, max(1, round(config.fooled * people.people))) if config.fooled else 0
    likes = min(_HONEST_LOOKING, people.items)
    popular = np.array(_most_liked(people, 10 * likes), np.int64)
    return Adversary(
        config,
        first + np.arange(own * lives).reshape(lives, own),
        first_spam + np.arange(config.spam_items),
        order[:n_fooled],
        order[: min(size, people.people)],
        rng.choice(popular, (own, likes)) if own else np.zeros((0, likes), np.int64),
    )


def _begun(adversary: Adversary, day: int) -> bool:
    return day >= adversary.config.start_day


def _sybil(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """One attacker, vouched for by whom it fooled, and a crowd behind it that lists its spam."""
    del people
    if _begun(adversary, day):
        _crowd(adversary, attackers, adversary.identities[0], _spam_of(adversary))


def _hijack_popular(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """The same, listing popular items beside the spam, to be met by walks over items."""
    if _begun(adversary, day):
        listed = _spam_of(adversary) | dict.fromkeys(_most_liked(people, _POPULAR), LEVELS)
        _crowd(adversary, attackers, adversary.identities[0], listed)


def _farm(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """Recommend well and be vouched for by many; then turn."""
    del people
    block, turned = adversary.identities[0].tolist(), _begun(adversary, day)
    for place, identity in enumerate(block):
        friends = dict.fromkeys((other for other in block[:MOST_FRIENDS] if other != identity), LEVELS)
        honest = dict.fromkeys(adversary.mask[place].tolist(), 2)
        attackers.statements[identity] = Statement(friends, _spam_of(adversary)) if turned else Statement({}, honest)
    for place, person in enumerate(adversary.fooled.tolist()):
        attackers.vouches.setdefault(person, []).append(block[place % len(block)])


def _take_over(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """Honest people's devices state what the attacker wants; who trusted them goes on to."""
    del people
    taken = adversary.taken.tolist() if _begun(adversary, day) else []
    for person in taken:
        friends = dict.fromkeys((other for other in taken[:MOST_FRIENDS] if other != person), LEVELS)
        attackers.hijacked[person] = Statement(friends, _spam_of(adversary))


def _whitewash(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """Give all identities up every few days; the same people vouch for the new ones."""
    del people
    if _begun(adversary, day):
        life = (day - adversary.config.start_day) // adversary.config.every_day
        _crowd(adversary, attackers, adversary.identities[life], _spam_of(adversary))


def _misbehave(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """Sybils that break the protocol too."""
    if not _begun(adversary, day):
        return
    _sybil(adversary, attackers, day, people)
    what = _MISBEHAVIOUR[adversary.config.kind]
    attackers.misbehaviour |= dict.fromkeys(adversary.identities[0].tolist(), what)


def _pollute(adversary: Adversary, attackers: Attackers, day: int, people: Population) -> None:
    """Spam gets into honest people's histories, by another app or a bought click, and out through their records."""
    del people
    fooled = adversary.fooled.tolist() if _begun(adversary, day) else []
    for person in fooled:
        attackers.pollution.setdefault(person, []).extend(adversary.spam.tolist())


_ACTS: dict[AttackKind, Callable[[Adversary, Attackers, int, Population], None]] = {
    "sybil": _sybil,
    "popular-item-hijack": _hijack_popular,
    "slow-farmer": _farm,
    "hijacked-friend": _take_over,
    "whitewasher": _whitewash,
    "equivocator": _misbehave,
    "flooder": _misbehave,
    "eclipse": _misbehave,
    "profile-pollution": _pollute,
}


def _crowd(adversary: Adversary, attackers: Attackers, block: Ints, listed: Stated) -> None:
    """Let a block of identities vouch for each other and list items, and the fooled vouch for the first."""
    for identity, trust in wired(block.tolist(), adversary.config.wiring).items():
        attackers.statements[identity] = Statement(trust, listed)
    for person in adversary.fooled.tolist():
        attackers.vouches.setdefault(person, []).append(int(block[0]))


def wired(block: list[int], wiring: Wiring) -> dict[int, Stated]:
    """Return how Sybils vouch for each other, the first being the one that honest people know.

    A record holds 32 vouches at most, so a crowd that the first vouches for in parallel is a tree of that width, and a
    clique is one of neighbours in a ring.
    """
    if wiring == "chain":
        return {a: {b: LEVELS} for a, b in pairwise(block)} | {block[-1]: {}}
    if wiring == "clique":
        size = len(block)
        return {
            identity: {block[(place + step) % size]: LEVELS for step in range(1, min(MOST_FRIENDS, size - 1) + 1)}
            for place, identity in enumerate(block)
        }
    tree: dict[int, Stated] = {identity: {} for identity in block}
    for place, identity in enumerate(block[1:], 1):
        tree[block[(place - 1) // MOST_FRIENDS]][identity] = LEVELS
    if wiring == "cycle":  # everyone leads back, so that a walk can go round and round
        for identity, trust in tree.items():
            if not trust and identity != block[0]:
                trust[block[0]] = LEVELS
    return tree


def _spam_of(adversary: Adversary) -> Stated:
    return dict.fromkeys(adversary.spam[: MOST_LIKES - _POPULAR].tolist(), LEVELS)


def _most_liked(people: Population, count: int) -> list[int]:
    liked = np.bincount(people.likes.targets, minlength=people.items)
    most: list[int] = np.argsort(-liked, kind="stable")[:count].tolist()
    return most
