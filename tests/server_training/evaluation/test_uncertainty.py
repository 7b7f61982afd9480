"""Bootstrap intervals against what is known of means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_training.errors import EvaluationInvalid
from server_training.evaluation.uncertainty import paired_difference, spread


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_interval_is_two_standard_errors_wide() -> None:
    gains = rng().random(5000)
    found = spread([gains], rng(1))
    error = gains.std() / len(gains) ** 0.5
    assert found.mean == pytest.approx(gains.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert (found.deviation, found.seeds) == (0.0, 1)


def test_seeds_spread_as_their_means_do() -> None:
    gains = [np.full(10, value) for value in (0.1, 0.2, 0.6)]
    found = spread(gains, rng())
    assert found.mean == pytest.approx(0.3)
    assert found.deviation == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert found.low == pytest.approx(found.high)


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_differences_are_antisymmetric(seed: int) -> None:
    first, second = rng(seed).random(200), rng(seed + 1).random(200)
    there, back = (paired_difference([a], [b], rng(9)) for a, b in ((first, second), (second, first)))
    assert there.mean == pytest.approx(-back.mean)
    assert there.low == pytest.approx(-back.high)
    assert there.p_value == back.p_value


def test_equal_systems_do_not_differ() -> None:
    gains = rng().random(100)
    found = paired_difference([gains], [gains], rng())
    assert (found.mean, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_pairing_finds_a_small_difference_that_spread_hides() -> None:
    base = rng().random(2000)
    found = paired_difference([base + 0.01 + 0.001 * rng(1).random(2000)], [base], rng(2))
    assert found.low > 0.009
    assert found.p_value < 0.01
    apart = spread([base], rng(3))
    assert apart.high - apart.low > 0.02


@pytest.mark.parametrize("bad", [[], [np.zeros(0)], [np.zeros(3), np.zeros(4)], [np.zeros((2, 2))]])
def test_gains_of_different_users_are_refused(bad: list[np.ndarray]) -> None:
    with pytest.raises(EvaluationInvalid):
        spread(bad, rng())
    with pytest.raises(EvaluationInvalid):
        paired_difference([np.zeros(5)], bad or [np.zeros(4)], rng())
