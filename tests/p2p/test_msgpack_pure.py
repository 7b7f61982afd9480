"""msgpack in Python alone: the same bytes as the C package's, and the same refusals, whatever a peer sends."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgpack
import pytest
import umsgpack
from hypothesis import example, given
from hypothesis import strategies as st

from p2p import msgpack_pure, wire

STRICT = {"max_array_len": 3, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
LOOSE = {"max_array_len": 100, "max_str_len": 100, "max_map_len": 100, "max_ext_len": 0}
EDGES = [sign * (1 << bits) + by for bits in (5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1) for by in (-1, 0, 1)]
INTEGERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from([n for n in EDGES if n >= -(1 << 63)])
SCALARS = st.none() | st.booleans() | INTEGERS | st.binary(max_size=300) | st.text(max_size=40)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=20), max_leaves=40)
# Mostly headers, so that nesting, lengths without content and every kind of value come up often.
HEADERS = bytes.fromhex("808190919293 9fa0a1c0c1c2 c4c5c6c7c8ca cbcccfd0d3d4 d8d9dcdddedfe0")
HOSTILE = st.lists(st.sampled_from(HEADERS) | st.integers(0, 255), max_size=24).map(bytes)


def outcome(package: Any, data: bytes, limits: dict[str, int]) -> tuple[bool, str]:
    """Whether a package reads it, and what it reads."""
    try:
        return True, comparable(package.unpackb(data, raw=False, **limits))
    except (ValueError, TypeError, msgpack.UnpackException):
        return False, ""


def comparable(value: Any) -> str:
    """A value in words: NaN equals NaN, -0.0 is not 0.0, True is not 1, and both packages' extensions are alike."""
    if isinstance(value, list):
        return f"[{', '.join(map(comparable, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{comparable(k)}: {comparable(v)}' for k, v in value.items())}}}"
    if isinstance(value, msgpack.ExtType | msgpack_pure.Extension):
        return f"extension {value.code} {value.data!r}"
    return repr(value)


@given(VALUES)
def test_it_writes_the_same_bytes_as_the_package_in_c_and_another_in_python(value: Any) -> None:
    written = msgpack_pure.packb(value)
    assert written == msgpack.packb(value) == umsgpack.packb(value)
    assert comparable(msgpack_pure.unpackb(written, raw=False)) == comparable(msgpack.unpackb(written, raw=False))


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_lengths_take_the_shortest_header(length: int) -> None:
    for value in (b"x" * length, "x" * length, [0] * length):
        assert msgpack_pure.packb(value) == msgpack.packb(value)
        assert msgpack_pure.unpackb(msgpack.packb(value), raw=False) == value


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1])
def test_numbers_of_more_than_64_bits_are_refused(value: int) -> None:
    for package in (msgpack, msgpack_pure):
        with pytest.raises(OverflowError):
            package.packb(value)


@pytest.mark.parametrize("value", [object(), 1.5, {1: 2}])
def test_what_no_format_has_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        msgpack_pure.packb(value)


@given(HOSTILE, st.sampled_from([STRICT, LOOSE]))
@example(b"\xca\x7f\xc0\x00\x00", STRICT)  # NaN
@example(b"\xcb" + b"\xff" * 8, STRICT)
@example(b"\xc7\x00\x05", STRICT)
@example(b"\xc7\x00\xff", STRICT)
@example(b"\x81\x90\x00", LOOSE)
@example(b"\x82\xa1a\x00\xa1a\x01", LOOSE)
@example(b"\xa1\xff", LOOSE)
@example(b"\x90\x90", STRICT)
def test_it_reads_and_refuses_what_the_package_in_c_does(data: bytes, limits: dict[str, int]) -> None:
    assert outcome(msgpack_pure, data, limits) == outcome(msgpack, data, limits)


@given(VALUES, st.data())
def test_cut_short_or_with_a_byte_changed_it_is_read_or_refused_alike(value: Any, data: st.DataObject) -> None:
    written = bytearray(msgpack.packb(value))
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    for changed in (bytes(written), bytes(written[: data.draw(st.integers(0, len(written)))]), bytes(written) + b"\0"):
        assert outcome(msgpack_pure, changed, LOOSE) == outcome(msgpack, changed, LOOSE)


@pytest.mark.parametrize("leaf", [b"\x00", b"\x90", b"\xc4\x01x"])
@pytest.mark.parametrize("header", [b"\x91", b"\x81\xa0", b"\xdd\x00\x00\x00\x01"])
def test_nesting_ends_where_the_package_in_c_ends_it(header: bytes, leaf: bytes) -> None:
    def reads(package: Any, depth: int) -> bool:
        try:
            package.unpackb(header * depth + leaf, raw=False, **LOOSE)
        except ValueError:
            return False
        return True

    depths = (1, 1022, 1023, 1024, 1025, 100_000)
    assert [reads(msgpack_pure, depth) for depth in depths] == [reads(msgpack, depth) for depth in depths]
    assert not reads(msgpack_pure, 100_000)


@pytest.mark.parametrize("kind", [0xC6, 0xC9, 0xDB, 0xDD, 0xDF])
def test_lengths_without_content_cost_nothing(kind: int) -> None:
    with pytest.raises(ValueError, match=r"exceeds|incomplete"):
        msgpack_pure.unpackb(bytes([kind]) + b"\xff" * 4, raw=False)


@pytest.fixture
def without_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module `p2p.wire` as it is where msgpack is not installed."""
    monkeypatch.setitem(sys.modules, "msgpack", None)
    monkeypatch.delitem(sys.modules, "p2p.wire")
    yield importlib.import_module("p2p.wire")
    sys.modules["p2p.wire"] = wire


def rows(module: ModuleType, data: bytes) -> tuple[bool, str]:
    try:
        return True, comparable(module.unpack_rows(data, STRICT, 5))
    except ValueError:
        return False, ""


def test_it_takes_the_packages_place(without_c: ModuleType) -> None:
    assert without_c.msgpack is msgpack_pure
    assert without_c.pack([1, b"x", None]) == wire.pack([1, b"x", None])
    for row in ([], [[1, b"x", 2]] * 5, [[1]] * 6, None, 7, [[[]] * 4], [0] * 20):
        data = wire.pack([1, row])
        assert rows(without_c, data) == rows(wire, data)
        for other in (data[:-1], data + b"\0", b"\x93" + data[1:], data[1:], b""):
            assert rows(without_c, other) == rows(wire, other)
