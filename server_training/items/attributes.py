"""Attributes of items as the categories of a catalog: to filter by, and for the adapter `taxonomy` to tell apart."""

from __future__ import annotations

from collections import Counter

import numpy as np

from device_runtime import MAX_NAME_BYTES, Catalog
from server_training.data.dataset import SequenceData
from server_training.training.windows import catalog_rows


def with_categories(catalog: Catalog, data: SequenceData, most: int) -> Catalog:
    """Return the catalog with the `most` attributes that most items share, of those that two items share."""
    owned = [set(attributes) for attributes in data.attributes]
    counts = Counter(attribute for attributes in owned for attribute in attributes)
    usable = [(name, count) for name, count in counts.items() if count > 1 and len(name.encode()) <= MAX_NAME_BYTES]
    names = [name for name, _ in sorted(usable, key=lambda pair: (-pair[1], pair[0]))[:most]]
    numbers = {name: number for number, name in enumerate(names)}
    item_of_row = np.argsort(catalog_rows(data, catalog))
    per_row = [[numbers[name] for name in owned[item] if name in numbers] for item in item_of_row.tolist()]
    return catalog.with_categories(names, per_row)
