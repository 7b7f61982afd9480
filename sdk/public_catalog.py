"""The public side of a catalog: what everybody who has the same bundle knows about its items.

Which items answers are given about must not depend on the history, so it is decided here, where no history is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from device_runtime import Catalog, ModelRanker, RowFilter
from p2p import item_key
from sdk.errors import InvalidInput
from sdk.sharing import SharingPolicy

PopularRows = Callable[[int, RowFilter], list[int]]
"""Returns up to so many allowed rows, the most popular first."""


class PublicCatalog:
    """Items, categories and popularity of one bundle.

    Args:
        catalog: of the bundle.
        namespace: of its item keys.
        popular_rows: what is popular.
    """

    def __init__(self, catalog: Catalog, namespace: str, popular_rows: PopularRows) -> None:
        self._catalog = catalog
        self._popular_rows = popular_rows
        self._found: tuple[object, list[str]] | None = None
        self.namespace = namespace

    @classmethod
    def of(cls, ranker: ModelRanker) -> PublicCatalog:
        """Take the model's own ranking for somebody without a history, at the time it was made, as popularity."""

        def popular_rows(count: int, allowed: RowFilter) -> list[int]:
            return [row for row, _ in ranker.rank_rows([], count, now=ranker.manifest.created_at, allowed=allowed)]

        return cls(ranker.catalog, ranker.manifest.catalog_namespace, popular_rows)

    def __contains__(self, item: str) -> bool:
        return item in self._catalog

    def key(self, item: str) -> bytes:
        """Return the key that names an item in records."""
        return item_key(self.namespace, item)

    def categories_of(self, item: str) -> tuple[str, ...]:
        """Return the categories of an item of the catalog."""
        categories = self._catalog.categories
        return () if categories is None else categories.of_row(self._catalog.index_of(item))

    def check(self, policy: SharingPolicy) -> None:
        """Refuse a policy that names categories which the catalog does not have, and which would change nothing.

        Raises:
            InvalidInput: it does.
        """
        categories = self._catalog.categories
        known = frozenset() if categories is None else frozenset(categories.names)
        unknown = (policy.deny_categories | (policy.categories or frozenset())) - known
        if unknown:
            has = ", ".join(sorted(known)[:20]) or "none"
            raise InvalidInput(f"the catalog has no category {', '.join(sorted(unknown))}; it has {has}")

    def most_popular(self, count: int, policy: SharingPolicy) -> list[str]:
        """Return the `count` most popular items that the policy allows, or all if there are fewer.

        A model that searches ranks fewer; the rest is then taken evenly over the rows of the catalog.
        """
        asked = (count, policy.categories, policy.deny_categories, policy.deny_items)
        if self._found is None or self._found[0] != asked:
            allowed = self._allowed(policy)
            count = min(count, allowed.count())
            rows = self._popular_rows(count, allowed) if count else []
            if len(rows) < count:
                rest = np.setdiff1d(allowed.rows(), rows)
                more = count - len(rows)
                rows = [*rows, *rest[np.arange(more) * len(rest) // more].tolist()]
            self._found = asked, [self._catalog.ids[row] for row in rows]
        return self._found[1]

    def _allowed(self, policy: SharingPolicy) -> RowFilter:
        size = len(self._catalog)
        among = None
        if policy.categories is not None or policy.deny_categories:
            among = np.ones(size, bool) if policy.categories is None else self._mask(policy.categories)
            among &= ~self._mask(policy.deny_categories)
        denied = [self._catalog.index_of(item) for item in policy.deny_items if item in self._catalog]
        return RowFilter.of(size, among, np.array(denied, np.int64))

    def _mask(self, names: Iterable[str]) -> NDArray[np.bool_]:
        mask, categories = np.zeros(len(self._catalog), bool), self._catalog.categories
        for name in names:
            if categories is not None and name in categories.names:
                mask |= categories.rows(name).mask()
        return mask
