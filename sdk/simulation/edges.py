"""Weighted edges of many authors as arrays: row i holds what author i states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Rows of edges, each row ascending by target.

    Attributes:
        bounds: int64 [rows + 1]; row r owns bounds[r]:bounds[r + 1].
        targets: int64 [edges], distinct within a row.
        levels: int8 [edges], 1 to 3.
    """

    bounds: Ints
    targets: Ints
    levels: Levels

    @classmethod
    def of_pairs(
        cls,
        source: npt.NDArray[np.integer[Any]],
        target: npt.NDArray[np.integer[Any]],
        level: npt.NDArray[np.integer[Any]],
        rows: int,
        most: int | None = None,
    ) -> Self:
        """Collect pairs in any order; of those stated twice the first stays.

        Args:
            source: int [pairs], the authors.
            target: int [pairs].
            level: int [pairs].
            rows: how many there are.
            most: of a row only the first so many of those given stay; all when None.
        """
        width = int(target.max(initial=0)) + 1
        _, first = np.unique(source.astype(np.int64) * width + target, return_index=True)
        first = np.sort(first)
        order = first[np.argsort(source[first], kind="stable")]
        if most is not None:
            owner = source[order]
            place = np.arange(len(order)) - np.searchsorted(owner, owner)
            order = order[place < most]
        order = order[np.lexsort((target[order], source[order]))]
        counts = np.bincount(source[order], minlength=rows)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        return cls(bounds, target[order].astype(np.int64), level[order].astype(np.int8))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def row(self, author: int) -> tuple[Ints, Levels]:
        """Return one author's targets and levels."""
        part = slice(int(self.bounds[author]), int(self.bounds[author + 1]))
        return self.targets[part], self.levels[part]

    def sources(self) -> Ints:
        """int64 [edges]: whose edge each is."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))
