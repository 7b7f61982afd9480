"""The catalog against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Catalog, CatalogInvalid, UnknownItem
from tests.device_runtime.catalogs import catalogs


@given(catalogs())
def test_rows_are_sorted_and_items_keep_their_codes_and_titles(catalog: Catalog) -> None:
    rows = [tuple(row) for row in catalog.codes.tolist()]
    assert rows == sorted(rows)
    for row, item in enumerate(catalog.ids):
        assert item in catalog
        assert catalog.index_of(item) == row
        assert catalog.title_of(row) == (f"title of {item}" if catalog.titles else item)
        assert catalog.codes_of(np.array([row]))[0].tolist() == list(rows[row])
    np.testing.assert_array_equal(catalog.rows_of(catalog.codes.astype(np.int64)), np.arange(len(catalog)))


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=20))
def test_features_are_rounded_by_at_most_half_a_step_of_their_column(rows: list[tuple[float, float]]) -> None:
    table = np.array(rows, np.float32)
    catalog = Catalog.build([f"i{n}" for n in range(len(rows))], np.arange(len(rows))[:, None], 32, None, table)
    found = catalog.features_of(np.arange(len(rows)))
    assert (np.abs(found - table) <= 0.501 * np.abs(table).max(axis=0) / 127 + 1e-30).all()
    with_others = catalog.with_features(table * 2)
    np.testing.assert_allclose(with_others.features_of(np.arange(len(rows))), found * 2, rtol=1e-6, atol=1e-36)


@given(catalogs(), st.data())
def test_ranges_and_borders_agree_with_a_scan(catalog: Catalog, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, catalog.levels - 1))
    code = st.integers(0, catalog.codebook_size - 1)
    drawn = data.draw(st.lists(st.tuples(*[code] * length), min_size=1, max_size=5))
    prefixes = np.array(drawn, dtype=np.int64).reshape(len(drawn), length)
    low, high = catalog.ranges(prefixes)
    borders = catalog.next_borders(prefixes)
    for i, prefix in enumerate(prefixes):
        under = [r for r, row in enumerate(catalog.codes) if (row[:length] == prefix).all()]
        assert list(range(low[i], high[i])) == under
        counts = np.bincount(catalog.codes[under, length], minlength=catalog.codebook_size)
        assert np.diff(borders[i]).tolist() == counts.tolist()
        assert borders[i, 0] == low[i]


@pytest.mark.parametrize(
    ("ids", "codes", "size"),
    [
        ([], np.zeros((0, 2), np.int64), 4),
        (["a"], [[70_000]], 4),
        (["a"], [[-1]], 4),
        (["a"], [[0.5]], 4),
        (["a", "b"], [[1], [1]], 4),
        (["a", "b"], [[1]], 4),
        (["a"], [[0] * 9], 4),
        (["a"], [[0] * 6], 4096),
        (["a"], [[0]], 4097),
        (["\ud800"], [[0]], 4),
        (["a"], [0], 4),
    ],
)
def test_build_refuses_what_no_device_could_use(ids: list[str], codes: object, size: int) -> None:
    with pytest.raises(CatalogInvalid):
        Catalog.build(ids, np.asarray(codes), size)


@pytest.mark.parametrize("ids", [["a", "a"], ["7", "7"]])
def test_one_id_is_one_item(ids: list[str]) -> None:
    with pytest.raises(CatalogInvalid, match="twice"):
        Catalog.build(ids, [[0], [1]], 4)


def test_an_unknown_item_is_named() -> None:
    catalog = Catalog.build(["a"], [[0]], 2)
    assert "b" not in catalog
    assert 3 not in catalog
    with pytest.raises(UnknownItem, match="'b'"):
        catalog.index_of("b")
