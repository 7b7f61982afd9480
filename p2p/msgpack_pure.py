"""The part of msgpack's interface that `p2p.wire` uses, in Python alone: for Android, where msgpack has no wheel.

Same bytes and same refusals as `msgpack`, compared in the tests. It exists because the pure-Python packages at hand
know no limits: u-msgpack-python builds whatever a peer's headers claim, recursively, and ignores trailing bytes. Takes
some four microseconds a value where C takes 0.03: a millisecond or two for a full record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: Containers around a value; msgpack's own limit.
MAX_DEPTH: Final = 1024


class UnpackException(Exception):
    """As in `msgpack`; everything that this module raises is a ValueError."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A value of an application's type; no format here has one, so readers refuse it."""

    code: int
    data: bytes


@dataclass(slots=True)
class _Open:
    """A container whose elements are being read; of a map, keys and values in turn."""

    wanted: int
    is_map: bool
    elements: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> None:
        if self.is_map and len(self.elements) % 2 == 0 and not isinstance(value, str | bytes):
            raise ValueError(f"{type(value).__name__} is not allowed for map key")
        self.elements.append(value)

    def value(self) -> list[Any] | dict[Any, Any]:
        if self.is_map:
            return dict(zip(self.elements[::2], self.elements[1::2], strict=True))
        return self.elements


# First byte: how many bytes of length or value follow, and of which kind they are.
_FIXED: Mapping[int, str] = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_LENGTHS: Mapping[int, tuple[str, str]] = {
    0xC4: ("bin", ">B"),
    0xC5: ("bin", ">H"),
    0xC6: ("bin", ">I"),
    0xC7: ("ext", ">B"),
    0xC8: ("ext", ">H"),
    0xC9: ("ext", ">I"),
    0xD9: ("str", ">B"),
    0xDA: ("str", ">H"),
    0xDB: ("str", ">I"),
    0xDC: ("array", ">H"),
    0xDD: ("array", ">I"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}
_CONSTANTS: Mapping[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
_UNSIGNED = ((0xCC, ">B", 1 << 8), (0xCD, ">H", 1 << 16), (0xCE, ">I", 1 << 32), (0xCF, ">Q", 1 << 64))
_SIGNED = ((0xD0, ">b", 1 << 7), (0xD1, ">h", 1 << 15), (0xD2, ">i", 1 << 31), (0xD3, ">q", 1 << 63))


class Unpacker:
    """Reads values one after the other. Nothing is allocated for what a header claims and the limits forbid.

    Args:
        raw: must be False: text is decoded.
        max_buffer_size: most bytes that `feed` takes.
        max_array_len, max_str_len, max_map_len, max_ext_len: refuse what is longer; by default only what the bytes
            cannot hold.
    """

    def __init__(
        self,
        *,
        raw: bool,
        max_buffer_size: int,
        max_array_len: int | None = None,
        max_str_len: int | None = None,
        max_map_len: int | None = None,
        max_ext_len: int | None = None,
    ) -> None:
        if raw:
            raise ValueError("text is always decoded here")
        self._data = b""
        self._at = 0
        limits = {"array": max_array_len, "str": max_str_len, "ext": max_ext_len, "bin": None}
        self._limits = {kind: max_buffer_size if most is None else most for kind, most in limits.items()}
        self._limits["map"] = max_buffer_size // 2 if max_map_len is None else max_map_len

    def feed(self, data: bytes) -> None:
        """Give it bytes to read."""
        self._data += data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def read_array_header(self) -> int:
        """Read the beginning of an array and return how many elements follow; no limit holds for them.

        Raises:
            ValueError: something else is there.
        """
        kind, count = self._header(self._byte())
        if kind != "array":
            raise ValueError("an array expected")
        return count

    def unpack(self) -> Any:
        """Read a value. Not recursive: nesting that a peer made up must not use up the interpreter's stack.

        Raises:
            ValueError: there is none, or it is beyond a limit.
        """
        stack: list[_Open] = []
        while True:
            value = self._value()
            if isinstance(value, _Open):
                if len(stack) >= MAX_DEPTH:
                    raise ValueError("too nested")
                if value.wanted:
                    stack.append(value)
                    continue
                value = value.value()
            while stack:
                stack[-1].add(value)
                if len(stack[-1].elements) < stack[-1].wanted:
                    break
                value = stack.pop().value()
            else:
                return value

    def _value(self) -> Any:
        """A value, or the container that begins here."""
        first = self._byte()
        if first < 0x80:
            return first
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _FIXED:
            return self._number(_FIXED[first])
        kind, size = self._header(first)
        if kind == "int":
            return size
        if size > self._limits[kind]:
            raise ValueError(f"{size} exceeds max_{kind}_len({self._limits[kind]})")
        if kind in ("array", "map"):
            return _Open(size if kind == "array" else 2 * size, kind == "map")
        if kind == "ext":
            return self._extension(size)
        content = self._take(size)
        return content.decode() if kind == "str" else content

    def _extension(self, size: int) -> Extension:
        code = self._number(">b")
        if code < 0:
            raise ValueError("neither timestamps nor other types of msgpack's own are read here")
        return Extension(code, self._take(size))

    def _header(self, first: int) -> tuple[str, int]:
        """What begins with a byte: `int` and its value, or another kind and its length."""
        if first < 0x80 or first >= 0xE0:
            return "int", first if first < 0x80 else first - 0x100
        if first < 0xC0:
            kind = "map" if first < 0x90 else "array" if first < 0xA0 else "str"
            return kind, first & (0x1F if kind == "str" else 0x0F)
        if 0xD4 <= first <= 0xD8:
            return "ext", 1 << (first - 0xD4)
        if first not in _LENGTHS:
            raise ValueError(f"no value begins with {first:#x}")
        kind, layout = _LENGTHS[first]
        return kind, self._number(layout)

    def _number(self, layout: str) -> Any:
        (value,) = struct.unpack(layout, self._take(struct.calcsize(layout)))
        return value

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise ValueError("incomplete input")
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, size: int) -> bytes:
        content = self._data[self._at : self._at + size]
        if len(content) != size:
            raise ValueError("incomplete input")
        self._at += size
        return content


def unpackb(data: bytes, *, raw: bool, **limits: int) -> Any:
    """Read the one value that `data` are.

    Raises:
        ValueError: they are not, or it is beyond a limit.
    """
    unpacker = Unpacker(raw=raw, max_buffer_size=len(data), **limits)
    unpacker.feed(data)
    value = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("unpack(b) received extra data.")
    return value


def packb(value: Any) -> bytes:
    """Return the smallest encoding of None, booleans, whole numbers, bytes, text, and lists of them.

    Raises:
        TypeError: it is something else.
        OverflowError: a number has more than 64 bits.
    """
    pieces: list[bytes] = []
    _pack(value, pieces.append)
    return b"".join(pieces)


def _pack(value: Any, write: Callable[[bytes], object]) -> None:
    match value:
        case None | False | True:
            write(b"\xc0" if value is None else b"\xc3" if value else b"\xc2")
        case int():
            write(_packed_int(value))
        case bytes():
            write(_header_of(len(value), (), (0xC4, 0xC5, 0xC6)) + value)
        case str():
            text = value.encode()
            write(_header_of(len(text), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + text)
        case list() | tuple():
            write(_header_of(len(value), (0x90, 16), (None, 0xDC, 0xDD)))
            for element in value:
                _pack(element, write)
        case _:
            raise TypeError(f"can not serialize {type(value).__name__!r} object")


def _packed_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value)
    for code, layout, limit in _UNSIGNED if value >= 0 else _SIGNED:
        if -limit <= value < limit:
            return bytes([code]) + struct.pack(layout, value)
    raise OverflowError("Integer value out of range")


def _header_of(size: int, small: tuple[int, int] | tuple[()], codes: tuple[int | None, ...]) -> bytes:
    """The shortest header of a length: within the first byte, or in one, two or four more."""
    if small and size < small[1]:
        return bytes([small[0] | size])
    for code, layout, limit in zip(codes, (">B", ">H", ">I"), (1 << 8, 1 << 16, 1 << 32), strict=True):
        if code is not None and size < limit:
            return bytes([code]) + struct.pack(layout, size)
    raise ValueError(f"{size} is too long")
