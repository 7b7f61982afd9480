"""`ModelRanker`: a verified bundle and a running session, answering with items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from device_runtime.beam import beam_search
from device_runtime.bundle import Bundle
from device_runtime.catalog import Catalog
from device_runtime.errors import ModelFailed
from device_runtime.manifest import Manifest
from device_runtime.sequence import HistoryEvent, encode_history
from device_runtime.session import Session, open_session


class ModelRanker:
    """Ranks catalog items for a history. Safe to use from several threads if the session is."""

    def __init__(self, manifest: Manifest, catalog: Catalog, session: Session) -> None:
        """Join a session and its catalog, and run once.

        Raises:
            ModelFailed: the program lacks a method, or the smoke run fails.
        """
        self.manifest = manifest
        self.catalog = catalog
        self._session = session
        missing = [name for name in manifest.methods if name not in session.methods]
        if missing:
            raise ModelFailed(
                f"the program has no method {missing[0]!r}, which its manifest lists; get the bundle again"
            )
        self.rank_rows([], 1, now=0)

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int = 1) -> Self:
        """Load the bundle's program.

        Raises:
            RuntimeUnavailable: no ExecuTorch runtime works here.
            ModelFailed: the program does not load or fails its smoke run.
        """
        session = open_session(bundle.model, threads=threads)
        try:
            return cls(bundle.manifest, bundle.catalog, session)
        except BaseException:
            session.close()
            raise

    def rank_rows(
        self, history: Sequence[HistoryEvent], k: int, *, now: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """Return up to `k` (catalog row, log-probability), the most probable first.

        Args:
            history: in time order; items outside the catalog are ignored.
            k: how many; the beam width of the bundle is the most one call gives.
            now: Unix seconds of the request.
            allowed: bool [n], rows that may be returned; all when None.
        """
        inputs = encode_history(history, self.catalog, self.manifest.history_length, now)
        width = self.manifest.beam_width
        found = beam_search(self._session, inputs, self.catalog, k=min(k, width), beam_width=width, allowed=allowed)
        return list(zip(found.rows.tolist(), found.log_probs.tolist(), strict=True))

    def rank(self, history: Sequence[HistoryEvent], k: int, *, now: int) -> list[tuple[str, float]]:
        """Return up to `k` (item id, log-probability), as `rank_rows`."""
        return [(self.catalog.ids[row], score) for row, score in self.rank_rows(history, k, now=now)]

    @property
    def history_length(self) -> int:
        """How many events the model reads."""
        return self.manifest.history_length

    @property
    def runtime(self) -> str:
        """Which runtime executes the model."""
        return self._session.name

    def close(self) -> None:
        """Free the program."""
        self._session.close()
