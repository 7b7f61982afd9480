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
from device_runtime.session import MethodInfo, Session, TensorSpec, open_session


class ModelRanker:
    """Ranks catalog items for a history. Safe to use from several threads, as sessions are."""

    def __init__(self, manifest: Manifest, catalog: Catalog, session: Session) -> None:
        """Join a session and its catalog, and run once.

        Raises:
            ModelFailed: the program's methods are not those that the manifest implies, or the smoke run fails.
        """
        self.manifest = manifest
        self.catalog = catalog
        self._session = session
        for name, spec in _expected_methods(manifest).items():
            found = session.methods.get(name)
            if found != spec:
                raise ModelFailed(f"the program's method {name} is {found}, its manifest asks for {spec}; get it again")
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

    def rank(
        self, history: Sequence[HistoryEvent], k: int, *, now: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[tuple[str, float]]:
        """Return up to `k` (item id, log-probability), as `rank_rows`."""
        found = self.rank_rows(history, k, now=now, allowed=allowed)
        return [(self.catalog.ids[row], score) for row, score in found]

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


def _expected_methods(manifest: Manifest) -> dict[str, MethodInfo]:
    """Return what `beam_search` will call: the shapes follow from the manifest's sizes."""
    m = manifest
    history = TensorSpec("int64", (1, m.history_length))
    codes = TensorSpec("int64", (1, m.history_length, m.levels))
    state = TensorSpec("float32", (1, m.state_width))
    expected = {"encode": MethodInfo((codes, history, history), (state, TensorSpec("float32", (1, m.codebook_size))))}
    for level in range(1, m.levels):
        beam = TensorSpec("float32", (m.beam_width, m.state_width))
        prefix = TensorSpec("int64", (m.beam_width, level))
        logits = TensorSpec("float32", (m.beam_width, m.codebook_size))
        expected[f"decode_{level}"] = MethodInfo((beam, prefix), (logits,))
    return expected
