"""Which items go into the next record: by strength, or by randomised answers; and why the others do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from p2p import ItemEdge
from sdk.item_opinion import ItemOpinion
from sdk.publication import SharedItem, Why
from sdk.publication_log import ToldItem
from sdk.randomised_response import TOLD_LEVEL, Answer, Coins, Questions, RandomisedResponse, new_answers
from sdk.sharing import SharingPolicy


class KnownItems(Protocol):
    """What everybody knows of items; `sdk.public_catalog.PublicCatalog` is one."""

    def __contains__(self, item: str) -> bool: ...

    def key(self, item: str) -> bytes:
        """Return the key that names an item in records."""
        ...

    def categories_of(self, item: str) -> Collection[str]:
        """Return the categories of an item that is in it."""
        ...

    def most_popular(self, count: int, policy: SharingPolicy) -> Sequence[str]:
        """Return the `count` most popular items that the policy allows, or all if there are fewer."""
        ...


@dataclass(frozen=True, slots=True)
class OwnItems:
    """What a history comes to.

    Attributes:
        opinions: items that something speaks for, the strongest first.
        seen: items that the person did anything with, those included or not.
    """

    opinions: Sequence[ItemOpinion] = ()
    seen: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered and told before.

    Attributes:
        answers: latest answer about each item, by key.
        items: items told so far, by key.
        began: day of the first publication under ε, None before.
    """

    answers: Mapping[bytes, Answer] = field(default_factory=dict)
    items: Mapping[bytes, ToldItem] = field(default_factory=dict)
    began: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The items of the next record.

    Attributes:
        items: sorted by key.
        withheld: why each other item of the history is not told.
        answers: given for this, to be kept before the record is published.
    """

    items: tuple[SharedItem, ...]
    withheld: Mapping[str, Why]
    answers: Mapping[bytes, Answer]


def select_items(
    policy: SharingPolicy, own: OwnItems, catalog: KnownItems, told: Told, coins: Coins, today: int
) -> Selection:
    """Choose items.

    Args:
        policy: what may be told.
        own: what the history says of items.
        catalog: the public side of the model's catalog.
        told: what was told before.
        coins: the device's, for randomised answers.
        today: days since 1970.
    """
    if not policy.shares_items:
        return Selection((), dict.fromkeys([*own.seen, *(o.item for o in own.opinions)], Why.PRIVATE), {})
    withheld = dict.fromkeys(own.seen, Why.TAKEN_BACK)
    allowed, actions = [], policy.action_numbers
    for opinion in own.opinions:
        withheld.pop(opinion.item, None)
        why = _forbidden(opinion.item, policy, catalog) if opinion.actions & actions else Why.ACTION
        if why is None:
            allowed.append(opinion)
        else:
            withheld[opinion.item] = why
    choose = _by_strength if policy.epsilon is None else _by_answers
    return choose(policy, allowed, withheld, catalog, told, coins, today)


def _forbidden(item: str, policy: SharingPolicy, catalog: KnownItems) -> Why | None:
    if item in policy.deny_items:
        return Why.DENIED
    if policy.categories is None and not policy.deny_categories:
        return None
    if item not in catalog:
        return Why.UNKNOWN_CATEGORY
    of = frozenset(catalog.categories_of(item))
    if of & policy.deny_categories:
        return Why.DENIED
    return None if policy.categories is None or of & policy.categories else Why.CATEGORY


def _by_strength(
    policy: SharingPolicy,
    opinions: Sequence[ItemOpinion],
    withheld: dict[str, Why],
    catalog: KnownItems,
    told: Told,
    _: Coins,
    today: int,
) -> Selection:
    by_key = {catalog.key(opinion.item): opinion for opinion in opinions}
    chosen, left = _fill(list(by_key), policy, told, today)
    withheld |= {by_key[key].item: why for key, why in left.items()}
    items = []
    for key in sorted(chosen):
        opinion = by_key[key]
        edge = ItemEdge(key, opinion.level, policy.epoch_of(opinion.day))
        items.append(SharedItem(opinion.item, edge, made_up=False))
    return Selection(tuple(items), withheld, {})


def _by_answers(
    policy: SharingPolicy,
    opinions: Sequence[ItemOpinion],
    withheld: dict[str, Why],
    catalog: KnownItems,
    told: Told,
    coins: Coins,
    today: int,
) -> Selection:
    assert policy.epsilon is not None
    response = RandomisedResponse(policy.epsilon, policy.truth)
    domain = {catalog.key(i): i for i in catalog.most_popular(response.domain_size(policy.made_up), policy)}
    liked = {catalog.key(opinion.item): opinion.item for opinion in opinions}
    questions = Questions(today if told.began is None else told.began, policy.renew_days)
    given = new_answers(domain, liked, told.answers, response, questions, coins, today)
    answers = {**told.answers, **given}
    saying_yes = [key for key in domain if key in answers and answers[key].told]
    chosen, left = _fill(sorted(saying_yes, key=coins.order), policy, told, today)
    for key, item in liked.items():
        if key not in domain:
            withheld[item] = Why.NOT_ASKED
        elif key not in answers:
            withheld[item] = Why.LATER
        elif key not in chosen:
            withheld[item] = left.get(key, Why.ANSWER)
    items = [
        SharedItem(domain[key], ItemEdge(key, TOLD_LEVEL, policy.epoch_of(answers[key].day)), made_up=key not in liked)
        for key in sorted(chosen)
    ]
    return Selection(tuple(items), withheld, given)


def _fill(
    candidates: Sequence[bytes], policy: SharingPolicy, told: Told, today: int
) -> tuple[Collection[bytes], dict[bytes, Why]]:
    """Take candidates in their order while there is room; of those not told now, only so many in one epoch.

    Returns:
        The keys that were taken, and why the others were not.
    """
    epoch = policy.epoch_of(today)
    fresh = sum(item.since_day >= epoch for item in told.items.values())
    chosen: set[bytes] = set()
    left: dict[bytes, Why] = {}
    for key in candidates:
        known = told.items.get(key)
        is_new = known is None or not known.now
        if len(chosen) >= policy.max_items:
            left[key] = Why.NO_ROOM
        elif is_new and fresh >= policy.new_per_epoch:
            left[key] = Why.NEXT_EPOCH
        else:
            chosen.add(key)
            fresh += is_new
    return chosen, left
