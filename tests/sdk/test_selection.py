"""Which items go into the next record, and the reason for each that does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Action, Catalog, RowFilter
from p2p import AdjacencyRecord, PeerId, item_key
from sdk.errors import InvalidInput
from sdk.item_opinion import ItemOpinion
from sdk.public_catalog import PublicCatalog
from sdk.publication import Why
from sdk.publication_log import ToldItem
from sdk.randomised_response import Answer, KeyedCoins
from sdk.selection import OwnItems, Selection, Told, select_items
from sdk.sharing import SharingLevel, SharingPolicy

ITEMS = [f"i{n:02}" for n in range(90)]
COINS = KeyedCoins(b"c" * 32)
LIKE, VIEW, BUY = int(Action.LIKE), int(Action.VIEW), int(Action.BUY)


def catalog_of(items: list[str] = ITEMS, most: int | None = None, namespace: str = "n") -> PublicCatalog:
    """Every second item is jazz, every third is loud; popular in the order of the rows."""
    codes = np.array([[n // 16, n % 16] for n in range(len(items))])
    catalog = Catalog.build(items, codes, 16).with_categories(
        ["jazz", "loud"], [[*([0] if n % 2 == 0 else []), *([1] if n % 3 == 0 else [])] for n in range(len(items))]
    )

    def popular_rows(count: int, allowed: RowFilter) -> list[int]:
        return allowed.rows()[: count if most is None else min(count, most)].tolist()

    return PublicCatalog(catalog, namespace, popular_rows)


CATALOG = catalog_of()


def opinion(item: str, level: int = 2, day: int = 10, *actions: int) -> ItemOpinion:
    return ItemOpinion(item, level, day, frozenset(actions or (LIKE,)))


def selected(policy: SharingPolicy, *opinions: ItemOpinion, told: Told | None = None, today: int = 20) -> Selection:
    ordered = sorted(opinions, key=lambda o: (-o.level, -o.day, o.item))
    history = OwnItems(ordered, [o.item for o in ordered])
    return select_items(policy, history, CATALOG, told or Told(), COINS, today)


def told_in(selection: Selection, day: int) -> Mapping[bytes, ToldItem]:
    return {shared.edge.key: ToldItem(shared.item, day, True) for shared in selection.items}


def names(selection: Selection) -> list[str | None]:
    return sorted(str(shared.item) for shared in selection.items)


def test_an_item_is_told_with_its_level_and_day_and_nothing_else_is() -> None:
    chosen = selected(SharingPolicy.ITEMS, opinion("i01", 3, 12))
    (shared,) = chosen.items
    assert (shared.edge.key, shared.edge.level, shared.edge.day) == (item_key("n", "i01"), 3, 12)
    assert (shared.item, shared.made_up, chosen.withheld, chosen.answers) == ("i01", False, {}, {})


def test_private_tells_nothing_and_says_so_of_everything() -> None:
    history = OwnItems([opinion("i01")], ["i01", "i02"])
    chosen = select_items(SharingPolicy.PRIVATE, history, CATALOG, Told(), COINS, 20)
    assert (chosen.items, chosen.withheld) == ((), {"i01": Why.PRIVATE, "i02": Why.PRIVATE})


def test_views_are_not_told_however_often_and_only_the_actions_of_the_policy_are() -> None:
    history = [opinion("i01", 3, 10, VIEW), opinion("i02", 3, 10, VIEW, BUY), opinion("i03", 2, 10, LIKE)]
    chosen = selected(SharingPolicy.ITEMS, *history)
    assert (names(chosen), chosen.withheld) == (["i02", "i03"], {"i01": Why.ACTION})
    only = SharingPolicy(level=SharingLevel.ITEMS, actions=frozenset({"buy"}))
    assert names(selected(only, *history)) == ["i02"]
    views = SharingPolicy(level=SharingLevel.ITEMS, actions=frozenset({"view"}))
    assert names(selected(views, *history)) == ["i01", "i02"]


def test_what_was_taken_back_is_not_told() -> None:
    history = OwnItems([opinion("i01")], ["i01", "i05"])
    assert select_items(SharingPolicy.ITEMS, history, CATALOG, Told(), COINS, 20).withheld == {"i05": Why.TAKEN_BACK}


def test_lists_of_items_and_categories_keep_back() -> None:
    policy = SharingPolicy(
        level=SharingLevel.ITEMS,
        categories=frozenset({"jazz"}),
        deny_categories=frozenset({"loud"}),
        deny_items=frozenset({"i02"}),
    )
    chosen = selected(policy, *(opinion(item) for item in ("i00", "i01", "i02", "i04", "gone")))
    assert names(chosen) == ["i04"]
    assert chosen.withheld == {
        "i00": Why.DENIED,
        "i01": Why.CATEGORY,
        "i02": Why.DENIED,
        "gone": Why.UNKNOWN_CATEGORY,
    }
    assert names(selected(SharingPolicy.ITEMS, opinion("gone"))) == ["gone"]


def test_a_category_that_does_not_exist_is_refused_for_it_would_protect_nothing() -> None:
    CATALOG.check(SharingPolicy(deny_categories=frozenset({"loud"})))
    with pytest.raises(InvalidInput, match="no category lond"):
        CATALOG.check(SharingPolicy(deny_categories=frozenset({"lond"})))


def test_the_strongest_then_the_latest_fill_the_record() -> None:
    history = [opinion(item, 2, day) for day, item in enumerate(ITEMS[:80])]
    chosen = selected(SharingPolicy.ITEMS, *history, opinion("i85", 3, 0))
    assert len(chosen.items) == 64
    assert names(chosen) == [*ITEMS[17:80], "i85"]
    assert set(chosen.withheld.items()) == {(item, Why.NO_ROOM) for item in ITEMS[:17]}
    few = SharingPolicy(level=SharingLevel.ITEMS, max_items=2)
    assert names(selected(few, *history, opinion("i85", 3, 0))) == ["i79", "i85"]


def test_only_so_many_are_new_in_one_epoch() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, new_per_epoch=2, epoch_days=7)
    history = [opinion(item) for item in ITEMS[:5]]
    first = selected(policy, *history, today=21)
    assert names(first) == ["i00", "i01"]
    assert set(first.withheld.values()) == {Why.NEXT_EPOCH}
    later = selected(policy, *history, told=Told(items=told_in(first, 21)), today=27)
    assert names(later) == ["i00", "i01"]
    next_week = selected(policy, *history, told=Told(items=told_in(first, 21)), today=28)
    assert names(next_week) == ["i00", "i01", "i02", "i03"]
    gone = {key: ToldItem(None, 21, False) for key in told_in(first, 21)}
    assert names(selected(policy, *history, told=Told(items=gone), today=22)) == []  # taken out, the week is used up


def test_days_are_told_in_weeks_if_the_policy_says_so() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, epoch_days=7)
    assert [s.edge.day for s in selected(policy, opinion("i01", 2, 20), today=25).items] == [14]


def test_answers_are_given_about_the_popular_items_that_the_policy_allows() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, epsilon=1.0, made_up=4.0, deny_categories=frozenset({"loud"}))
    history = [opinion(item) for item in ("i00", "i01", "i02", "i89")]
    chosen = selected(policy, *history)
    assert chosen.withheld["i89"] is Why.NOT_ASKED
    assert chosen.withheld["i00"] is Why.DENIED
    asked = [item for item in ITEMS if int(item[1:]) % 3][: int(4 / (0.5 * np.exp(-1)))]
    possible = {item_key("n", item) for item in asked}
    assert set(chosen.answers) < possible  # half of them at once
    everything = selected(policy, *history, told=Told(chosen.answers, {}, 20), today=20 + 364)
    assert set(chosen.answers) | set(everything.answers) == possible


def test_every_reason_of_the_randomised_answers_is_given() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, epsilon=2.0, max_items=3, made_up=64)
    chosen = selected(policy, *(opinion(item) for item in ITEMS))
    assert {Why.LATER, Why.ANSWER, Why.NO_ROOM} == set(chosen.withheld.values())
    assert len(chosen.items) == 3
    waiting = selected(SharingPolicy(level=SharingLevel.ITEMS, epsilon=2.0, new_per_epoch=1), *map(opinion, ITEMS))
    assert Why.NEXT_EPOCH in waiting.withheld.values()


def test_a_renewed_answer_replaces_the_old_one_and_is_counted() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, epsilon=2.0, renew_days=30)
    before = {item_key("n", item): Answer(told=True, day=100, turn=0, spent=2.0) for item in ITEMS}
    assert not selected(policy, told=Told(before, {}, 100), today=129).answers
    renewed = selected(policy, told=Told(before, {}, 100), today=130).answers
    assert {(a.turn, a.spent, a.day) for a in renewed.values()} == {(1, 4.0, 130)}
    assert 0 < sum(a.told for a in renewed.values()) < len(ITEMS) / 2


def test_made_up_items_are_marked_for_the_person_and_for_nobody_else() -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, epsilon=0.5, made_up=40)
    chosen = selected(policy, *(opinion(item) for item in ITEMS[:10]))
    marks = {shared.made_up for shared in chosen.items}
    assert marks == {True, False}
    assert {(s.edge.level, s.edge.day) for s in chosen.items} == {(2, 20)}
    assert all(s.made_up == (s.item not in ITEMS[:10]) for s in chosen.items)


@pytest.mark.parametrize("most", [0, 7, 50])
def test_a_model_that_ranks_few_items_is_helped_out_by_rows_all_over_the_catalog(most: int) -> None:
    found = catalog_of(most=most).most_popular(60, SharingPolicy.ITEMS)
    assert len(found) == len(set(found)) == 60
    assert found[: min(most, 60)] == ITEMS[: min(most, 60)]
    assert sum(int(item[1:]) > 45 for item in found) >= 10
    none = SharingPolicy(categories=frozenset({"jazz"}), deny_categories=frozenset({"jazz"}))
    assert catalog_of(most=most).most_popular(60, none) == []


@given(
    st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(1, 3), st.integers(0, 30)), unique_by=lambda row: row[0]),
    st.integers(0, 64),
    st.none() | st.sampled_from([0.5, 3.0]),
)
def test_whatever_is_told_makes_a_valid_record(
    rows: list[tuple[str, int, int]], most: int, epsilon: float | None
) -> None:
    policy = SharingPolicy(level=SharingLevel.ITEMS, max_items=most, epsilon=epsilon)
    chosen = selected(policy, *(opinion(*row) for row in rows))
    AdjacencyRecord(PeerId(bytes(32)), 1, 0, (), tuple(shared.edge for shared in chosen.items))
    mine = {row[0] for row in rows}
    assert mine == set(chosen.withheld) | {str(s.item) for s in chosen.items if not s.made_up}
