"""Columns of a catalog that stay in the file: item ids, titles, and row numbers, read in place when asked for.

Ids are texts, or, when every id is a whole number in plain decimal form, integers of four or eight bytes. Texts are
kept as lengths, the place where every 64th begins, and their bytes one after the other, so that any of them is found
without reading the others and costs one or two bytes beside its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import CatalogInvalid

BLOCK = 64
_MAX_INTEGER = (1 << 64) - 1


class Texts(Protocol):
    """Texts by row."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> str: ...

    def __iter__(self) -> Iterator[str]: ...


class TextColumn:
    """Texts of at most 255 or 65,535 UTF-8 bytes.

    Args:
        lengths: uint8 or uint16 [n], in bytes.
        starts: uint32 [ceil(n / 64)], where in `content` every 64th text begins.
        content: all texts, UTF-8, one after the other.
    """

    def __init__(
        self,
        lengths: NDArray[np.uint8] | NDArray[np.uint16],
        starts: NDArray[np.uint32],
        content: bytes | memoryview,
    ) -> None:
        self.lengths = lengths
        self.starts = starts
        self.content = content

    @classmethod
    def build(cls, texts: Sequence[str], width: type[np.uint8] | type[np.uint16]) -> TextColumn:
        """Store texts that are known to fit."""
        encoded = [text.encode() for text in texts]
        lengths: NDArray[Any] = np.fromiter((len(text) for text in encoded), width, len(encoded))
        return cls(lengths, starts_of(lengths), b"".join(encoded))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> str:
        try:
            return str(self.raw(row), "utf-8")
        except UnicodeDecodeError as error:
            raise CatalogInvalid(f"row {row} of the catalog is not UTF-8; get the bundle again") from error

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def raw(self, row: int) -> bytes:
        """Return a text's bytes."""
        row = range(len(self))[row]
        first = row - row % BLOCK
        start = int(self.starts[row // BLOCK]) + int(self.lengths[first:row].sum(dtype=np.int64))
        return bytes(self.content[start : start + int(self.lengths[row])])

    def check(self, kind: str, *, empty: bool) -> None:
        """Read all of it.

        Raises:
            CatalogInvalid: lengths and places contradict each other, a text is not UTF-8, or is empty and may not be.
        """
        total = int(self.lengths.sum(dtype=np.int64))
        if total != len(self.content) or not np.array_equal(self.starts, starts_of(self.lengths)):
            raise CatalogInvalid(f"the lengths of the catalog's {kind}s do not add up; get the bundle again")
        if not empty and not self.lengths.all():
            row = int(np.flatnonzero(self.lengths == 0)[0])
            raise CatalogInvalid(f"row {row} of the catalog has no usable {kind}: it is empty")
        try:  # a text cut inside a character shows as one that begins inside a character
            str(self.content, "utf-8")
        except UnicodeDecodeError as error:
            raise CatalogInvalid(f"the catalog's {kind}s are not UTF-8 ({error.reason})") from error
        begins = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        first = np.frombuffer(self.content, np.uint8)[begins[self.lengths > 0]]
        if ((first & 0xC0) == 0x80).any():
            raise CatalogInvalid(f"one of the catalog's {kind}s begins inside a character")


class IntegerColumn:
    """Ids that are whole numbers, uint32 or uint64 [n]."""

    def __init__(self, numbers: NDArray[np.uint32] | NDArray[np.uint64]) -> None:
        self.numbers = numbers

    @classmethod
    def build(cls, ids: Sequence[str]) -> IntegerColumn | None:
        """Store ids, or return None if one of them is not a whole number below 2**64 in plain decimal form."""
        numbers = []
        for text in ids:
            number = as_integer(text)
            if number is None:
                return None
            numbers.append(number)
        return cls.of(np.array(numbers, np.uint64))

    @classmethod
    def of(cls, numbers: NDArray[np.unsignedinteger[Any]]) -> IntegerColumn:
        """Store numbers in four bytes each where all of them fit, otherwise in eight."""
        narrow = not len(numbers) or int(numbers.max()) < 1 << 32
        return cls(numbers.astype(np.uint32) if narrow else numbers.astype(np.uint64))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: int) -> str:
        return str(int(self.numbers[row]))

    def __iter__(self) -> Iterator[str]:
        return (str(number) for number in self.numbers.tolist())


Ids = TextColumn | IntegerColumn


def ids_column(ids: Sequence[str]) -> Ids:
    """Store ids, as integers where all of them are."""
    return IntegerColumn.build(ids) or TextColumn.build(ids, np.uint8)


def as_integer(text: str) -> int | None:
    """Return the number an id is, if its plain decimal form is the id."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or (text[0] == "0" and len(text) > 1):
        return None
    number = int(text)
    return number if number <= _MAX_INTEGER else None


def starts_of(lengths: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint32]:
    """Where every 64th text begins."""
    ends = np.cumsum(lengths, dtype=np.int64)
    if len(ends) and ends[-1] >= 1 << 32:
        raise CatalogInvalid(f"the catalog's texts take {ends[-1]} bytes, at most 4 GiB are allowed")
    return (ends - lengths)[::BLOCK].astype(np.uint32)


class RowNumbers:
    """Row numbers in as few bytes as the largest needs, little-endian.

    Args:
        content: uint8 [n, width].
    """

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self.content = content

    @classmethod
    def build(cls, rows: NDArray[np.integer[Any]], n: int) -> RowNumbers:
        """Store rows below `n`."""
        wide = np.ascontiguousarray(rows, "<u4").view(np.uint8).reshape(-1, 4)
        return cls(np.ascontiguousarray(wide[:, : row_bytes(n)]))

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, place: int) -> int:
        return int.from_bytes(self.content[place].tobytes(), "little")

    def all(self) -> NDArray[np.int64]:
        """Every row number."""
        wide = np.zeros((len(self.content), 4), np.uint8)
        wide[:, : self.content.shape[1]] = self.content
        rows: NDArray[np.int64] = wide.view("<u4")[:, 0].astype(np.int64)
        return rows


def row_bytes(n: int) -> int:
    """Bytes that name a row of a catalog of n items."""
    return max(1, (max(n - 1, 1).bit_length() + 7) // 8)


def order_of(ids: Ids) -> NDArray[np.int64]:
    """Rows by id: numbers by size, texts by their bytes."""
    if isinstance(ids, IntegerColumn):
        return np.argsort(ids.numbers, kind="stable").astype(np.int64)
    raw = [ids.raw(row) for row in range(len(ids))]
    return np.array(sorted(range(len(raw)), key=raw.__getitem__), np.int64)


def find(ids: Ids, order: RowNumbers, item: str) -> int:
    """Return the row of an id by binary search, -1 when it is not there.

    Raises:
        CatalogInvalid: the order points outside the catalog.
    """
    wanted: Any = as_integer(item) if isinstance(ids, IntegerColumn) else item.encode(errors="surrogatepass")
    if wanted is None:
        return -1
    low, high = 0, len(order)
    try:
        while low < high:
            middle = (low + high) // 2
            if _key(ids, order[middle]) < wanted:
                low = middle + 1
            else:
                high = middle
        return order[low] if low < len(order) and _key(ids, order[low]) == wanted else -1
    except IndexError as error:
        raise CatalogInvalid("the order of the catalog's ids points outside it; get the bundle again") from error


def _key(ids: Ids, row: int) -> Any:
    return int(ids.numbers[row]) if isinstance(ids, IntegerColumn) else ids.raw(row)


def check_order(ids: Ids, order: RowNumbers) -> None:
    """Check that an order names every row once, by ascending and distinct id.

    Raises:
        CatalogInvalid: it does not.
    """
    rows = order.all()
    n = len(ids)
    named = np.zeros(n, bool)
    if len(rows) == n and (not n or rows.max() < n):
        named[rows] = True
    if not named.all() or len(rows) != n:
        raise CatalogInvalid("the order of the catalog's ids does not name every row once; export the bundle again")
    if isinstance(ids, IntegerColumn):
        numbers = ids.numbers[rows]
        ascending = bool((numbers[1:] > numbers[:-1]).all())
    else:
        ascending = _ascending(ids.raw(row) for row in rows.tolist())
    if not ascending:
        raise CatalogInvalid("the catalog names an item twice, or its ids are out of order; export the bundle again")


def _ascending(texts: Iterable[bytes]) -> bool:
    before: bytes | None = None
    for text in texts:
        if before is not None and text <= before:
            return False
        before = text
    return True
