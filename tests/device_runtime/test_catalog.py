"""The catalog against brute force, and its format against hostile bytes."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Catalog, CatalogInvalid, DeviceError, UnknownItem


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    levels = draw(st.integers(1, 4))
    size = draw(st.integers(2, 5))
    rows = draw(st.lists(st.tuples(*[st.integers(0, size - 1)] * levels), min_size=1, max_size=30, unique=True))
    ids = draw(st.lists(st.text(min_size=1, max_size=8), min_size=len(rows), max_size=len(rows), unique=True))
    ids = [item.encode("utf-8", "replace").decode() + f"#{i}" for i, item in enumerate(ids)]
    titles = draw(st.none() | st.just([f"title of {item}" for item in ids]))
    number = st.floats(-1e6, 1e6, width=32)
    width = draw(st.integers(1, 3))
    feature = st.lists(number, min_size=width, max_size=width)
    features = draw(st.none() | st.lists(feature, min_size=len(rows), max_size=len(rows)))
    return Catalog.build(ids, np.array(rows), size, titles, features)


@given(catalogs())
def test_round_trip(catalog: Catalog) -> None:
    again = Catalog.from_bytes(catalog.to_bytes())
    assert again.ids == catalog.ids
    assert again.titles == catalog.titles
    assert again.codebook_size == catalog.codebook_size
    np.testing.assert_array_equal(again.codes, catalog.codes)
    np.testing.assert_array_equal(again.features, catalog.features)
    np.testing.assert_array_equal(again.scales, catalog.scales)
    assert again.to_bytes() == catalog.to_bytes()


@given(catalogs())
def test_rows_are_sorted_and_items_keep_their_codes_and_titles(catalog: Catalog) -> None:
    rows = [tuple(row) for row in catalog.codes.tolist()]
    assert rows == sorted(rows)
    for row, item in enumerate(catalog.ids):
        assert item in catalog
        assert catalog.index_of(item) == row
        assert catalog.title_of(row) == (f"title of {item}" if catalog.titles else item)


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=20))
def test_features_are_rounded_by_at_most_half_a_step_of_their_column(rows: list[tuple[float, float]]) -> None:
    table = np.array(rows, np.float32)
    catalog = Catalog.build([f"i{n}" for n in range(len(rows))], np.arange(len(rows))[:, None], 32, None, table)
    found = catalog.features_of(np.arange(len(rows)))
    assert (np.abs(found - table) <= 0.501 * np.abs(table).max(axis=0) / 127 + 1e-30).all()
    with_others = catalog.with_features(table * 2)
    np.testing.assert_allclose(with_others.features_of(np.arange(len(rows))), found * 2, rtol=1e-6)


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
        for c in range(catalog.codebook_size):
            extended = [r for r in under if catalog.codes[r, length] == c]
            assert list(range(borders[i, c], borders[i, c + 1])) == extended


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DeviceError):
        Catalog.from_bytes(data)


@given(catalogs(), st.data())
def test_damaged_bytes_are_refused_or_are_another_catalog(catalog: Catalog, data: st.DataObject) -> None:
    damaged = bytearray(catalog.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Catalog.from_bytes(bytes(damaged))
    except DeviceError:
        return
    assert Catalog.from_bytes(found.to_bytes()).ids == found.ids


_hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 5000) | st.text(max_size=5) | st.binary(max_size=12) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(_hostile, min_size=9, max_size=9), st.booleans())
def test_well_formed_msgpack_of_the_wrong_shape_is_refused(fields: list[object], known_format: bool) -> None:
    if known_format:
        fields[:3] = [2, 1, 4]
    try:
        found = Catalog.from_bytes(msgpack.packb(fields))
    except CatalogInvalid:
        return
    assert len(found.ids) == len(found.codes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({0: 1}, "format 1"),
        ({1: 9}, "9 levels"),
        ({2: 70_000}, "70000 codes"),
        ({2: True}, "codes"),
        ({3: ["a", "b"]}, "same length"),
        ({3: ["a", "a", "c"]}, "twice"),
        ({3: ["a", "", "c"]}, "row 1"),
        ({3: ["a", "b" * 257, "c"]}, "row 1"),
        ({3: ["a", 5, "c"]}, "row 1"),
        ({4: b"\1\0\0\0\2\0"}, "sorted"),
        ({4: b"\0\0\0\0\2\0"}, "distinct"),
        ({4: b"\0\0\1\0\4\0"}, "a code is 4"),
        ({5: ["t"]}, "1 titles"),
        ({5: ["t", "t" * 1025, "t"]}, "row 1"),
        ({5: 3}, "titles"),
        ({6: b"\0\0"}, "2 features"),
        ({6: 3}, "not bytes"),
        ({7: b""}, "0 scales"),
        ({7: b"\0\0\0"}, "right length"),
        ({7: b"\0\0\xc0\x7f"}, "not finite"),
        ({8: 3}, "six fields"),
        ({8: [1, b"", b"", 1.0, 1.0]}, "six fields"),
        ({8: [True, b"", b"", 1.0, 1.0, 1.0]}, "True neighbours"),
        ({8: [65, b"", b"", 1.0, 1.0, 1.0]}, "65 neighbours"),
        ({8: [1, 3, b"abc", 1.0, 1.0, 1.0]}, "not bytes"),
        ({8: [1, b"\1\0\2\0", b"ab", 1.0, 1.0, 1.0]}, "2 weights"),
        ({8: [1, b"\1\0\2\0\3\0", b"abc", 1.0, 1.0, 1.0]}, "row 3 of a catalog of 3"),
        ({8: [1, b"\1\0\2\0\0\0", b"abc", float("nan"), 1.0, 1.0]}, "scale"),
        ({8: [1, b"\1\0\2\0\0\0", b"abc", 1.0, 0.0, 1.0]}, "half_life"),
        ({8: [1, b"\1\0\2\0\0\0", b"abc", 1.0, 1.0, float("inf")]}, "weight"),
        ({8: [1, b"\1\0\2\0\0\0", b"abc", 1.0, 1.0, 1]}, "weight"),
    ],
)
def test_each_rule_of_the_format_is_checked(change: dict[int, object], expected: str) -> None:
    fields: list[object] = [2, 1, 4, ["a", "b", "c"], b"\0\0\1\0\2\0", None, b"\0\1\2", b"\0\0\x80\x3f", None]
    assert len(Catalog.from_bytes(msgpack.packb(fields))) == 3
    for place, value in change.items():
        fields[place] = value
    with pytest.raises(CatalogInvalid, match=expected):
        Catalog.from_bytes(msgpack.packb(fields))


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


def test_an_unknown_item_is_named() -> None:
    catalog = Catalog.build(["a"], [[0]], 2)
    assert "b" not in catalog
    with pytest.raises(UnknownItem, match="'b'"):
        catalog.index_of("b")
