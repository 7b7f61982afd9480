"""Sets of rows and filters against plain masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import ModelFailed, RowFilter, RowSet, row_filter

masks = (
    st.integers(0, 300)
    .flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n))
    .map(lambda bits: np.array(bits, bool))
)


@given(masks)
def test_ranks_are_running_counts(mask: np.ndarray) -> None:
    found = RowSet(mask)
    np.testing.assert_array_equal(found.rank(np.arange(len(mask) + 1)), np.concatenate([[0], np.cumsum(mask)]))
    np.testing.assert_array_equal(found.mask(), mask)
    np.testing.assert_array_equal(found.has(np.arange(len(mask))), mask)


@given(masks, st.lists(st.integers(-5, 310)), st.booleans())
def test_a_filter_is_a_mask_without_what_is_excluded(mask: np.ndarray, excluded: list[int], everything: bool) -> None:
    n = len(mask)
    expected = np.ones(n, bool) if everything else mask.copy()
    expected[[row for row in excluded if 0 <= row < n]] = False
    found = RowFilter.of(n, None if everything else mask, np.array(excluded, np.int64))
    np.testing.assert_array_equal(found.rows(), np.flatnonzero(expected))
    np.testing.assert_array_equal(found.has(np.arange(n)), expected)
    assert found.count() == expected.sum()
    places = np.arange(n + 1).reshape(1, -1)
    np.testing.assert_array_equal(found.rank(places)[0], np.concatenate([[0], np.cumsum(expected)]))


@pytest.mark.parametrize("among", [np.ones(3, bool), np.ones(2, np.int64), np.ones((2, 1), bool)])
def test_a_filter_has_one_boolean_per_row(among: np.ndarray) -> None:
    with pytest.raises(ModelFailed, match="must be bool"):
        RowFilter.of(2, among)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=20))
def test_bits_are_counted_alike_without_numpy_2(words: list[int]) -> None:
    found = row_filter._ones_before_numpy_2(np.array(words, np.uint64))
    assert found.tolist() == [word.bit_count() for word in words]
