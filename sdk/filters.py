"""What a request may return: categories, items, and what is available just now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

import numpy as np

from device_runtime import Catalog, RowSet, UnknownCategory
from sdk.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Filters:
    """Which items a request may return. Collections of texts are taken and kept as frozen sets.

    Filters are applied inside the search, so that a request for ten items of a small category gets ten. Keep an
    instance and give it again: what it means for the catalog is remembered.

    Attributes:
        categories: only items of at least one of these; of any when None.
        not_categories: no items of these.
        items: only these; ids that the catalog does not hold are passed over. Any when None.
        not_items: none of these.
        available: ids that can be had now, such as what is in stock; all when None.

    Raises:
        InvalidInput: one of them is not a collection of texts.
    """

    categories: Collection[str] | None = None
    not_categories: Collection[str] = frozenset()
    items: Collection[str] | None = None
    not_items: Collection[str] = frozenset()
    available: Collection[str] | None = None

    def __post_init__(self) -> None:
        """Freeze what was given."""
        for field in fields(self):
            given = getattr(self, field.name)
            if given is None and field.default is None:
                continue
            if isinstance(given, str | bytes) or not isinstance(given, Collection):
                raise InvalidInput(f"Filters.{field.name} must be a collection of texts, got {given!r:.80}")
            kept = frozenset(given)
            if not all(isinstance(text, str) for text in kept):
                raise InvalidInput(f"Filters.{field.name} must hold texts only")
            object.__setattr__(self, field.name, kept)

    def among(self, catalog: Catalog) -> RowSet | None:
        """Return the rows that the filters let through, None for all of them.

        Raises:
            device_runtime.UnknownCategory: the catalog has no category of a name.
        """
        if self == Filters():
            return None
        mask = np.ones(len(catalog), bool)
        if self.categories is not None:
            mask &= _of_categories(catalog, self.categories)
        if self.not_categories:
            mask &= ~_of_categories(catalog, self.not_categories)
        for wanted in (self.items, self.available):
            if wanted is not None:
                mask &= _of_items(catalog, wanted)
        if self.not_items:
            mask &= ~_of_items(catalog, self.not_items)
        return RowSet(mask)


def _of_categories(catalog: Catalog, names: Collection[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if catalog.categories is None and names:
        raise UnknownCategory(f"the catalog has no categories, so none of {', '.join(sorted(names))}")
    mask = np.zeros(len(catalog), bool)
    for name in sorted(names):
        assert catalog.categories is not None
        mask |= catalog.categories.rows(name).mask()
    return mask


def _of_items(catalog: Catalog, items: Collection[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.zeros(len(catalog), bool)
    rows = np.fromiter((catalog.row_of(item) for item in items), np.int64, len(items))
    mask[rows[rows >= 0]] = True
    return mask
