"""One search over the catalog for each kind of decoding head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from device_runtime.beam import Found, beam_search
from device_runtime.catalog import Catalog
from device_runtime.dense import ItemVectors, search_by_codes, search_by_vectors
from device_runtime.encoder import Encoder, Runner
from device_runtime.errors import ModelFailed
from device_runtime.model_shape import ModelShape
from device_runtime.row_filter import RowFilter
from device_runtime.sequence import ModelInputs
from device_runtime.steering import Steered, Steering

HEADS = ("autoregressive", "parallel", "retrieval", "retrieve-rank")


class ItemSearch:
    """From a history to the best items, by the head of the model.

    Neighbours in the catalog count wherever all items are scored at once: for every head but the autoregressive. Safe
    to call from several threads.

    Args:
        session: runs the model's methods.
        catalog: the items.
        shape: of the program.
        weights: of its adapters where a request says nothing; 0 for those not named.

    Raises:
        ModelFailed: item vectors have the wrong shape or are not finite, or the catalog lacks the categories that the
            model tells apart.
    """

    def __init__(
        self, session: Runner, catalog: Catalog, shape: ModelShape, weights: Mapping[str, float] | None = None
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._shape = shape
        names = catalog.categories.names if catalog.categories is not None and shape.categories else ()
        if len(names) != shape.categories:
            raise ModelFailed(f"the model tells {shape.categories} categories apart, the catalog has {len(names)}")
        #: What requests may steer.
        self.steering = Steering(shape.asks, shape.ask_levels, shape.adapters, weights or {}, names)
        self._unsteered = self.steering.steered()
        ranked = shape.head == "retrieve-rank"
        self._encode = Encoder(session, remembers=shape.memory_rows > 0, states_at=1 if ranked else None)
        self._items: ItemVectors | None = None
        if shape.head in ("retrieval", "retrieve-rank"):
            self._items = ItemVectors(session, catalog, shape.state_width, ranked=ranked)

    @property
    def item_keys(self) -> NDArray[np.float32] | None:
        """float32 [n, d]: what queries are multiplied with, None for heads that score codes."""
        return None if self._items is None else self._items.keys

    def __call__(
        self,
        inputs: ModelInputs,
        k: int,
        allowed: RowFilter | None = None,
        *,
        beam: int | None = None,
        steered: Steered | None = None,
    ) -> Found:
        """Return up to `k` items, at most the beam width where the head searches or re-ranks.

        Args:
            inputs: one history (N = 1).
            k: how many.
            allowed: items that may be returned; all when None.
            beam: hypotheses or candidates, from k to the program's beam width; that by default. Fewer are faster.
            steered: what the request steers; nothing by default: no asks, and the adapters' own weights.

        Raises:
            ModelFailed: the model's outputs have the wrong shape or are not finite, or `allowed` is of another catalog.
        """
        if allowed is not None and allowed.size != len(self._catalog):
            raise ModelFailed(f"the filter is for {allowed.size} rows, the catalog has {len(self._catalog)}")
        shape, steered = self._shape, steered or self._unsteered
        encoded = self._encode(inputs, *((steered.asks,) if shape.asks else ()))
        if shape.head == "parallel":
            return search_by_codes(encoded, inputs, self._catalog, k=k, allowed=allowed)
        width = min(shape.beam_width, shape.beam_width if beam is None else max(beam, k))
        if self._items is None:
            return beam_search(
                self._session,
                encoded,
                self._catalog,
                k=min(k, width),
                beam_width=width,
                least_width=shape.least_beam,
                allowed=allowed,
            )
        if self._items.vectors is not None:
            k = min(k, width)
        return search_by_vectors(
            self._session,
            encoded,
            inputs,
            self._items,
            self._catalog,
            k=k,
            candidates=width,
            least=shape.least_beam,
            allowed=allowed,
            steered=steered if shape.adapters else None,
        )
