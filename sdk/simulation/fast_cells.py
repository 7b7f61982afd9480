"""Tables of stores, filled by compiled code where numba is installed.

The same cells as those of `p2p.reconcile.toggled`, bit for bit, in a twentieth of the time: a simulated day compares
stores some hundred times per device.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2p.reconcile import CHECKS, PLACES, Cells, Ids, mixed, toggled


def toggle(cells: Cells, ids: Ids, nonce: int, counts: NDArray[np.int64]) -> None:
    """See `p2p.reconcile.Toggle`."""
    kernel = _kernel()
    if kernel is None:
        toggled(cells, ids, nonce, counts)
    else:
        kernel(cells.ids, cells.checks, cells.counts, ids, np.uint64(nonce), counts)


@functools.cache
def _kernel() -> Callable[..., None] | None:
    if importlib.util.find_spec("numba") is None:
        return None
    from numba import njit

    compiled: Any = njit(cache=True, boundscheck=False)
    mix = compiled(mixed)

    def fill(cell_ids, cell_checks, cell_counts, ids, nonce, counts):  # type: ignore[no-untyped-def]
        most = len(cell_ids)
        for row in range(len(ids)):
            check = np.uint32(mix(ids[row] ^ nonce ^ CHECKS) >> np.uint64(32))
            if most == 1:  # no other cell to be found
                cell_ids[0] ^= ids[row]
                cell_checks[0] ^= check
                cell_counts[0] += counts[row]
                continue
            state = mix(ids[row] ^ nonce ^ PLACES)
            place = 0
            while place < most:
                cell_ids[place] ^= ids[row]
                cell_checks[place] ^= check
                cell_counts[place] += counts[row]
                state = mix(state)
                gap = np.ceil((place + 1.5) * (2.0**32 / np.sqrt(np.float64(state) + 1.0) - 1.0))
                place += int(min(max(gap, 1.0), float(most)))

    filler: Callable[..., None] = compiled(fill)
    return filler
