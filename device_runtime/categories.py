"""Categories of a catalog's items: names, and per item the few that apply."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import CatalogInvalid, UnknownCategory
from device_runtime.row_filter import RowSet

MAX_CATEGORIES = 1024
MAX_NAME_BYTES = 128
_MAX_PER_ITEM = 255


@dataclass(frozen=True, eq=False)
class Categories:
    """Which items are of which category.

    Attributes:
        names: distinct.
        counts: uint8 [n], how many categories each item has.
        members: uint8 or, for more than 256 names, uint16: the categories of each item, one item after the other.

    Raises:
        CatalogInvalid: any of this does not hold.
    """

    names: tuple[str, ...]
    counts: NDArray[np.uint8]
    members: NDArray[np.uint8] | NDArray[np.uint16]
    _sets: dict[str, RowSet] = field(default_factory=dict, init=False, repr=False)
    _kept: dict[str, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the names; `check` looks at the rows."""
        if not 1 <= len(self.names) <= MAX_CATEGORIES or len(set(self.names)) != len(self.names):
            raise CatalogInvalid(f"a catalog has 1 to {MAX_CATEGORIES} distinct categories, got {len(self.names)}")
        for name in self.names:
            if not isinstance(name, str) or not 1 <= len(name.encode(errors="replace")) <= MAX_NAME_BYTES:
                raise CatalogInvalid(f"a category has a name of 1 to {MAX_NAME_BYTES} UTF-8 bytes, got {name!r:.80}")
        if self.members.dtype != member_type(len(self.names)):
            raise CatalogInvalid(f"{len(self.names)} categories are not numbered by {self.members.dtype}")

    @classmethod
    def build(cls, names: Sequence[str], per_item: Sequence[Collection[int]]) -> Categories:
        """Store, for every item, the numbers of its categories."""
        kept = [sorted(set(numbers))[:_MAX_PER_ITEM] for numbers in per_item]
        counts = np.array([len(numbers) for numbers in kept], np.uint8)
        members: NDArray[Any] = np.array([number for numbers in kept for number in numbers], member_type(len(names)))
        found = cls(tuple(names), counts, members)
        found.check()
        return found

    def check(self) -> None:
        """Read all rows.

        Raises:
            CatalogInvalid: counts and members do not fit each other, or a member is no category.
        """
        if int(self.counts.sum(dtype=np.int64)) != len(self.members):
            raise CatalogInvalid(f"the items have other categories than the {len(self.members)} that are listed")
        if len(self.members) and self.members.max() >= len(self.names):
            raise CatalogInvalid(f"an item is of category {self.members.max()} of {len(self.names)}")

    def rows(self, name: str) -> RowSet:
        """Return the rows of a category; kept, as the next request may ask again.

        Raises:
            UnknownCategory: there is none of that name.
        """
        if name not in self._sets:
            if name not in self.names:
                known = ", ".join(self.names[:20])
                raise UnknownCategory(f"the catalog has no category {name!r}; it has {known}")
            hits = np.flatnonzero(self.members == self.names.index(name))
            mask = np.zeros(len(self.counts), bool)
            mask[np.searchsorted(np.cumsum(self.counts, dtype=np.int64), hits, side="right")] = True
            self._sets[name] = RowSet(mask)
        return self._sets[name]

    def sums(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [n]: for every item the sum of the `values` [C] of its categories."""
        if "owners" not in self._kept:
            self._kept["owners"] = np.repeat(np.arange(len(self.counts)), self.counts)
        weights = values[self.members]
        return np.bincount(self._kept["owners"], weights, len(self.counts)).astype(np.float32)

    def of_row(self, row: int) -> tuple[str, ...]:
        """Return the categories of one item."""
        start = int(self.counts[:row].sum(dtype=np.int64))
        return tuple(self.names[number] for number in self.members[start : start + int(self.counts[row])].tolist())

    def per_item(self) -> list[list[int]]:
        """Return the numbers of every item's categories."""
        ends = np.cumsum(self.counts, dtype=np.int64)
        return [part.tolist() for part in np.split(self.members, ends[:-1])]


def member_type(names: int) -> type[np.uint8] | type[np.uint16]:
    """The type that numbers so many categories."""
    return np.uint8 if names <= 256 else np.uint16
