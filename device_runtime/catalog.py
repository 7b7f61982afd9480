"""The catalog of a bundle: items, their semantic IDs in sorted order, a few numbers of their own, and titles.

An item's semantic ID is L codes, kept as one number in base K. Rows are sorted by it, so the items under a prefix are
one range, found by binary search; the set of allowed next codes needs no trie. Columns stay where they are, in memory
or in a mapped file (see `catalog_file`), and are read when asked for. The catalog knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from device_runtime.categories import Categories
from device_runtime.columns import Ids, RowNumbers, TextColumn, check_order, find, ids_column, order_of
from device_runtime.errors import CatalogInvalid, UnknownItem
from device_runtime.neighbours import Neighbours

MAX_ITEMS = 1 << 24
MAX_LEVELS = 8
MAX_CODEBOOK = 4096
MAX_FEATURES = 1024
MAX_ID_BYTES = 255  # of UTF-8, as for titles
MAX_TITLE_BYTES = 1024
_REMEMBERED = 1 << 16

Packed = NDArray[np.uint32] | NDArray[np.uint64]


@dataclass(frozen=True, slots=False, eq=False)
class Catalog:
    """Items by semantic ID; a row number names an item everywhere on the device.

    Attributes:
        ids: item ids by row, distinct.
        order: rows by ascending id.
        packed: uint32 [n], or uint64 where K**L needs it: each row's codes as one number in base K; they
            ascend.
        levels: L, codes per item.
        codebook_size: K.
        titles: by row, or None when the catalog has none.
        features: int8 [n, R], R >= 1: what an item's vector holds beside its codes; zero for an item without.
        scales: float32 [R], finite: a feature's value is its number times the scale of its column.
        neighbours: which items go with which, or None.
        categories: which items are of which category, or None.

    Raises:
        CatalogInvalid: sizes or types do not fit; `check` looks at every row.
    """

    ids: Ids
    order: RowNumbers
    packed: Packed
    levels: int
    codebook_size: int
    titles: TextColumn | None
    features: NDArray[np.int8]
    scales: NDArray[np.float32]
    neighbours: Neighbours | None = None
    categories: Categories | None = None
    _rows: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check sizes and types, and that semantic IDs ascend, which every search relies on."""
        check_sizes(len(self.packed), self.levels, self.codebook_size, len(self.scales))
        n = len(self.packed)
        lengths = {len(self.ids), len(self.order), len(self.features)}
        lengths |= {len(self.titles)} if self.titles is not None else set()
        lengths |= {len(self.neighbours.rows)} if self.neighbours is not None else set()
        lengths |= {len(self.categories.counts)} if self.categories is not None else set()
        if lengths != {n}:
            raise CatalogInvalid(f"the catalog has {n} items, but columns of {sorted(lengths)} rows")
        wanted = np.dtype(packed_type(self.levels, self.codebook_size))
        if self.packed.dtype != wanted:
            raise CatalogInvalid(f"the catalog's semantic IDs must be {wanted}, got {self.packed.dtype}")
        if self.features.shape != (n, len(self.scales)) or self.features.dtype != np.int8:
            raise CatalogInvalid(f"expected features int8 [{n}, {len(self.scales)}], got {self.features.shape}")
        if not np.isfinite(self.scales).all():
            raise CatalogInvalid("the catalog's feature scales are not finite; export the bundle again")
        for array in (self.packed, self.features, self.scales):
            array.setflags(write=False)
        if n > 1 and not (self.packed[1:] > self.packed[:-1]).all():
            raise CatalogInvalid("the catalog's semantic IDs must be distinct and sorted; export the bundle again")
        if int(self.packed[-1]) >= self.codebook_size**self.levels:
            raise CatalogInvalid(f"a semantic ID is not {self.levels} codes below {self.codebook_size}")

    def check(self) -> None:
        """Look at every row, as is done once before a bundle is used for the first time.

        Raises:
            CatalogInvalid: an id is empty, not text, there twice or out of order, or another column contradicts itself.
        """
        if isinstance(self.ids, TextColumn):
            self.ids.check("id", empty=False)
        check_order(self.ids, self.order)
        if self.titles is not None:
            self.titles.check("title", empty=True)
            if self.titles.lengths.max() > MAX_TITLE_BYTES:
                raise CatalogInvalid(f"a title has more than {MAX_TITLE_BYTES} UTF-8 bytes")
        if self.categories is not None:
            self.categories.check()

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        codes: ArrayLike,
        codebook_size: int,
        titles: Sequence[str] | None = None,
        features: ArrayLike | None = None,
        categories: tuple[Sequence[str], Sequence[Collection[int]]] | None = None,
    ) -> Catalog:
        """Make a catalog from rows in any order.

        Args:
            ids: n item ids.
            codes: integers [n, L].
            codebook_size: K.
            titles: n titles, or None.
            features: finite numbers [n, R], rounded to 8 bits by column; one column of zeros when None.
            categories: names, and for each of the n items the numbers of its categories; or None.

        Raises:
            CatalogInvalid: see the class.
        """
        array = _checked_codes(codes, len(ids), codebook_size)
        table = np.zeros((len(ids), 1), np.float32) if features is None else np.asarray(features, np.float32)
        if table.ndim != 2 or len(table) != len(ids) or not table.shape[1] or not np.isfinite(table).all():
            raise CatalogInvalid(f"expected finite features [{len(ids)}, R >= 1], got shape {table.shape}")
        small, scales = _rounded(table)
        return cls.from_columns(ids, array, codebook_size, titles, small, scales, categories)

    @classmethod
    def from_columns(
        cls,
        ids: Sequence[str],
        codes: NDArray[np.integer[Any]],
        codebook_size: int,
        titles: Sequence[str] | None,
        features: NDArray[np.int8],
        scales: NDArray[np.float32],
        categories: tuple[Sequence[str], Sequence[Collection[int]]] | None = None,
    ) -> Catalog:
        """As `build`, with features that are rounded already: int8 [n, R], and their scales [R]."""
        check_sizes(len(ids), codes.shape[1], codebook_size, len(scales))
        _check_texts(ids, "id", MAX_ID_BYTES, empty=False)
        if titles is not None:
            if len(titles) != len(ids):
                raise CatalogInvalid(f"expected {len(ids)} titles, got {len(titles)}")
            _check_texts(titles, "title", MAX_TITLE_BYTES, empty=True)
        if categories is not None and len(categories[1]) != len(ids):
            raise CatalogInvalid(f"expected the categories of {len(ids)} items, got {len(categories[1])}")
        packed = pack(codes, codebook_size)
        rows = np.argsort(packed, kind="stable").tolist()
        sorted_ids = [ids[row] for row in rows]
        column = ids_column(sorted_ids)
        found = cls(
            column,
            RowNumbers.build(order_of(column), len(ids)),
            packed[rows].astype(packed_type(codes.shape[1], codebook_size)),
            codes.shape[1],
            codebook_size,
            None if titles is None else TextColumn.build([titles[row] for row in rows], np.uint16),
            features[rows],
            scales,
            None,
            None if categories is None else Categories.build(categories[0], [categories[1][row] for row in rows]),
        )
        check_order(found.ids, found.order)
        return found

    def with_features(self, features: ArrayLike) -> Catalog:
        """Return the same items with other features, finite numbers [n, R] in this catalog's order."""
        table = np.asarray(features, np.float32)
        if table.ndim != 2 or len(table) != len(self) or not table.shape[1] or not np.isfinite(table).all():
            raise CatalogInvalid(f"expected finite features [{len(self)}, R >= 1], got shape {table.shape}")
        small, scales = _rounded(table)
        return replace(self, features=small, scales=scales)

    def with_neighbours(self, neighbours: Neighbours | None) -> Catalog:
        """Return the same items with other neighbours, or none."""
        return replace(self, neighbours=neighbours)

    def with_categories(self, names: Sequence[str], per_item: Sequence[Collection[int]]) -> Catalog:
        """Return the same items with categories, for each row the numbers of its own; without names, with none."""
        return replace(self, categories=Categories.build(names, per_item) if names else None)

    def __len__(self) -> int:
        return len(self.packed)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str) and self.row_of(item) >= 0

    def row_of(self, item: str) -> int:
        """Return the row of an item, -1 where the catalog does not hold it."""
        row = self._rows.get(item)
        if row is None:
            row = find(self.ids, self.order, item)
            if len(self._rows) >= _REMEMBERED:
                self._rows.clear()
            self._rows[item] = row
        return row

    def index_of(self, item: str) -> int:
        """Return the row of an item.

        Raises:
            UnknownItem: the catalog does not hold it.
        """
        row = self.row_of(item)
        if row < 0:
            raise UnknownItem(f"the catalog does not hold item {item!r}; check the id or update the bundle")
        return row

    def title_of(self, row: int) -> str:
        """Return the title of a row, or its id where it has none."""
        return (self.titles[row] if self.titles else "") or self.ids[row]

    def features_of(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return float32 [..., R]: the features of `rows` [...]."""
        values: NDArray[np.float32] = self.features[rows] * self.scales
        return values

    @cached_property
    def codes(self) -> NDArray[np.uint16]:
        """uint16 [n, L]: every item's codes; for a catalog of millions ask `codes_of` for those that matter."""
        found = self.codes_of(np.arange(len(self)))
        found.setflags(write=False)
        return found

    def codes_of(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint16]:
        """Return uint16 [..., L]: the codes of `rows` [...]."""
        rest = self.packed[rows].astype(np.uint64)
        codes = np.empty((*rest.shape, self.levels), np.uint16)
        for level in range(self.levels - 1, -1, -1):
            rest, codes[..., level] = np.divmod(rest, np.uint64(self.codebook_size))
        return codes

    def rows_of(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return int64 [T]: the rows of codes [T, L], -1 where no item has them (as where a history is padded)."""
        valid: NDArray[np.bool_] = np.all(codes < self.codebook_size, axis=1)
        wanted = pack(np.where(valid[:, None], codes, 0), self.codebook_size).astype(self.packed.dtype)
        rows = np.minimum(np.searchsorted(self.packed, wanted), len(self) - 1)
        found: NDArray[np.int64] = np.where(valid & (self.packed[rows] == wanted), rows, -1)
        return found

    def ranges(self, prefixes: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows [low, high) under each prefix.

        Args:
            prefixes: integers [B, l] with 0 <= l <= L.
        """
        rest = self.codebook_size ** (self.levels - prefixes.shape[1])
        low = pack(prefixes, self.codebook_size) * rest
        return self._first_at(low), self._first_after(low + (rest - 1))

    def next_borders(self, prefixes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the rows where each one-code extension of each prefix begins and, last, where the prefix ends.

        Extension c of a prefix covers the rows [borders[c], borders[c + 1]); an empty range means that no item of the
        catalog has that code next.

        Args:
            prefixes: integers [B, l] with l < L.

        Returns:
            int64 [B, K + 1].
        """
        step = self.codebook_size ** (self.levels - prefixes.shape[1] - 1)
        low = pack(prefixes, self.codebook_size)[:, None] * (step * self.codebook_size)
        begins = self._first_at(low + step * np.arange(self.codebook_size))
        ends = self._first_after(low + (step * self.codebook_size - 1))
        return np.concatenate([begins, ends], axis=1)

    def _first_at(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        # In the column's own type: numpy would otherwise convert the column at every call.
        return np.searchsorted(self.packed, wanted.astype(self.packed.dtype)).astype(np.int64)

    def _first_after(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.packed, wanted.astype(self.packed.dtype), side="right").astype(np.int64)

    def to_bytes(self) -> bytes:
        """Return the catalog's file, see `catalog_file`."""
        from device_runtime.catalog_file import write_catalog

        return write_catalog(self)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, *, thorough: bool = True) -> Catalog:
        """Read a catalog file in place; the bytes may come from anyone.

        Args:
            data: the file, in memory or mapped.
            thorough: look at every row; without, only at what searches rely on.

        Raises:
            CatalogInvalid: they are not a catalog of this format.
        """
        from device_runtime.catalog_file import read_catalog

        return read_catalog(data, thorough=thorough)


def pack(codes: NDArray[np.integer[Any]], codebook_size: int) -> NDArray[np.int64]:
    """Pack codes [B, l] into int64 [B] in base `codebook_size`, order-preserving."""
    packed = np.zeros(len(codes), dtype=np.int64)
    for level in range(codes.shape[1]):
        packed = packed * codebook_size + codes[:, level].astype(np.int64)
    return packed


def packed_type(levels: int, codebook_size: int) -> type[np.uint32] | type[np.uint64]:
    """The type that holds every semantic ID of these sizes."""
    return np.uint32 if codebook_size**levels <= 1 << 32 else np.uint64


def check_sizes(n: int, levels: int, codebook_size: int, features: int) -> None:
    """Refuse sizes that no catalog has.

    Raises:
        CatalogInvalid: one of them is outside its range.
    """
    sizes = (
        ("number of items", n, 1, MAX_ITEMS),
        ("codebook size", codebook_size, 2, MAX_CODEBOOK),
        ("number of levels", levels, 1, MAX_LEVELS),
        ("number of features", features, 1, MAX_FEATURES),
    )
    for name, value, least, most in sizes:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise CatalogInvalid(f"a catalog's {name} must be {least} to {most}, got {value!r}")
    if codebook_size**levels >= 1 << 62:
        raise CatalogInvalid(f"{levels} levels of {codebook_size} codes do not fit 62 bits")


def _checked_codes(codes: ArrayLike, n: int, codebook_size: int) -> NDArray[np.integer[Any]]:
    array = np.asarray(codes)
    if array.ndim != 2 or array.dtype.kind not in "iu" or len(array) != n:
        raise CatalogInvalid(f"expected integer codes [{n}, L], got {array.dtype} {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < codebook_size:
        raise CatalogInvalid(f"codes must be 0 to {codebook_size - 1}, got {array.min()} to {array.max()}")
    return array


def _rounded(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each column to -127..127 of its largest magnitude."""
    scales = np.abs(table).max(axis=0, initial=0.0) / np.float32(127.0)
    # Where the largest number is too small to be divided, the column counts as zero.
    units = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return np.rint(table / units).astype(np.int8), units


def _check_texts(texts: Sequence[str], kind: str, most: int, *, empty: bool) -> None:
    for row, text in enumerate(texts):
        if not isinstance(text, str) or (not text and not empty) or not _fits(text, most):
            raise CatalogInvalid(f"{kind} {row} is not usable: expected text of at most {most} UTF-8 bytes")


def _fits(text: str, most: int) -> bool:
    if text.isascii():
        return len(text) <= most
    try:
        return len(text.encode()) <= most
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
