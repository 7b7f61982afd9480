"""The model that a device runs now, with what the SDK looks up in its catalog; replaced as a whole by an update."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device_runtime import Bundle, ModelRanker, RowFilter, RowSet, RuntimeSettings
from p2p import item_key
from sdk.filters import Filters

_FILTERS_KEPT = 16
_SEARCH_COSTS = 16  # rows that can be looked at while one id is searched for


class ActiveModel:
    """A running model and its catalog. Not thread-safe: the device's lock guards it, closing included."""

    def __init__(self, bundle: Bundle, ranker: ModelRanker) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.catalog = bundle.catalog
        self.ranker = ranker
        self._filters: dict[Filters, RowSet | None] = {}
        self._seen: NDArray[np.bool_] | None = None
        self._seen_rows: NDArray[np.int64] | None = None

    @classmethod
    def open(cls, bundle: Bundle, settings: RuntimeSettings) -> ActiveModel:
        """Load a bundle's program.

        Raises:
            device_runtime.RuntimeUnavailable, device_runtime.ModelFailed: it cannot run.
        """
        return cls(bundle, ModelRanker.open(bundle, settings))

    @property
    def namespace(self) -> str:
        """The catalog's namespace."""
        return self.manifest.catalog_namespace

    @cached_property
    def row_of_key(self) -> dict[bytes, int]:
        """Rows by the 16-byte names that peers use; made when the first peer's list is read."""
        return {item_key(self.namespace, item): row for row, item in enumerate(self.catalog.ids)}

    def expired(self, now: float) -> bool:
        """Whether the publisher's word for this model has run out."""
        return now >= self.manifest.expires_at

    # -- what was seen ---------------------------------------------------------------------------

    @property
    def knows_seen(self) -> bool:
        """Whether `set_seen` was called since the last `forget_seen`."""
        return self._seen is not None

    def set_seen(self, items: Collection[str]) -> None:
        """Take all items that the person has seen; those that the catalog lacks are passed over."""
        self._seen = np.zeros(len(self.catalog), bool)
        self._seen_rows = None
        if len(items) < len(self.catalog) // _SEARCH_COSTS:
            self.add_seen(items)
        else:  # looking through the catalog once is quicker than searching it for each
            names = set(items)
            self._seen[[row for row, item in enumerate(self.catalog.ids) if item in names]] = True

    def add_seen(self, items: Iterable[str]) -> None:
        """Take more of them, if all before are known."""
        if self._seen is None:
            return
        rows = np.array([row for row in map(self.catalog.row_of, items) if row >= 0], np.int64)
        if len(rows) and not self._seen[rows].all():
            self._seen[rows] = True
            self._seen_rows = None

    def forget_seen(self) -> None:
        """Let `set_seen` be called anew."""
        self._seen = self._seen_rows = None

    def seen_rows(self) -> NDArray[np.int64]:
        """Return the rows that were seen, ascending."""
        assert self._seen is not None, "set_seen comes first"
        if self._seen_rows is None:
            self._seen_rows = np.flatnonzero(self._seen)
        return self._seen_rows

    # -- filters ---------------------------------------------------------------------------------

    def allowed(self, filters: Filters | None, excluded: NDArray[np.int64]) -> RowFilter:
        """Return which rows a request may return.

        Raises:
            device_runtime.UnknownCategory: `filters` name a category that the catalog lacks.
        """
        return RowFilter.of(len(self.catalog), self._among(filters), excluded)

    def _among(self, filters: Filters | None) -> RowSet | None:
        if filters is None:
            return None
        if filters not in self._filters:
            if len(self._filters) >= _FILTERS_KEPT:
                del self._filters[next(iter(self._filters))]
            self._filters[filters] = filters.among(self.catalog)
        return self._filters[filters]

    def rows(self, items: Iterable[str]) -> NDArray[np.int64]:
        """Return the rows of those items that the catalog holds."""
        return np.array([row for row in map(self.catalog.row_of, items) if row >= 0], np.int64)

    # -- resemblance -----------------------------------------------------------------------------

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 [m, d]: items as vectors whose cosine says how much two resemble each other.

        The model's own item vectors where it has them. Otherwise one axis for every prefix of semantic IDs that occurs
        among `rows`, so that items resemble each other by the share of codes they begin with in common, and the
        features beside them at the weight of one code.
        """
        keys = self.ranker.item_keys
        if keys is not None:
            return keys[rows]
        codes = self.catalog.codes_of(rows).astype(np.int64)
        blocks, prefix = [], np.zeros(len(rows), np.int64)
        for level in range(self.catalog.levels):
            prefix = prefix * self.catalog.codebook_size + codes[:, level]
            found, places = np.unique(prefix, return_inverse=True)
            block = np.zeros((len(rows), len(found)), np.float32)
            block[np.arange(len(rows)), places] = 1
            blocks.append(block)
        return np.concatenate([*blocks, _unit(self.catalog.features_of(rows))], axis=1)

    def resemblance(self, row: int) -> NDArray[np.float32]:
        """Return float32 [n]: how much each item of the catalog resembles one, −1 to 1; see `vectors`."""
        keys = self.ranker.item_keys
        if keys is not None:
            found: NDArray[np.float32] = self._unit_keys @ self._unit_keys[row]
            return found
        catalog, levels = self.catalog, self.catalog.levels
        shared = np.zeros(len(catalog), np.float32)
        for length in range(1, levels + 1):
            low, high = catalog.ranges(catalog.codes_of(np.array([row]))[:, :length].astype(np.int64))
            shared[int(low[0]) : int(high[0])] = length
        own = _unit(catalog.features_of(np.array([row])))[0]
        weight = 1.0 if own.any() else 0.0
        near = _unit(catalog.features_of(np.arange(len(catalog)))) @ own if weight else np.float32(0)
        resembling: NDArray[np.float32] = ((shared + near) / (levels + weight)).astype(np.float32)
        return resembling

    @cached_property
    def _unit_keys(self) -> NDArray[np.float32]:
        keys = self.ranker.item_keys
        assert keys is not None
        return _unit(keys)

    def close(self) -> None:
        """Free the program."""
        self.ranker.close()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled
