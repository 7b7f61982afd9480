"""Reading msgpack that may come from anyone: limits before allocation, and one way to say that it is malformed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from p2p.errors import RecordInvalid, Rejected


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
