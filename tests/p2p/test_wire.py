"""Reading msgpack from anyone: long arrays of short rows, and nothing longer, deeper or more than that."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.wire import unpack, unpack_rows

LIMITS = {"max_array_len": 3, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
ROWS = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.lists(st.binary(max_size=5), max_size=3)), max_size=50)


@given(st.integers(0, 300), st.one_of(st.none(), st.integers(0, 300), ROWS))
def test_what_was_packed_is_read(first: int, second: Any) -> None:
    assert unpack_rows(msgpack.packb([first, second]), LIMITS, 50) == [first, second]


@given(ROWS)
def test_every_cut_and_every_addition_is_refused(rows: list[Any]) -> None:
    data = msgpack.packb([1, rows])
    for wrong in (data[:-1], data + b"\x00", data[:1], b"", b"\x93" + data[1:]):
        with pytest.raises(ValueError, match=r".+"):
            unpack_rows(wrong, LIMITS, 50)


def test_too_many_rows_and_too_long_rows_are_refused() -> None:
    assert unpack_rows(msgpack.packb([1, [0] * 20_000]), LIMITS, 20_000)[1] == [0] * 20_000
    with pytest.raises(ValueError, match="at most 19999"):
        unpack_rows(msgpack.packb([1, [0] * 20_000]), LIMITS, 19_999)
    with pytest.raises(ValueError, match="max_array_len"):
        unpack_rows(msgpack.packb([1, [[0] * 4]]), LIMITS, 10)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    for read in (lambda: unpack(data, LIMITS), lambda: unpack_rows(data, LIMITS, 10)):
        try:
            read()
        except ValueError:
            continue
