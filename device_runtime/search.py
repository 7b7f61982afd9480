"""One search over the catalog for each kind of decoding head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from device_runtime.beam import Found, Runner, beam_search
from device_runtime.catalog import Catalog
from device_runtime.dense import ItemVectors, search_by_codes, search_by_vectors
from device_runtime.sequence import ModelInputs

HEADS = ("autoregressive", "parallel", "retrieval", "retrieve-rank")


class ItemSearch:
    """From a history to the best items, by the head of the model.

    Neighbours in the catalog count wherever all items are scored at once: for every head but the autoregressive.

    Args:
        session: runs the model's methods.
        catalog: the items.
        head: one of `HEADS`.
        state_width: d.
        beam_width: B, hypotheses or candidates, fixed when the program was exported.

    Raises:
        ModelFailed: item vectors have the wrong shape or are not finite.
    """

    def __init__(self, session: Runner, catalog: Catalog, head: str, state_width: int, beam_width: int) -> None:
        self._session = session
        self._catalog = catalog
        self._beam_width = beam_width
        self._by_codes = head == "parallel"
        self._items: ItemVectors | None = None
        if head in ("retrieval", "retrieve-rank"):
            self._items = ItemVectors(session, catalog, state_width, ranked=head == "retrieve-rank")

    def __call__(self, inputs: ModelInputs, k: int, allowed: NDArray[np.bool_] | None = None) -> Found:
        """Return up to `k` items, at most the beam width where the head searches or re-ranks.

        Args:
            inputs: one history (N = 1).
            k: how many.
            allowed: bool [n], items that may be returned; all when None.

        Raises:
            ModelFailed: the model's outputs have the wrong shape or are not finite.
        """
        width = self._beam_width
        if self._by_codes:
            return search_by_codes(self._session, inputs, self._catalog, k=k, allowed=allowed)
        if self._items is None:
            k = min(k, width)
            return beam_search(self._session, inputs, self._catalog, k=k, beam_width=width, allowed=allowed)
        if self._items.vectors is not None:
            k = min(k, width)
        return search_by_vectors(
            self._session, inputs, self._items, self._catalog, k=k, candidates=width, allowed=allowed
        )
