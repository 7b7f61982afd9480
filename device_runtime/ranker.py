"""`ModelRanker`: a verified bundle and a running session, answering with items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from device_runtime.bundle import Bundle
from device_runtime.catalog import Catalog
from device_runtime.errors import ModelFailed
from device_runtime.manifest import Manifest
from device_runtime.row_filter import RowFilter
from device_runtime.runtime_report import RuntimeReport
from device_runtime.search import ItemSearch
from device_runtime.sequence import HistoryEvent, encode_history
from device_runtime.session import RuntimeSettings, Session, open_session
from device_runtime.steering import Ask, Steering


class ModelRanker:
    """Ranks catalog items for a history. Safe to use from several threads, as sessions are."""

    def __init__(
        self,
        manifest: Manifest,
        catalog: Catalog,
        session: Session,
        *,
        warm_up: bool = True,
        report: RuntimeReport | None = None,
    ) -> None:
        """Join a session and its catalog, and run once if `warm_up`; `report` says what the session is.

        Raises:
            ModelFailed: the program's methods are not those that the manifest implies, or the smoke run fails.
        """
        self.manifest = manifest
        self.catalog = catalog
        self._session = session
        self.report = report or RuntimeReport(session.name, "the caller opened it")
        for name, spec in manifest.method_infos.items():
            found = session.methods.get(name)
            if found != spec:
                raise ModelFailed(f"the program's method {name} is {found}, its manifest asks for {spec}; get it again")
        self._search = ItemSearch(session, catalog, manifest.shape, manifest.adapter_weights)
        if warm_up:
            self.rank_rows([], 1, now=0)

    @classmethod
    def open(cls, bundle: Bundle, settings: RuntimeSettings | None = None) -> Self:
        """Load the bundle's program.

        Raises:
            RuntimeUnavailable: no ExecuTorch runtime works here.
            ModelFailed: the program does not load or fails its smoke run.
        """
        settings = settings or RuntimeSettings()
        session = open_session(bundle.model, settings, methods=bundle.manifest.method_infos)
        try:
            return cls(bundle.manifest, bundle.catalog, session, warm_up=settings.warm_up, report=session.report)
        except BaseException:
            session.close()
            raise

    def rank_rows(
        self,
        history: Sequence[HistoryEvent],
        k: int,
        *,
        now: int,
        allowed: RowFilter | None = None,
        beam: int | None = None,
        earlier: int = 0,
        ask: Ask | None = None,
        priors: Mapping[str, float] | None = None,
    ) -> list[tuple[int, float]]:
        """Return up to `k` (catalog row, log-probability), the most probable first.

        Args:
            history: in time order, all of it or at least its last `history_length` events; items outside the catalog
                are ignored.
            k: how many; a model that searches or re-ranks gives at most its beam width.
            now: Unix seconds of the request.
            allowed: rows that may be returned; all when None.
            beam: see `ItemSearch`.
            earlier: how many events came before those given.
            ask: what is asked of the model.
            priors: weights of its adapter heads by name, and `taxonomy:NAME` to lift a category; heads that are not
                named keep the weight that the bundle gives them.

        Raises:
            NotSteerable: the model cannot be asked for that, or has no such head or category.
        """
        steered = self._search.steering.steered(ask, priors) if ask is not None or priors else None
        inputs = encode_history(history, self.catalog, self.manifest.reading, now, earlier=earlier)
        found = self._search(inputs, k, allowed, beam=beam, steered=steered)
        return list(zip(found.rows.tolist(), found.log_probs.tolist(), strict=True))

    def rank(
        self, history: Sequence[HistoryEvent], k: int, *, now: int, allowed: RowFilter | None = None
    ) -> list[tuple[str, float]]:
        """Return up to `k` (item id, log-probability), as `rank_rows`."""
        found = self.rank_rows(history, k, now=now, allowed=allowed)
        return [(self.catalog.ids[row], score) for row, score in found]

    @property
    def history_length(self) -> int:
        """How many events the model reads."""
        return self.manifest.history_length

    @property
    def steering(self) -> Steering:
        """What requests may steer."""
        return self._search.steering

    @property
    def item_keys(self) -> NDArray[np.float32] | None:
        """float32 [n, d]: the model's vectors of all items, None for a model that scores codes."""
        return self._search.item_keys

    @property
    def runtime(self) -> str:
        """Which runtime executes the model."""
        return self._session.name

    def close(self) -> None:
        """Free the program."""
        self._session.close()
