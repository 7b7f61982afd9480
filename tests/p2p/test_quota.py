"""Token buckets: a burst, then a steady rate, whatever the clock does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.quota import Quota, Rate


def test_a_burst_and_then_the_rate() -> None:
    quota = Quota(Rate(burst=3, per_s=0.5))
    assert [quota.take("peer", 100.0) for _ in range(4)] == [True, True, True, False]
    assert quota.take("another", 100.0)
    assert not quota.take("peer", 101.0)
    assert quota.allows("peer", 102.0)
    assert quota.take("peer", 102.0)
    assert not quota.allows("peer", 102.0)
    assert [quota.take("peer", 1e9) for _ in range(4)] == [True, True, True, False]


def test_amounts_are_taken_whole_or_not_at_all() -> None:
    quota = Quota(Rate(burst=10, per_s=1))
    assert quota.take("peer", 0.0, 7)
    assert not quota.take("peer", 0.0, 4)
    assert quota.take("peer", 0.0, 3)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_no_walk_of_the_clock_grants_more_than_burst_and_rate(times: list[float]) -> None:
    quota = Quota(Rate(burst=5, per_s=2))
    granted = sum(quota.take("peer", now) for now in times)
    forward = sum(max(0.0, b - a) for a, b in pairwise(times))
    assert granted <= 5 + 2 * forward + 1e-6


@pytest.mark.parametrize("keys", [3, 4])
def test_the_key_unused_longest_is_forgotten(keys: int) -> None:
    quota = Quota(Rate(burst=1, per_s=0), max_keys=3)
    assert all(quota.take(key, 0.0) for key in range(keys))
    assert quota.take(0, 0.0) == (keys > 3)
