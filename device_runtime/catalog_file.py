"""The catalog's file: a header, and columns at fixed places that are used where they lie.

So opening a catalog costs nothing per item, and of a mapped file only what is asked for is ever read.

::

    offset 0   8 bytes   "MRCATLG3"
    8          uint32    length H of the header
    12         H bytes   header: canonical JSON, see `_HEADER`
    then the columns, each at the next multiple of 64; all numbers little-endian, gaps filled with zeros, nothing after

Which columns there are, their order and their lengths follow from the header alone; a file of any other length is
refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime import catalog as sizes
from device_runtime.catalog import Catalog, check_sizes, packed_type
from device_runtime.categories import MAX_CATEGORIES, Categories, member_type
from device_runtime.columns import BLOCK, Ids, IntegerColumn, RowNumbers, TextColumn, row_bytes
from device_runtime.errors import CatalogInvalid
from device_runtime.neighbours import MAX_NEIGHBOURS, MAX_NUMBER, Neighbours, row_type

MAGIC = b"MRCATLG3"
MAX_BYTES = 1 << 31
_MAX_HEADER = 1 << 18
_ALIGNMENT = 64
_HEADER = {
    "items",  # n
    "levels",  # L
    "codebook",  # K
    "features",  # R
    "feature_bytes",  # n * R, or 0 where all features are zero and not stored
    "id_width",  # 4 or 8: ids are whole numbers of so many bytes; 0: they are texts
    "id_bytes",  # of all texts together; 0 for whole numbers
    "title_bytes",  # of all titles together; null without titles
    "neighbours",  # null, or [per item, scale, half_life, weight]
    "categories",  # null, or the names
    "category_members",  # entries of all items together; 0 without
}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's element type and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write_catalog(catalog: Catalog) -> bytes:
    """Return the file of a catalog."""
    header = _header_of(catalog)
    arrays = _arrays_of(catalog, header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > _MAX_HEADER:
        raise CatalogInvalid(
            f"the names of the catalog's categories take {len(text)} bytes; keep fewer or shorter ones"
        )
    parts = [MAGIC, len(text).to_bytes(4, "little"), text]
    written = sum(map(len, parts))
    for (name, column), array in zip(_layout(header).items(), arrays, strict=True):
        data = np.ascontiguousarray(array, column.dtype).tobytes()
        if len(data) != column.bytes:
            raise CatalogInvalid(
                f"the catalog's column {name} has {len(data)} bytes where {column.bytes} were expected"
            )
        gap = -written % _ALIGNMENT
        parts += [bytes(gap), data]
        written += gap + len(data)
    return b"".join(parts)


def read_catalog(data: bytes | memoryview, *, thorough: bool) -> Catalog:
    """Read a catalog's file in place, see `Catalog.from_bytes`."""
    view = memoryview(data).toreadonly()
    header, end = _read_header(view)
    columns = _read_columns(view, _layout(header), end)
    n, levels, size = header["items"], header["levels"], header["codebook"]
    texts = None if header["id_width"] else (columns["id_lengths"], columns["id_starts"], columns["ids"].data)
    ids: Ids = IntegerColumn(columns["ids"]) if texts is None else TextColumn(*texts)
    titles = None
    if header["title_bytes"] is not None:
        titles = TextColumn(columns["title_lengths"], columns["title_starts"], columns["titles"].data)
    features = columns.get("features", np.broadcast_to(np.int8(0), (n, header["features"])))
    neighbours = None
    if header["neighbours"] is not None:
        rows = columns["neighbour_rows"]
        neighbours = Neighbours(rows, columns["neighbour_weights"], *map(float, header["neighbours"][1:]))
    categories = None
    if header["categories"] is not None:
        categories = Categories(tuple(header["categories"]), columns["category_counts"], columns["category_members"])
    catalog = Catalog(
        ids, RowNumbers(columns["order"]), columns["codes"], levels, size, titles, features, columns["scales"],
        neighbours, categories,
    )  # fmt: skip
    if thorough:
        catalog.check()
    return catalog


def _layout(header: dict[str, Any]) -> dict[str, _Column]:
    """The columns that a header calls for, in the order of the file."""
    n, blocks = header["items"], -(-header["items"] // BLOCK)
    wide = packed_type(header["levels"], header["codebook"]) is np.uint64
    columns = {"codes": _Column("<u8" if wide else "<u4", (n,))}
    if header["id_width"]:
        columns["ids"] = _Column(f"<u{header['id_width']}", (n,))
    else:
        columns["id_lengths"] = _Column("|u1", (n,))
        columns["id_starts"] = _Column("<u4", (blocks,))
        columns["ids"] = _Column("|u1", (header["id_bytes"],))
    columns["order"] = _Column("|u1", (n, row_bytes(n)))
    columns["scales"] = _Column("<f4", (header["features"],))
    if header["feature_bytes"]:
        columns["features"] = _Column("|i1", (n, header["features"]))
    if header["title_bytes"] is not None:
        columns["title_lengths"] = _Column("<u2", (n,))
        columns["title_starts"] = _Column("<u4", (blocks,))
        columns["titles"] = _Column("|u1", (header["title_bytes"],))
    if header["neighbours"] is not None:
        shape = (n, header["neighbours"][0])
        columns["neighbour_rows"] = _Column("<u2" if row_type(n) is np.uint16 else "<u4", shape)
        columns["neighbour_weights"] = _Column("|u1", shape)
    if header["categories"] is not None:
        kind = "|u1" if member_type(len(header["categories"])) is np.uint8 else "<u2"
        columns["category_counts"] = _Column("|u1", (n,))
        columns["category_members"] = _Column(kind, (header["category_members"],))
    return columns


def _header_of(catalog: Catalog) -> dict[str, Any]:
    near, kinds = catalog.neighbours, catalog.categories
    texts = catalog.ids.content if isinstance(catalog.ids, TextColumn) else b""
    return {
        "items": len(catalog),
        "levels": catalog.levels,
        "codebook": catalog.codebook_size,
        "features": len(catalog.scales),
        "feature_bytes": catalog.features.size if catalog.features.any() else 0,
        "id_width": catalog.ids.numbers.itemsize if isinstance(catalog.ids, IntegerColumn) else 0,
        "id_bytes": len(texts),
        "title_bytes": None if catalog.titles is None else len(catalog.titles.content),
        "neighbours": None if near is None else [near.rows.shape[1], near.scale, near.half_life, near.weight],
        "categories": None if kinds is None else list(kinds.names),
        "category_members": 0 if kinds is None else len(kinds.members),
    }


def _arrays_of(catalog: Catalog, header: dict[str, Any]) -> list[NDArray[Any]]:
    arrays: list[NDArray[Any]] = [catalog.packed]
    arrays += [catalog.ids.numbers] if isinstance(catalog.ids, IntegerColumn) else _text_arrays(catalog.ids)
    arrays += [catalog.order.content, catalog.scales]
    arrays += [catalog.features] if header["feature_bytes"] else []
    arrays += [] if catalog.titles is None else _text_arrays(catalog.titles)
    arrays += [] if catalog.neighbours is None else [catalog.neighbours.rows, catalog.neighbours.weights]
    arrays += [] if catalog.categories is None else [catalog.categories.counts, catalog.categories.members]
    return arrays


def _text_arrays(texts: TextColumn) -> list[NDArray[Any]]:
    return [texts.lengths, texts.starts, np.frombuffer(texts.content, np.uint8)]


def _read_header(view: memoryview) -> tuple[dict[str, Any], int]:
    if len(view) > MAX_BYTES:
        raise CatalogInvalid(f"the catalog has {len(view)} bytes, at most {MAX_BYTES} are read")
    if bytes(view[:8]) != MAGIC:
        raise CatalogInvalid(f"not a catalog of format 3: it begins with {bytes(view[:8])!r}; export the bundle again")
    length = int.from_bytes(view[8:12], "little")
    if not 2 <= length <= min(_MAX_HEADER, len(view) - 12):
        raise CatalogInvalid(f"the catalog's header has {length} bytes in a file of {len(view)}")
    text = bytes(view[12 : 12 + length])
    try:
        header = json.loads(text)
        canonical = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CatalogInvalid(f"the catalog's header is not JSON ({error})") from error
    if canonical != text or not isinstance(header, dict) or set(header) != _HEADER:
        raise CatalogInvalid("the catalog's header is not canonical JSON with the fields of format 3")
    _check_header(header)
    return header, 12 + length


def _check_header(header: dict[str, Any]) -> None:
    n, features = header["items"], header["features"]
    check_sizes(n, header["levels"], header["codebook"], features)
    if header["feature_bytes"] not in (0, n * features) or isinstance(header["feature_bytes"], bool):
        raise CatalogInvalid(f"the catalog says {header['feature_bytes']!r} bytes of features for {n} x {features}")
    if header["id_width"] not in (0, 4, 8) or isinstance(header["id_width"], bool):
        raise CatalogInvalid(f"the catalog's ids are of width {header['id_width']!r}, expected 0, 4 or 8")
    _check_count(header["id_bytes"], "id_bytes", 0 if header["id_width"] else n * sizes.MAX_ID_BYTES)
    if header["title_bytes"] is not None:
        _check_count(header["title_bytes"], "title_bytes", n * sizes.MAX_TITLE_BYTES)
    names = header["categories"]
    if names is not None and (not isinstance(names, list) or not 1 <= len(names) <= MAX_CATEGORIES):
        raise CatalogInvalid(f"the catalog's categories are not a list of 1 to {MAX_CATEGORIES} names")
    if names is not None and not all(isinstance(name, str) for name in names):
        raise CatalogInvalid("the catalog's categories are not texts")
    _check_count(header["category_members"], "category_members", 0 if names is None else n * 255)
    _check_neighbours(header["neighbours"])


def _check_neighbours(fields: object) -> None:
    if fields is None:
        return
    if not isinstance(fields, list) or len(fields) != 4:
        raise CatalogInvalid("the catalog's neighbours are not four fields")
    _check_count(fields[0], "number of neighbours", MAX_NEIGHBOURS)
    for value in fields[1:]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_NUMBER:
            raise CatalogInvalid(f"the neighbours' scale, half_life and weight must be above 0, got {value!r:.40}")


def _check_count(value: object, name: str, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise CatalogInvalid(f"the catalog's {name} must be 0 to {most}, got {value!r:.40}")


def _read_columns(view: memoryview, layout: dict[str, _Column], offset: int) -> dict[str, NDArray[Any]]:
    places, gaps = {}, []
    for name, column in layout.items():
        gap = -offset % _ALIGNMENT
        gaps.append(slice(offset, offset + gap))
        places[name] = offset + gap
        offset += gap + column.bytes
    if offset != len(view):
        raise CatalogInvalid(f"the catalog has {len(view)} bytes where its header calls for {offset}; get it again")
    if any(any(view[gap]) for gap in gaps):
        raise CatalogInvalid("the gaps between the catalog's columns are not zero; get the bundle again")
    return {
        name: np.frombuffer(view, column.dtype, math.prod(column.shape), places[name]).reshape(column.shape)
        for name, column in layout.items()
    }
