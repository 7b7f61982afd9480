"""The neighbours that are part of the policy, found without the events that the policy is to predict.

The catalog's neighbours come from all training events, so at a moment of the training events they know already what
came next, far better than they will know it in use. A policy aligned beside such a prior learns to trust it too much.
With the targets limited to each person's newest events, the neighbours are found again from the events before those, as
in stacking, where a model that combines others is fitted on what they have not seen (Wolpert, 1992).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from device_runtime import Catalog, Neighbours
from server_training.data.split import Split
from server_training.training.neighbours import find_neighbours


def prior_of(split: Split, catalog: Catalog, newest: int) -> Neighbours | None:
    """The neighbours of a policy, with the weight that they have in the catalog; None when that has none.

    Args:
        split: training events.
        catalog: with its neighbours.
        newest: each person's newest training events that are targets; 0 for all, which leaves the catalog's as they
            are.
    """
    known = catalog.neighbours
    if known is None or not newest:
        return known
    earlier = replace(split, train_stop=np.maximum(split.train_stop - newest, split.data.offsets[:-1]))
    found = find_neighbours(earlier, catalog, known.rows.shape[1])
    return None if found is None else replace(found, weight=known.weight)
