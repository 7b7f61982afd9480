from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trust.row_store import RowStore, TrustRows, row_cumulative, row_shares
from trust.rows import all_cumulative, all_shares

ROWS = st.lists(st.tuples(st.integers(0, 20), st.lists(st.integers(0, 9), max_size=40)), max_size=60)


@given(ROWS)
def test_rows_are_those_last_put_and_views_taken_before_never_change(puts) -> None:
    store, expected, views = RowStore(np.int32, np.float64), {}, []
    for row, values in puts:
        store.put(row, np.array(values, np.int32), np.array(values, np.float64) / 2)
        expected[row] = values
        views.append((store.row(row), values))
    for (columns, halves), values in views:
        assert columns.tolist() == values
        assert halves.tolist() == [value / 2 for value in values]
    for row in range(25):
        assert store.row(row)[0].tolist() == expected.get(row, [])
    assert store.entries == sum(map(len, expected.values()))
    rows = np.array(sorted(expected), dtype=np.int64)
    bounds, (columns, _) = store.gathered(rows)
    assert columns.tolist() == [value for row in rows for value in expected[row]]
    assert np.diff(bounds).tolist() == [len(expected[row]) for row in rows]


@given(st.lists(st.dictionaries(st.integers(0, 20), st.lists(st.integers(0, 9), max_size=40), max_size=8), max_size=12))
def test_rows_put_together_are_those_put_one_by_one(batches) -> None:
    one, many = RowStore(np.int32), RowStore(np.int32)
    for batch in batches:
        for row, values in batch.items():
            one.put(row, np.array(values, np.int32))
        bounds = np.concatenate(([0], np.cumsum([len(values) for values in batch.values()], dtype=np.int64)))
        flat = [value for values in batch.values() for value in values]
        many.put_many(np.array(list(batch), np.int64), bounds, np.array(flat, np.int32))
        assert many.entries == one.entries
        for row in range(25):
            assert many.row(row)[0].tolist() == one.row(row)[0].tolist()
        rows = np.arange(25)
        assert many.lengths(rows).tolist() == [len(one.row(row)[0]) for row in range(25)]


def test_room_stays_within_a_few_times_what_lives() -> None:
    store = RowStore(np.int32)
    for turn in range(5_000):
        store.put(turn % 7, np.full(50, turn, np.int32))
    assert store.bytes < 10_000


@given(st.lists(st.lists(st.floats(1e-300, 1e300), max_size=6), min_size=1, max_size=8))
def test_bulk_shares_are_those_of_single_rows(rows) -> None:
    bounds = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    flat = np.array([weight for row in rows for weight in row], dtype=np.float64)
    shares = all_shares(flat, bounds)
    cumulative = all_cumulative(shares, bounds)
    for index, row in enumerate(rows):
        part = slice(bounds[index], bounds[index + 1])
        single = row_shares(np.array(row))
        assert np.allclose(shares[part], single, atol=1e-12)
        assert np.allclose(cumulative[part], row_cumulative(single), atol=1e-12)
        assert not row or cumulative[part][-1] == row_cumulative(single)[-1] == 1.0


def test_a_stated_row_knows_when_it_says_nothing_new() -> None:
    rows = TrustRows()
    columns, weights = np.array([3, 1]), np.array([1.0, 3.0])
    assert not rows.states(5, columns, weights)
    rows.state(5, columns, weights)
    assert rows.states(5, columns, weights)
    assert not rows.states(5, columns[::-1], weights)
    assert rows.cumulative[: rows.entries].tolist() == [0.25, 1.0]
    assert rows.columns[:2].tolist() == [3, 1]
