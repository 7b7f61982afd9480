"""What goes with what: a few neighbours of each item, with weights, that lift a model's scores.

A sequence model of a megabyte cannot remember every pair of items that people use together; a short list per item can,
in a few bytes. The lists come from the server (EASE weights; Steck, WWW 2019), the strongest few of each item, and
enter as a prior: score + weight * log(1 + s), where s sums the weights from the items of the history, the last one
counting full and others by half per `half_life` events before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import CatalogInvalid

MAX_NEIGHBOURS = 64
MAX_NUMBER = 1e6
_LEVELS = 255
_WIDE = 65_536  # catalogs above need four bytes to name a row


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of every catalog row.

    Attributes:
        rows: uint16 or, for more than 65,536 items, uint32 [n, N]: rows of the same catalog.
        weights: uint8 [n, N]; 0 where an item has fewer neighbours.
        scale: a weight's value is its number times this.
        half_life: events of a history after which one counts half.
        weight: of the prior.

    Raises:
        CatalogInvalid: any of this does not hold.
    """

    rows: NDArray[np.uint16] | NDArray[np.uint32]
    weights: NDArray[np.uint8]
    scale: float
    half_life: float
    weight: float

    def __post_init__(self) -> None:
        """Check everything that later code relies on."""
        n = len(self.rows)
        if self.rows.ndim != 2 or self.rows.dtype != row_type(n) or not 1 <= self.rows.shape[1] <= MAX_NEIGHBOURS:
            raise CatalogInvalid(f"neighbours must be rows [n, 1..{MAX_NEIGHBOURS}], got {self.rows.shape}")
        if self.weights.shape != self.rows.shape or self.weights.dtype != np.uint8:
            raise CatalogInvalid(f"expected one weight per neighbour {self.rows.shape}, got {self.weights.shape}")
        if n and self.rows.max() >= n:
            raise CatalogInvalid(f"a neighbour is row {self.rows.max()} of a catalog of {n}")
        for name in ("scale", "half_life", "weight"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 0 < value < MAX_NUMBER:
                raise CatalogInvalid(f"the neighbours' {name} must be above 0 and below {MAX_NUMBER:g}, got {value!r}")
        for array in (self.rows, self.weights):
            array.setflags(write=False)

    @classmethod
    def build(
        cls, rows: NDArray[np.integer], strengths: NDArray[np.floating], half_life: float, weight: float
    ) -> Neighbours:
        """Round strengths [n, N] >= 0 of the neighbours [n, N] to 8 bits.

        Raises:
            CatalogInvalid: see the class.
        """
        most = float(strengths.max(initial=0.0))
        if not np.isfinite(strengths).all() or strengths.min(initial=0.0) < 0 or not most > 0:
            raise CatalogInvalid("neighbours need finite strengths of at least 0, and one above 0")
        numbers = np.rint(strengths / most * _LEVELS).astype(np.uint8)
        return cls(named_rows(rows, len(rows)), numbers, most / _LEVELS, float(half_life), float(weight))

    def prior(self, history: NDArray[np.integer]) -> NDArray[np.float32]:
        """What is added to the scores of all items: float32 [H, n].

        Args:
            history: rows [H, T], the newest last, negative where padded.
        """
        n, length = len(self.rows), history.shape[1]
        ages = np.arange(length - 1, -1, -1)
        real = history >= 0
        decay = np.where(real, np.exp2(-ages / self.half_life), 0.0).astype(np.float32)
        known = np.where(real, history, 0)
        values = decay[:, :, None] * (self.weights[known] * np.float32(self.scale))
        places = np.arange(len(history))[:, None, None] * n + self.rows[known].astype(np.int64)
        sums = np.bincount(places.ravel(), values.ravel(), minlength=len(history) * n).reshape(len(history), n)
        found: NDArray[np.float32] = (self.weight * np.log1p(sums)).astype(np.float32)
        return found


def named_rows(rows: NDArray[np.integer], n: int) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Return rows of a catalog of n items in the type that names them."""
    return rows.astype(np.uint16) if n <= _WIDE else rows.astype(np.uint32)


def row_type(n: int) -> type[np.uint16] | type[np.uint32]:
    """The type that names the rows of a catalog of n items."""
    return np.uint16 if n <= _WIDE else np.uint32
