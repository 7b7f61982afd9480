"""Randomised answers: ε holds for every record sequence, by exact calculation on small domains and by counting."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import AdjacencyRecord, PeerId, item_key
from sdk.item_opinion import ItemOpinion
from sdk.publication_log import ToldItem
from sdk.randomised_response import (
    Answer,
    Coins,
    KeyedCoins,
    Questions,
    RandomisedResponse,
    advantage_bound,
    new_answers,
    true_positive_bound,
)
from sdk.selection import OwnItems, Told, select_items
from sdk.sharing import SharingLevel, SharingPolicy

LIKE = 2
EPSILONS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
Records = tuple[tuple[bytes, ...], ...]


class FewItems:
    """A catalog of a handful of items, all of them popular."""

    namespace = "n"

    def __init__(self, items: Sequence[str]) -> None:
        self._items = list(items)

    def __contains__(self, item: str) -> bool:
        return item in self._items

    def key(self, item: str) -> bytes:
        return item_key(self.namespace, item)

    def categories_of(self, item: str) -> tuple[str, ...]:
        return ()

    def most_popular(self, count: int, policy: SharingPolicy) -> list[str]:
        return [item for item in self._items if item not in policy.deny_items][:count]


class TableCoins:
    """Chances that are written down: the test runs through all of them."""

    def __init__(self, coins: Mapping[tuple[bytes, int], int], waits: Mapping[bytes, int], order: Sequence[bytes]):
        self._coins, self._waits, self._order = coins, waits, order

    def coin(self, key: bytes, turn: int) -> int:
        return self._coins[key, turn]

    def wait(self, key: bytes, days: int) -> int:
        return self._waits[key]

    def order(self, key: bytes) -> bytes:
        return bytes([self._order.index(key)])


def published(
    policy: SharingPolicy, likes: Sequence[Collection[str]], days: Sequence[int], catalog: FewItems, coins: Coins
) -> Records:
    """Publish on each day what the code under test selects, and return the records' keys."""
    told, records = Told(), []
    for day, liked in zip(days, likes, strict=True):
        opinions = [ItemOpinion(item, 3, day, frozenset({LIKE})) for item in sorted(liked)]
        chosen = select_items(policy, OwnItems(opinions, liked), catalog, told, coins, day)
        keys = {shared.edge.key for shared in chosen.items}
        before = told.items
        items = {key: ToldItem(None, item.since_day, key in keys) for key, item in before.items()}
        for key in keys:
            if key not in before or not before[key].now:
                items[key] = ToldItem(None, day, True)
        began = days[0] if told.began is None else told.began
        told = Told({**told.answers, **chosen.answers}, items, began)
        records.append(tuple((s.edge.key, s.edge.level, s.edge.day) for s in chosen.items))
    return tuple(records)


def every_chance(
    policy: SharingPolicy, keys: Sequence[bytes], turns: int, waits: Sequence[int]
) -> Iterator[tuple[TableCoins, Fraction]]:
    """Every outcome of all coins that can make a difference, with its exact probability."""
    response = RandomisedResponse(policy.epsilon or 0.0, policy.truth)
    high, low = response.thresholds
    whole = 1 << 64
    cases = [(0, Fraction(low, whole)), (low, Fraction(high - low, whole)), (high, Fraction(whole - high, whole))]
    places = [(key, turn) for key in keys for turn in range(turns)]
    orders = list(itertools.permutations(keys))
    for drawn in itertools.product(cases, repeat=len(places)):
        weight = math.prod((chance for _, chance in drawn), start=Fraction(1))
        table = {place: coin for place, (coin, _) in zip(places, drawn, strict=True)}
        for waited in itertools.product(waits, repeat=len(keys)):
            share = weight / len(waits) ** len(keys) / len(orders)
            for order in orders:
                yield TableCoins(table, dict(zip(keys, waited, strict=True)), order), share


def distribution(
    policy: SharingPolicy,
    likes: Sequence[Collection[str]],
    days: Sequence[int],
    catalog: FewItems,
    chances: Sequence[tuple[TableCoins, Fraction]],
) -> dict[Records, Fraction]:
    found: dict[Records, Fraction] = defaultdict(Fraction)
    for coins, share in chances:
        found[published(policy, likes, days, catalog, coins)] += share
    assert sum(found.values()) == 1
    return found


def worst_ratio(one: Mapping[Records, Fraction], other: Mapping[Records, Fraction]) -> float:
    assert set(one) == set(other), "a sequence of records is possible under one history only"
    return max(float(max(one[r] / other[r], other[r] / one[r])) for r in one)


def policy_with(epsilon: float, **changes: object) -> SharingPolicy:
    fields = {"level": SharingLevel.ITEMS, "epsilon": epsilon, "made_up": 64.0, "renew_days": 30} | changes
    return SharingPolicy(**fields)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("room", [{}, {"max_items": 1}, {"new_per_epoch": 1}], ids=str)
def test_no_sequence_of_records_is_more_than_e_to_the_epsilon_times_as_likely(
    epsilon: float, room: dict[str, int]
) -> None:
    """Exact: three items, four publications within one renewal, one history that gains, loses and regains item a."""
    policy, catalog, days = policy_with(epsilon, **room), FewItems(["a", "b", "c"]), (100, 101, 110, 125)
    chances = list(every_chance(policy, [catalog.key(i) for i in "abc"], 1, (0, 1)))
    others = [{"b"}, {"b"}, {"b", "c"}, {"c"}]
    with_a = [{*others[0]}, {*others[1], "a"}, {*others[2]}, {*others[3], "a"}]
    ratio = worst_ratio(
        distribution(policy, with_a, days, catalog, chances), distribution(policy, others, days, catalog, chances)
    )
    assert 1 < ratio <= math.exp(epsilon) * (1 + 1e-12)
    if not room:
        assert ratio == pytest.approx(math.exp(epsilon), rel=1e-9)  # the bound is met: it is no looser than needed


def test_each_renewal_costs_one_more_epsilon() -> None:
    policy, catalog, days = policy_with(1.0), FewItems(["a"]), (0, 30, 60)
    chances = list(every_chance(policy, [catalog.key("a")], 3, (0,)))
    liked = distribution(policy, [{"a"}] * 3, days, catalog, chances)
    never = distribution(policy, [set()] * 3, days, catalog, chances)
    assert worst_ratio(liked, never) == pytest.approx(math.exp(3), rel=1e-9)
    told = Told()
    for day in days:
        told = Told({**told.answers, **_asked(policy, catalog, told, day)}, {}, 0)
    assert [answer.spent for answer in told.answers.values()] == [3.0]


def _asked(policy: SharingPolicy, catalog: FewItems, told: Told, day: int) -> Mapping[bytes, Answer]:
    coins = KeyedCoins(bytes(32))
    return select_items(policy, OwnItems(), catalog, told, coins, day).answers


def test_an_answer_fixed_per_value_would_tell_the_day_it_changed() -> None:
    """Why items are asked about once: the permanent response of RAPPOR, asked again every day, fails when one likes."""
    response, days = RandomisedResponse(1.0), range(3)
    high, low = response.thresholds
    never = {tuple(response.tells(coin, False) for _ in days) for coin in (0, low, high)}
    later = {tuple(response.tells(coin, day == 2) for day in days) for coin in (0, low, high)}
    assert later - never == {(False, False, True)}


@given(st.floats(0.01, 16), st.floats(0.05, 0.95))
def test_both_answers_keep_within_epsilon_for_the_numbers_that_are_used(epsilon: float, truth: float) -> None:
    high, low = RandomisedResponse(epsilon, truth).thresholds
    whole, bound = 1 << 64, Fraction(math.exp(epsilon)) * (1 + Fraction(1, 10**14))
    assert 0 < low <= high < whole
    assert Fraction(high, low) <= bound
    assert Fraction(whole - low, whole - high) <= bound


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_chances_are_no_worse_than_needed(epsilon: float) -> None:
    response = RandomisedResponse(epsilon)
    assert response.lie == pytest.approx(0.5 * math.exp(-epsilon), rel=1e-6)
    assert response.advantage == pytest.approx((1 - math.exp(-epsilon)) / 2, rel=1e-6)
    assert response.advantage <= advantage_bound(epsilon)
    assert response.domain_size(16) == min(10_000, int(16 / response.lie))


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_bounds_on_attackers_are_those_of_a_grid_of_tests(epsilon: float) -> None:
    false = np.linspace(0, 1, 100_001)
    most = np.array([true_positive_bound(epsilon, float(share)) for share in false])
    assert (most - false).max() == pytest.approx(advantage_bound(epsilon), abs=1e-4)
    assert advantage_bound(epsilon) == pytest.approx((math.exp(epsilon) - 1) / (math.exp(epsilon) + 1))


def test_counted_answers_of_the_keyed_coins_keep_within_epsilon() -> None:
    """Empirical: 40,000 devices, each with a secret of its own; the log ratio of both counts, with its error."""
    epsilon, key, devices = 1.0, b"k" * 16, 40_000
    response = RandomisedResponse(epsilon)
    coins = [KeyedCoins(number.to_bytes(32, "big")).coin(key, 0) for number in range(devices)]
    told = {liked: sum(response.tells(coin, liked) for coin in coins) for liked in (True, False)}
    log_ratio = math.log(told[True] / told[False])
    error = math.sqrt(1 / told[True] + 1 / told[False])
    assert abs(log_ratio - epsilon) < 4 * error
    assert told[True] / devices == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / devices))


def test_coins_are_uniform_and_independent_of_each_other() -> None:
    coins = KeyedCoins(b"s" * 32)
    keys = [item_key("n", str(number)) for number in range(4_000)]
    drawn = np.array([[coins.coin(key, turn) / 2**64 for turn in range(2)] for key in keys])
    waits = np.array([coins.wait(key, 365) for key in keys])
    assert np.abs(np.histogram(drawn[:, 0], 10, (0, 1))[0] - 400).max() < 4 * 19
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / math.sqrt(len(keys))
    assert abs(np.corrcoef(drawn[:, 0], waits)[0, 1]) < 4 / math.sqrt(len(keys))
    assert (waits == 0).mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(keys)))
    assert waits.min() == 0
    assert waits.max() <= 364
    assert np.abs(np.histogram(waits[waits > 0], 10, (0, 365))[0] - 200).max() < 4 * 14


def test_published_again_the_records_stay_what_they_were() -> None:
    """Fifty publications in a row say what the first one said, on any device with the secret and the history."""
    policy, catalog = policy_with(2.0), FewItems([f"i{n}" for n in range(200)])
    likes, days = [{f"i{n}" for n in range(0, 60, 2)}], range(1_000, 1_014)
    for secret in (b"a" * 32, b"b" * 32):
        first = published(policy, likes * len(days), list(days), catalog, KeyedCoins(secret))
        assert published(policy, likes * len(days), list(days), catalog, KeyedCoins(secret)) == first
        once = published(policy, likes * 50, [1_000] * 50, catalog, KeyedCoins(secret))
        assert set(once) == {first[0]}
        assert all(set(early) <= set(late) for early, late in itertools.pairwise(first))
    other = published(policy, likes, [1_000], catalog, KeyedCoins(b"c" * 32))
    assert other[0] != first[0]


@given(
    st.sets(st.integers(0, 39)),
    st.sampled_from([0.5, 2.0, 5.0]),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 64),
    st.integers(1, 64),
)
def test_whatever_is_answered_makes_a_valid_record(
    likes: set[int], epsilon: float, secret: bytes, room: int, fresh: int
) -> None:
    policy = policy_with(epsilon, max_items=room, new_per_epoch=fresh)
    catalog = FewItems([f"i{n}" for n in range(40)])
    opinions = [ItemOpinion(f"i{n}", 3, 5, frozenset({LIKE})) for n in sorted(likes)]
    coins = KeyedCoins(secret)
    chosen = select_items(policy, OwnItems(opinions, ()), catalog, Told(), coins, 9)
    edges = tuple(shared.edge for shared in chosen.items)
    AdjacencyRecord(PeerId(bytes(32)), 1, 0, (), edges)
    assert len(edges) <= min(room, fresh)
    assert {(edge.level, edge.day) for edge in edges} <= {(2, 9)}
    told = {shared.item for shared in chosen.items}
    assert {opinion.item for opinion in opinions} == set(chosen.withheld) | {i for i in told if int(i[1:]) in likes}
    assert {shared.made_up for shared in chosen.items if shared.item not in {o.item for o in opinions}} <= {True}


def test_an_item_is_asked_about_at_most_once_in_a_renewal_however_often_one_publishes() -> None:
    coins, key = KeyedCoins(b"q" * 32), item_key("n", "x")
    answers: dict[bytes, Answer] = {}
    asked = []
    for day in range(50, 50 + 200, 3):
        given_now = new_answers([key], set(), answers, RandomisedResponse(1.0), Questions(50, 45), coins, day)
        asked += [day] * len(given_now)
        answers |= given_now
    assert len(asked) == answers[key].turn + 1 >= 4
    assert all(later - earlier >= 45 for earlier, later in itertools.pairwise(asked))
    assert answers[key].spent == len(asked)
