from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import AuthorEdges, ConfigError, EdgeTimeError, TrustError, WeightError, decay

BAD = [math.nan, math.inf, -math.inf, -1.0, 0.0, -0.0, 10**400, "3", None, True, 1j]


@pytest.mark.parametrize("weight", BAD, ids=repr)
@pytest.mark.parametrize("side", ["trust", "items"])
def test_a_weight_that_is_no_finite_number_above_zero_is_refused(side: str, weight: object) -> None:
    lists = {"trust": {"a": 1.0}, "items": {"x": 1.0}}
    lists[side] = {"ok": 1.0, "bad": weight}
    with pytest.raises(WeightError, match="bad"):
        AuthorEdges(**lists)


@given(st.dictionaries(st.binary(max_size=4), st.floats(min_value=5e-324, max_value=1.7e308)))
def test_finite_positive_weights_are_kept(weights: dict[bytes, float]) -> None:
    assert dict(AuthorEdges(weights, {}).trust) == weights


def test_numpy_and_integer_weights_are_numbers_too() -> None:
    edges = AuthorEdges({"a": 3, "b": np.float32(0.5), "c": np.int64(2)}, {})
    assert dict(edges.trust) == {"a": 3.0, "b": 0.5, "c": 2.0}


def test_edges_do_not_change_with_the_mapping_they_were_made_from() -> None:
    mine = {"a": 1.0}
    edges = AuthorEdges(mine, {})
    mine["a"] = math.nan
    assert edges.trust["a"] == 1.0
    with pytest.raises(TypeError):
        edges.trust["a"] = 2.0  # type: ignore[index]


def test_decay_halves_per_half_life() -> None:
    assert decay(3.0, 0.0, 30.0) == 3.0
    assert decay(3.0, 30.0, 30.0) == pytest.approx(1.5)
    assert decay(3.0, 60.0, 30.0) == pytest.approx(0.75)


@given(
    weight=st.floats(min_value=1e-3, max_value=1e3),
    age=st.floats(min_value=0.0, max_value=1e9),
    half_life=st.floats(min_value=1e-3, max_value=1e4),
)
def test_a_decayed_edge_is_still_an_edge(weight: float, age: float, half_life: float) -> None:
    decayed = decay(weight, age, half_life)
    assert 0.0 < decayed <= weight
    AuthorEdges({"a": decayed}, {})


@pytest.mark.parametrize(("age", "half_life"), [(-1.0, 30.0), (math.nan, 30.0), (1.0, 0.0), (1.0, math.inf)])
def test_decay_refuses_impossible_ages(age: float, half_life: float) -> None:
    with pytest.raises(ConfigError):
        decay(1.0, age, half_life)


def test_decay_refuses_bad_weights() -> None:
    with pytest.raises(TrustError):
        decay(math.nan, 1.0, 30.0)


def test_dated_edges_fade_against_the_authors_own_newest() -> None:
    edges = AuthorEdges.dated({"a": (1.0, 0), "b": (1.0, 180)}, {"x": (4.0, 100), "y": (1.0, 130), "z": (1.0, 70)})
    assert edges.trust == pytest.approx({"a": 0.5, "b": 1.0})
    assert edges.items == pytest.approx({"x": 2.0, "y": 1.0, "z": 0.25})
    assert edges.item_days == {"x": 100, "y": 130, "z": 70}
    later = AuthorEdges.dated({"a": (1.0, 50), "b": (1.0, 230)}, {}, today=230)
    assert later.trust == edges.trust


@pytest.mark.parametrize(
    ("day", "today"), [(-1, None), (11, 10), (2**31, None), (1.5, None), (True, None), ("3", None), (None, None)]
)
def test_impossible_days_are_refused(day, today) -> None:
    for sides in (({"a": (1.0, day)}, {}), ({}, {"x": (1.0, day)})):
        with pytest.raises(EdgeTimeError):
            AuthorEdges.dated(*sides, today=today)


def test_a_day_for_an_item_that_is_not_stated_is_refused() -> None:
    with pytest.raises(EdgeTimeError, match="not among the items"):
        AuthorEdges({}, {"x": 1.0}, {"y": 3})
