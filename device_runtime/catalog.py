"""The catalog of a bundle: items, their semantic IDs in sorted order, a few numbers of their own, and titles.

An item's semantic ID is L codes. Rows are sorted by code, so the items under a prefix are one range, found by binary
search over packed integers; the set of allowed next codes needs no trie. The catalog knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgpack
import numpy as np
from numpy.typing import ArrayLike, NDArray

from device_runtime.errors import CatalogInvalid, UnknownItem
from device_runtime.neighbours import Neighbours

FORMAT = 2
MAX_ITEMS = 4_000_000
MAX_LEVELS = 8
MAX_CODEBOOK = 4096
MAX_FEATURES = 1024
MAX_ID_BYTES = 256  # of UTF-8, as for titles
MAX_TITLE_BYTES = 1024
MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=False, eq=False)
class Catalog:
    """Items by semantic ID; a row number names an item everywhere on the device.

    Attributes:
        ids: item ids, one per row, distinct.
        codes: uint16 [n, L], sorted lexicographically, distinct rows, each code < `codebook_size`.
        codebook_size: K.
        titles: one per row, or None when the catalog has none.
        features: int8 [n, R], R >= 1: what an item's vector holds beside its codes; zero for an item without.
        scales: float32 [R], finite: a feature's value is its number times the scale of its column.
        neighbours: which items go with which, or None.

    Raises:
        CatalogInvalid: any of this does not hold.
    """

    ids: tuple[str, ...]
    codes: NDArray[np.uint16]
    codebook_size: int
    titles: tuple[str, ...] | None
    features: NDArray[np.int8]
    scales: NDArray[np.float32]
    neighbours: Neighbours | None = None
    _row_of_id: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check everything that later code relies on."""
        _check_shape(self.ids, self.codes, self.codebook_size, self.titles)
        _check_features(len(self.ids), self.features, self.scales)
        if self.neighbours is not None and len(self.neighbours.rows) != len(self.ids):
            raise CatalogInvalid(f"expected neighbours of {len(self.ids)} items, got {len(self.neighbours.rows)}")
        for array in (self.codes, self.features, self.scales):
            array.setflags(write=False)
        keys = self.packed
        if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
            raise CatalogInvalid("the catalog's semantic IDs must be distinct and sorted; export the bundle again")
        rows = {item: row for row, item in enumerate(self.ids)}
        if len(rows) != len(self.ids):
            raise CatalogInvalid("the catalog names an item twice; export the bundle again")
        object.__setattr__(self, "_row_of_id", rows)

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        codes: ArrayLike,
        codebook_size: int,
        titles: Sequence[str] | None = None,
        features: ArrayLike | None = None,
    ) -> Catalog:
        """Make a catalog from rows in any order.

        Args:
            ids: n item ids.
            codes: integers [n, L].
            codebook_size: K.
            titles: n titles, or None.
            features: finite numbers [n, R], rounded to 8 bits by column; one column of zeros when None.

        Raises:
            CatalogInvalid: see the class.
        """
        array = np.asarray(codes)
        if array.ndim != 2 or array.dtype.kind not in "iu" or len(array) != len(ids):
            raise CatalogInvalid(f"expected integer codes [{len(ids)}, L], got {array.dtype} {array.shape}")
        if titles is not None and len(titles) != len(ids):
            raise CatalogInvalid(f"expected {len(ids)} titles, got {len(titles)}")
        if array.size and not 0 <= array.min() <= array.max() < codebook_size:
            raise CatalogInvalid(f"codes must be 0 to {codebook_size - 1}, got {array.min()} to {array.max()}")
        table = np.zeros((len(ids), 1), np.float32) if features is None else np.asarray(features, np.float32)
        if table.ndim != 2 or len(table) != len(ids) or not table.shape[1] or not np.isfinite(table).all():
            raise CatalogInvalid(f"expected finite features [{len(ids)}, R >= 1], got shape {table.shape}")
        order = np.lexsort(array.T[::-1])
        small, scales = _rounded(table[order])
        return cls(
            tuple(ids[i] for i in order),
            array[order].astype(np.uint16),
            codebook_size,
            None if titles is None else tuple(titles[i] for i in order),
            small,
            scales,
        )

    def with_features(self, features: ArrayLike) -> Catalog:
        """Return the same items with other features, finite numbers [n, R] in this catalog's order."""
        other = Catalog.build(self.ids, self.codes, self.codebook_size, self.titles, features)
        return other.with_neighbours(self.neighbours)

    def with_neighbours(self, neighbours: Neighbours | None) -> Catalog:
        """Return the same items with other neighbours, or none."""
        return Catalog(self.ids, self.codes, self.codebook_size, self.titles, self.features, self.scales, neighbours)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item: object) -> bool:
        return item in self._row_of_id

    def index_of(self, item: str) -> int:
        """Return the row of an item.

        Raises:
            UnknownItem: the catalog does not hold it.
        """
        try:
            return self._row_of_id[item]
        except KeyError as error:
            raise UnknownItem(f"the catalog does not hold item {item!r}; check the id or update the bundle") from error

    def title_of(self, row: int) -> str:
        """Return the title of a row, or its id where it has none."""
        return (self.titles[row] if self.titles else "") or self.ids[row]

    @property
    def levels(self) -> int:
        """L, codes per item."""
        return int(self.codes.shape[1])

    def features_of(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return float32 [..., R]: the features of `rows` [...]."""
        values: NDArray[np.float32] = self.features[rows] * self.scales
        return values

    def rows_of(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return int64 [T]: the rows of codes [T, L], -1 where no item has them (as where a history is padded)."""
        wanted = pack(codes, self.codebook_size)
        rows = np.minimum(np.searchsorted(self.packed, wanted), len(self) - 1)
        valid = (codes < self.codebook_size).all(axis=1) & (self.packed[rows] == wanted)
        found: NDArray[np.int64] = np.where(valid, rows, -1)
        return found

    @cached_property
    def packed(self) -> NDArray[np.int64]:
        """int64 [n]: each row's codes as one number in base K, ascending."""
        return pack(self.codes, self.codebook_size)

    def ranges(self, prefixes: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows [low, high) under each prefix.

        Args:
            prefixes: integers [B, l] with 0 <= l <= L.
        """
        rest = self.codebook_size ** (self.levels - prefixes.shape[1])
        low = pack(prefixes, self.codebook_size) * rest
        found: tuple[NDArray[np.int64], NDArray[np.int64]] = (
            np.searchsorted(self.packed, low),
            np.searchsorted(self.packed, low + rest),
        )
        return found

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
        borders: NDArray[np.int64] = np.searchsorted(self.packed, low + step * np.arange(self.codebook_size + 1))
        return borders

    def to_bytes(self) -> bytes:
        """Return the catalog's file: a msgpack array, codes as little-endian uint16."""
        content = [
            FORMAT,
            self.levels,
            self.codebook_size,
            list(self.ids),
            self.codes.astype("<u2").tobytes(),
            None if self.titles is None else list(self.titles),
            self.features.tobytes(),
            self.scales.astype("<f4").tobytes(),
            None if self.neighbours is None else self.neighbours.to_fields(),
        ]
        packed: bytes = msgpack.packb(content)
        return packed

    @classmethod
    def from_bytes(cls, data: bytes) -> Catalog:
        """Read a catalog file; the bytes may come from anyone.

        Raises:
            CatalogInvalid: they are not a catalog of this format.
        """
        if len(data) > MAX_BYTES:
            raise CatalogInvalid(f"the catalog has {len(data)} bytes, at most {MAX_BYTES} are read")
        try:
            fields = msgpack.unpackb(data, strict_map_key=True)
            version = fields[0] if isinstance(fields, list) and fields else None
            if version != FORMAT:
                raise CatalogInvalid(f"the catalog has format {version!r}, this meritrec reads format {FORMAT}")
            _, levels, size, ids, codes, titles, features, scales, neighbours = fields
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise CatalogInvalid(f"the catalog is not a msgpack array of nine fields ({error})") from error
        if not (_is_count(levels, MAX_LEVELS) and _is_count(size, MAX_CODEBOOK)):
            raise CatalogInvalid(f"the catalog says {levels!r} levels of {size!r} codes")
        if not isinstance(ids, list) or not isinstance(codes, bytes) or len(codes) != 2 * levels * len(ids):
            raise CatalogInvalid("the catalog's ids and codes do not have the same length")
        if titles is not None and not isinstance(titles, list):
            raise CatalogInvalid("the catalog's titles are not a list")
        array = np.frombuffer(codes, dtype="<u2").reshape(len(ids), levels).astype(np.uint16)
        table, units = _read_features(len(ids), features, scales)
        near = None if neighbours is None else Neighbours.from_fields(len(ids), neighbours)
        return cls(tuple(ids), array, size, None if titles is None else tuple(titles), table, units, near)


def pack(codes: NDArray[np.integer[Any]], codebook_size: int) -> NDArray[np.int64]:
    """Pack codes [B, l] into int64 [B] in base `codebook_size`, order-preserving."""
    packed = np.zeros(len(codes), dtype=np.int64)
    for level in range(codes.shape[1]):
        packed = packed * codebook_size + codes[:, level].astype(np.int64)
    return packed


def _rounded(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each column to -127..127 of its largest magnitude."""
    scales = np.abs(table).max(axis=0, initial=0.0) / np.float32(127.0)
    # Where the largest number is too small to be divided, the column counts as zero.
    units = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return np.rint(table / units).astype(np.int8), units


def _read_features(n: int, features: object, scales: object) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    if not isinstance(features, bytes) or not isinstance(scales, bytes) or len(scales) % 4:
        raise CatalogInvalid("the catalog's features and scales are not bytes of the right length")
    width = len(scales) // 4
    if len(features) != n * width:
        raise CatalogInvalid(f"the catalog has {n} items, {width} scales and {len(features)} features")
    return np.frombuffer(features, np.int8).reshape(n, width), np.frombuffer(scales, "<f4").astype(np.float32)


def _check_features(n: int, features: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
    if scales.ndim != 1 or not 1 <= len(scales) <= MAX_FEATURES:
        raise CatalogInvalid(f"a catalog has 1 to {MAX_FEATURES} features per item, got scales {scales.shape}")
    if features.shape != (n, len(scales)) or features.dtype != np.int8 or scales.dtype != np.float32:
        raise CatalogInvalid(f"expected features int8 [{n}, {len(scales)}], got {features.dtype} {features.shape}")
    if not np.isfinite(scales).all():
        raise CatalogInvalid("the catalog's feature scales are not finite; export the bundle again")


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _check_shape(
    ids: tuple[str, ...], codes: NDArray[np.uint16], codebook_size: int, titles: tuple[str, ...] | None
) -> None:
    if not _is_count(codebook_size, MAX_CODEBOOK) or codebook_size < 2:
        raise CatalogInvalid(f"the codebook size must be 2 to {MAX_CODEBOOK}, got {codebook_size!r}")
    if codes.dtype != np.uint16 or codes.ndim != 2 or not 1 <= codes.shape[1] <= MAX_LEVELS:
        raise CatalogInvalid(f"the codes must be uint16 [n, 1..{MAX_LEVELS}], got {codes.dtype} {codes.shape}")
    if codebook_size ** codes.shape[1] >= 1 << 62:
        raise CatalogInvalid(f"{codes.shape[1]} levels of {codebook_size} codes do not fit 62 bits")
    if not 1 <= len(ids) <= MAX_ITEMS or len(codes) != len(ids):
        raise CatalogInvalid(f"a catalog holds 1 to {MAX_ITEMS} items with one code row each, got {len(ids)}")
    if codes.max() >= codebook_size:
        raise CatalogInvalid(f"a code is {codes.max()}, the codebook has {codebook_size}")
    _check_texts(ids, "id", MAX_ID_BYTES, empty=False)
    if titles is not None:
        if len(titles) != len(ids):
            raise CatalogInvalid(f"the catalog has {len(ids)} items but {len(titles)} titles")
        _check_texts(titles, "title", MAX_TITLE_BYTES, empty=True)


def _check_texts(texts: tuple[str, ...], kind: str, most: int, *, empty: bool) -> None:
    for row, text in enumerate(texts):
        if not isinstance(text, str) or (not text and not empty) or not _fits(text, most):
            raise CatalogInvalid(f"row {row} of the catalog has no usable {kind}: text of at most {most} UTF-8 bytes")


def _fits(text: str, most: int) -> bool:
    if text.isascii():
        return len(text) <= most
    try:
        return len(text.encode()) <= most
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
