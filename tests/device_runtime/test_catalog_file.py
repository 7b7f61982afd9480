"""The catalog's file keeps everything, opens in place, and refuses whatever it is not."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_runtime import Catalog, CatalogInvalid, DeviceError
from device_runtime.columns import IntegerColumn
from tests.device_runtime.catalogs import catalogs


def _same(one: Catalog, other: Catalog) -> None:
    assert list(one.ids) == list(other.ids)
    assert (one.levels, one.codebook_size) == (other.levels, other.codebook_size)
    assert one.titles is other.titles is None or list(one.titles or ()) == list(other.titles or ())
    for name in ("packed", "features", "scales", "codes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    if one.neighbours is not None and other.neighbours is not None:
        np.testing.assert_array_equal(one.neighbours.rows, other.neighbours.rows)
        np.testing.assert_array_equal(one.neighbours.weights, other.neighbours.weights)
    if one.categories is not None and other.categories is not None:
        assert one.categories.names == other.categories.names
        assert one.categories.per_item() == other.categories.per_item()


@given(catalogs())
def test_round_trip(catalog: Catalog) -> None:
    data = catalog.to_bytes()
    again = Catalog.from_bytes(data)
    _same(again, catalog)
    assert again.to_bytes() == data
    assert (again.neighbours is None) == (catalog.neighbours is None)
    assert (again.categories is None) == (catalog.categories is None)


def test_a_mapped_file_is_used_in_place(tmp_path: Path) -> None:
    catalog = _large(5000)
    path = tmp_path / "catalog.bin"
    path.write_bytes(catalog.to_bytes())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = Catalog.from_bytes(memoryview(mapped), thorough=False)
    _same(found, catalog)
    assert not found.packed.flags.owndata
    assert isinstance(found.ids, IntegerColumn)
    assert not found.ids.numbers.flags.owndata


def _large(n: int) -> Catalog:
    codes = np.stack(np.unravel_index(np.arange(n), (32,) * 3), axis=1)
    return Catalog.build([str(7 * number) for number in range(n)], codes, 32)


def test_numbers_cost_twelve_bytes_per_item_at_most() -> None:
    assert len(_large(30_000).to_bytes()) / 30_000 <= 4 + 4 + 2 + 0.1


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_refused(data: bytes, begun: bool) -> None:
    with pytest.raises(DeviceError):
        Catalog.from_bytes(b"MRCATLG3" + data if begun else data)


@settings(max_examples=300)
@given(catalogs(), st.data())
def test_damaged_bytes_are_refused_or_are_another_catalog(catalog: Catalog, data: st.DataObject) -> None:
    damaged = bytearray(catalog.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Catalog.from_bytes(bytes(damaged))
    except DeviceError:
        return
    assert [found.index_of(item) for item in found.ids] == list(range(len(found)))
    assert Catalog.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


@given(catalogs(), st.data())
def test_without_the_thorough_check_damage_may_give_other_answers_but_only_named_errors(
    catalog: Catalog, data: st.DataObject
) -> None:
    damaged = bytearray(catalog.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for question in (
        lambda found: found.row_of(catalog.ids[0]),
        lambda found: found.title_of(len(found) - 1),
        lambda found: found.ranges(np.array([[0]])),
        lambda found: found.features_of(np.arange(len(found))),
    ):
        try:
            question(Catalog.from_bytes(bytes(damaged), thorough=False))
        except DeviceError:
            continue


@given(catalogs(), st.data())
def test_a_file_cut_short_or_with_more_behind_is_refused(catalog: Catalog, data: st.DataObject) -> None:
    whole = catalog.to_bytes()
    with pytest.raises(CatalogInvalid):
        Catalog.from_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CatalogInvalid):
        Catalog.from_bytes(whole + b"\0")


def _with_header(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    length = int.from_bytes(data[8:12], "little")
    header = json.loads(data[12 : 12 + length])
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    body = data[-(-(12 + length) // 64) * 64 :]
    return data[:8] + len(text).to_bytes(4, "little") + text + bytes(-(12 + len(text)) % 64) + body


SMALL = Catalog.build(
    ["a", "b", "c"], [[0], [1], [2]], 4, ["A", "", "C"], [[1.0], [2], [3]], (["x", "y"], [[0], [], [0, 1]])
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    "items", "levels", "codebook", "features", "feature_bytes", "id_width", "id_bytes", "title_bytes", "neighbours",
    "categories", "category_members",
)  # fmt: skip


@given(st.sampled_from(_FIELDS), _values)
def test_any_field_of_the_header_may_hold_anything(field: str, value: Any) -> None:
    try:
        data = _with_header(SMALL.to_bytes(), lambda header: header.update({field: value}))
    except UnicodeEncodeError:
        return
    try:
        found = Catalog.from_bytes(data)
    except CatalogInvalid:
        return
    assert found.to_bytes() == data or field == "codebook"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"items": 0}, "number of items"),
        ({"items": True}, "number of items"),
        ({"levels": 9}, "number of levels"),
        ({"codebook": 70_000}, "codebook size"),
        ({"codebook": 2}, "semantic ID"),
        ({"codebook": 4096, "levels": 6}, "62 bits"),
        ({"features": 0}, "number of features"),
        ({"feature_bytes": 2}, "bytes of features"),
        ({"feature_bytes": 0}, "calls for"),
        ({"id_width": 3}, "width 3"),
        ({"id_width": 4}, "id_bytes"),
        ({"id_bytes": -1}, "id_bytes"),
        ({"id_bytes": 1 << 40}, "id_bytes"),
        ({"title_bytes": 1 << 40}, "title_bytes"),
        ({"title_bytes": None}, "calls for"),
        ({"neighbours": 3}, "four fields"),
        ({"neighbours": [65, 1.0, 1.0, 1.0]}, "number of neighbours"),
        ({"neighbours": [1, 0.0, 1.0, 1.0]}, "above 0"),
        ({"neighbours": [1, 1.0, True, 1.0]}, "above 0"),
        ({"neighbours": [1, 1.0, 1.0, 10**400]}, "above 0"),
        ({"categories": []}, "1 to 1024 names"),
        ({"categories": ["x", 3]}, "not texts"),
        ({"categories": ["x", "x"]}, "distinct"),
        ({"categories": ["x", ""]}, "name of 1 to"),
        ({"categories": ["x"]}, "category 1 of 1"),
        ({"category_members": 1000}, "category_members"),
        ({"colour": "red"}, "fields of format 3"),
    ],
)
def test_each_rule_of_the_header_is_checked(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(CatalogInvalid, match=expected):
        Catalog.from_bytes(_with_header(SMALL.to_bytes(), lambda header: header.update(change)))


def test_a_header_has_one_form() -> None:
    data = SMALL.to_bytes()
    with pytest.raises(CatalogInvalid, match="canonical"):
        Catalog.from_bytes(data[:8] + bytes([data[8] + 1]) + data[9:].replace(b"{", b"{ ", 1))
    with pytest.raises(CatalogInvalid, match="not JSON"):
        Catalog.from_bytes(data[:12] + b"[" * 100_000)
    with pytest.raises(CatalogInvalid, match="begins with"):
        Catalog.from_bytes(b"")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (bytes([1, 0, 0, 0, 2, 0, 0, 0]), bytes([2, 0, 0, 0, 2, 0, 0, 0]), "distinct and sorted"),
        (b"abc", b"aac", "twice"),
        (b"abc", b"a\xffc", "UTF-8"),
        (b"\1\1\1" + bytes(61), b"\1\2\0" + bytes(61), "empty"),
        (b"\1\1\1" + bytes(61), b"\1\1\2" + bytes(61), "add up"),
        (b"\0\1\2" + bytes(61), b"\0\1\1" + bytes(61), "every row once"),
        (b"\0\1\2" + bytes(61), b"\0\1\3" + bytes(61), "every row once"),
        (b"\1\0\2" + bytes(61), b"\1\0\1" + bytes(61), "other categories"),
        (b"AC" + bytes(62), b"AC\1" + bytes(61), "not zero"),
    ],
)
def test_each_rule_of_the_columns_is_checked(old: bytes, new: bytes, expected: str) -> None:
    data = SMALL.to_bytes()
    assert data.count(old) == 1
    with pytest.raises(CatalogInvalid, match=expected):
        Catalog.from_bytes(data.replace(old, new))
