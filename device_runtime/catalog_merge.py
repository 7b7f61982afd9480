"""A catalog with some items added and others withdrawn: the same model, other items."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import Catalog
from device_runtime.categories import Categories
from device_runtime.columns import Ids, IntegerColumn, RowNumbers, TextColumn, check_order, ids_column, order_of
from device_runtime.errors import CatalogInvalid
from device_runtime.neighbours import Neighbours, named_rows


def merged(base: Catalog, added: Catalog | None, withdrawn: Collection[str]) -> Catalog:
    """Return `base` without the items `withdrawn` and with those of `added`.

    An item that is withdrawn and added comes with what `added` says of it. Ids in `withdrawn` that `base` does not hold
    are passed over. Added items have no neighbours; nobody is a neighbour of a withdrawn one.

    Args:
        base: the bundle's.
        added: of the same sizes and feature scales, without neighbours, its categories those of `base` or none.
        withdrawn: item ids.

    Raises:
        CatalogInvalid: the two do not fit, an item or a semantic ID would be there twice, or nothing would be left.
    """
    gone = {base.row_of(item) for item in withdrawn} - {-1}
    keep = np.setdiff1d(np.arange(len(base)), np.array(sorted(gone), np.int64))
    if added is None:
        if not len(keep):
            raise CatalogInvalid("an update withdraws every item of the catalog")
        return _joined(base, keep, None)
    _check_fit(base, added)
    return _joined(base, keep, added)


def _joined(base: Catalog, keep: NDArray[np.int64], added: Catalog | None) -> Catalog:
    packed = base.packed[keep]
    if added is not None:
        packed = np.concatenate([packed, added.packed])
    order = np.argsort(packed, kind="stable")
    features = base.features[keep] if added is None else np.concatenate([base.features[keep], added.features])
    ids = _ids(base, keep, added, order)
    found = Catalog(
        ids,
        RowNumbers.build(order_of(ids), len(ids)),
        packed[order],
        base.levels,
        base.codebook_size,
        _titles(base, keep, added, order),
        features[order],
        base.scales,
        _neighbours(base, keep, order),
        _categories(base, keep, added, order),
    )
    check_order(found.ids, found.order)
    return found


def _check_fit(base: Catalog, added: Catalog) -> None:
    if (base.levels, base.codebook_size) != (added.levels, added.codebook_size):
        raise CatalogInvalid(
            f"the added items have {added.levels} codes of {added.codebook_size}, the catalog {base.levels} of "
            f"{base.codebook_size}"
        )
    if not np.array_equal(base.scales, added.scales):
        raise CatalogInvalid("the added items' features have other scales than the catalog's")
    if added.neighbours is not None:
        raise CatalogInvalid("added items have no neighbours")
    if added.categories is not None and (base.categories is None or base.categories.names != added.categories.names):
        raise CatalogInvalid("the added items' categories are not those of the catalog")


def _ids(base: Catalog, keep: NDArray[np.int64], added: Catalog | None, order: NDArray[np.int64]) -> Ids:
    columns = [base.ids] if added is None else [base.ids, added.ids]
    if all(isinstance(column, IntegerColumn) for column in columns):
        numbers: NDArray[Any] = base.ids.numbers[keep]  # type: ignore[union-attr]
        if added is not None:
            numbers = np.concatenate([numbers, added.ids.numbers])  # type: ignore[union-attr]
        return IntegerColumn.of(numbers[order])
    texts = [base.ids[row] for row in keep.tolist()] + ([] if added is None else list(added.ids))
    return ids_column([texts[place] for place in order.tolist()])


def _titles(
    base: Catalog, keep: NDArray[np.int64], added: Catalog | None, order: NDArray[np.int64]
) -> TextColumn | None:
    more = None if added is None else added.titles
    if base.titles is None and more is None:
        return None
    titles = [""] * len(keep) if base.titles is None else [base.titles[row] for row in keep.tolist()]
    if added is not None:
        titles += [""] * len(added) if more is None else list(more)
    return TextColumn.build([titles[place] for place in order.tolist()], np.uint16)


def _neighbours(base: Catalog, keep: NDArray[np.int64], order: NDArray[np.int64]) -> Neighbours | None:
    near, n = base.neighbours, len(order)
    if near is None:
        return None
    place_of = np.full(len(base), -1, np.int64)  # where each old row has gone
    kept_first = np.argsort(order, kind="stable")
    place_of[keep] = kept_first[: len(keep)]
    rows = np.zeros((n, near.rows.shape[1]), np.int64)
    weights = np.zeros(rows.shape, np.uint8)
    moved = place_of[near.rows[keep].astype(np.int64)]
    rows[place_of[keep]] = np.maximum(moved, 0)
    weights[place_of[keep]] = np.where(moved >= 0, near.weights[keep], 0)
    return Neighbours(named_rows(rows, n), weights, near.scale, near.half_life, near.weight)


def _categories(
    base: Catalog, keep: NDArray[np.int64], added: Catalog | None, order: NDArray[np.int64]
) -> Categories | None:
    if base.categories is None:
        return None
    every = base.categories.per_item()
    per_item = [every[row] for row in keep.tolist()]
    if added is not None:
        per_item += [[] for _ in added.ids] if added.categories is None else added.categories.per_item()
    return Categories.build(base.categories.names, [per_item[place] for place in order.tolist()])
