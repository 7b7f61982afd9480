"""Sharing policies: presets, checks that name every fault, and a JSON form that comes back as it went."""

from __future__ import annotations

import contextlib
import json
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.errors import InvalidInput
from sdk.sharing import SPEAKING_ACTIONS, SharingLevel, SharingPolicy

texts = st.frozensets(st.text(max_size=8), max_size=3)
policies = st.builds(
    SharingPolicy,
    level=st.sampled_from(SharingLevel),
    actions=st.frozensets(st.sampled_from(sorted(SPEAKING_ACTIONS))),
    categories=st.none() | texts,
    deny_categories=texts,
    deny_items=texts,
    max_items=st.integers(0, 64),
    max_vouches=st.integers(0, 32),
    new_per_epoch=st.integers(1, 64),
    epoch_days=st.integers(1, 366),
    epsilon=st.none() | st.floats(0.01, 16),
    truth=st.floats(0.05, 0.95),
    made_up=st.floats(1, 64),
    renew_days=st.integers(30, 36_500),
)


def test_the_presets_are_what_they_say_and_private_is_the_default() -> None:
    assert SharingPolicy() == SharingPolicy.PRIVATE
    levels = [p.level for p in (SharingPolicy.PRIVATE, SharingPolicy.ITEMS, SharingPolicy.NETWORK)]
    assert levels == [SharingLevel.PRIVATE, SharingLevel.ITEMS, SharingLevel.NETWORK]
    told = [
        (p.shares_items, p.shares_vouches) for p in (SharingPolicy.PRIVATE, SharingPolicy.ITEMS, SharingPolicy.NETWORK)
    ]
    assert told == [(False, False), (True, False), (True, True)]
    assert {"view", "play"}.isdisjoint(SharingPolicy.ITEMS.actions)


def test_a_policy_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SharingPolicy.ITEMS.level = SharingLevel.NETWORK  # type: ignore[misc]


@given(policies)
def test_a_policy_comes_back_from_json_as_it_went(policy: SharingPolicy) -> None:
    assert SharingPolicy.from_json(json.loads(json.dumps(policy.as_json()))) == policy


def test_what_json_leaves_out_has_its_default() -> None:
    assert SharingPolicy.from_json({"level": "items"}) == SharingPolicy.ITEMS


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        SharingPolicy(
            level="items",  # type: ignore[arg-type]
            actions=frozenset({"skip", "like"}),
            categories=["jazz"],  # type: ignore[arg-type]
            max_items=65,
            max_vouches=-1,
            new_per_epoch=0,
            epoch_days=True,
            epsilon=float("nan"),
            truth=1.0,
            made_up=0,
            renew_days=1,
        )
    named = str(caught.value)
    clean = {"deny_categories", "deny_items"}
    assert [f.name for f in fields(SharingPolicy) if f.name not in clean and f"{f.name} m" not in named] == []


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "everything",
        7,
        {"level": "all"},
        {"level": []},
        {"lvl": "items"},
        {"actions": "like"},
        {"epsilon": "2"},
    ],
)
def test_what_is_no_policy_is_refused(content: object) -> None:
    with pytest.raises(InvalidInput, match="polic"):
        SharingPolicy.from_json(content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from([f.name for f in fields(SharingPolicy)]), inner)
        ),
    )
)
def test_no_json_at_all_breaks_the_reader(content: object) -> None:
    with contextlib.suppress(InvalidInput):
        SharingPolicy.from_json(content)


def test_settings_from_the_command_line() -> None:
    changed = SharingPolicy.PRIVATE.changed(
        ["level=items", "epsilon=2", "deny_items= a, b ,", "categories=jazz", "actions=purchase,like", "max_items=10"]
    )
    assert changed == SharingPolicy(
        level=SharingLevel.ITEMS,
        epsilon=2,
        deny_items=frozenset({"a", "b"}),
        categories=frozenset({"jazz"}),
        actions=frozenset({"buy", "like"}),
        max_items=10,
    )
    assert changed.changed(["epsilon=none", "categories=none", "deny_items=none"]) == SharingPolicy(
        level=SharingLevel.ITEMS, actions=frozenset({"buy", "like"}), max_items=10
    )
    assert changed.epsilon == 2  # the one it came from is as it was


@pytest.mark.parametrize(
    "setting", ["level", "levl=items", "level=everything", "epsilon=much", "max_items=1.5", "=", ""]
)
def test_settings_that_mean_nothing_are_refused(setting: str) -> None:
    with pytest.raises(InvalidInput):
        SharingPolicy.PRIVATE.changed([setting])


def test_days_are_told_by_epochs() -> None:
    weekly = SharingPolicy(epoch_days=7)
    assert [weekly.epoch_of(day) for day in (-3, 0, 6, 7, 20_001)] == [0, 0, 0, 7, 19_999 - 19_999 % 7]
    assert SharingPolicy().epoch_of(20_001) == 20_001
