"""Msgpack: writing it, and reading what may come from anyone: limits before allocation, one way to say it is malformed.

The package `msgpack` does it in C; where it is missing, as on Android, `p2p.msgpack_pure` does the same in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2p.errors import RecordInvalid, Rejected

try:
    import msgpack
except ImportError:
    from p2p import msgpack_pure as msgpack

_ARRAY_HEADERS = {*range(0x90, 0xA0), 0xDC, 0xDD}


def pack(content: Any) -> bytes:
    """Return the one canonical encoding of lists of whole numbers, bytes and None."""
    packed: bytes = msgpack.packb(content)
    return packed


def unpack(data: bytes, limits: Mapping[str, int]) -> Any:
    """Read msgpack.

    Args:
        data: from anyone.
        limits: keyword arguments of `msgpack.unpackb`, which checks them before it allocates. Without them nested array
            headers cost many times their size in memory.

    Raises:
        ValueError: it is not msgpack, or beyond a limit.
    """
    try:
        return msgpack.unpackb(data, raw=False, **limits)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def unpack_rows(data: bytes, limits: Mapping[str, int], most: int) -> Any:
    """Read an array of two whose second element may be a long array of short ones.

    One limit for both lengths would let a few kilobytes of nested headers claim a hundred megabytes.

    Args:
        data: from anyone.
        limits: as in `unpack`; they hold for the rows.
        most: rows that are read at most.

    Raises:
        ValueError: it is not msgpack, or beyond a limit.
    """
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=len(data) or 1, **limits)
    try:
        unpacker.feed(data)
        if unpacker.read_array_header() != 2:
            raise ValueError("an array of two expected")
        first, at = unpacker.unpack(), unpacker.tell()
        if data[at] in _ARRAY_HEADERS:
            count = unpacker.read_array_header()
            if count > most:
                raise ValueError(f"{count} rows; at most {most} are read")
            second: Any = [unpacker.unpack() for _ in range(count)]
        else:
            second = unpacker.unpack()
    except (ValueError, TypeError, IndexError, msgpack.UnpackException, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if unpacker.tell() != len(data):
        raise ValueError("more bytes than the array has")
    return [first, second]


def need(condition: bool, expectation: str) -> None:
    """Refuse as malformed what does not meet an expectation.

    Raises:
        RecordInvalid: it does not.
    """
    if not condition:
        raise RecordInvalid(Rejected.MALFORMED, expectation)


def is_key(value: object, length: int) -> bool:
    """Return whether a value is so many bytes."""
    return isinstance(value, bytes) and len(value) == length


def is_int(value: object, low: int, high: int) -> bool:
    """Return whether a value is a whole number within bounds; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
