"""`ModelRanker`: a verified bundle and a running session, answering with items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from device_runtime.bundle import Bundle
from device_runtime.catalog import Catalog
from device_runtime.dense import ITEMS_AT_ONCE
from device_runtime.errors import ModelFailed
from device_runtime.manifest import Manifest
from device_runtime.search import ItemSearch
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
        for name, spec in expected_methods(manifest).items():
            found = session.methods.get(name)
            if found != spec:
                raise ModelFailed(f"the program's method {name} is {found}, its manifest asks for {spec}; get it again")
        self._search = ItemSearch(session, catalog, manifest.head, manifest.state_width, manifest.beam_width)
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
            k: how many; a model that searches or re-ranks gives at most its beam width.
            now: Unix seconds of the request.
            allowed: bool [n], rows that may be returned; all when None.
        """
        inputs = encode_history(history, self.catalog, self.manifest.history_length, now)
        found = self._search(inputs, k, allowed)
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


def expected_methods(manifest: Manifest) -> dict[str, MethodInfo]:
    """Return what the searches will call: the shapes follow from the manifest's head and sizes."""
    m = manifest
    t, d, k = m.history_length, m.state_width, m.codebook_size
    history, state, states = _integers(1, t), _numbers(1, d), _numbers(1, t, d)
    inputs = (_integers(1, t, m.levels), _numbers(1, t, m.features), history, history, history)
    items = (_integers(ITEMS_AT_ONCE, m.levels), _numbers(ITEMS_AT_ONCE, m.features))
    keys = _numbers(ITEMS_AT_ONCE, d)
    if m.head == "parallel":
        return {"encode": MethodInfo(inputs, (_numbers(1, m.levels, k),))}
    if m.head == "retrieval":
        return {"encode": MethodInfo(inputs, (state,)), "items": MethodInfo(items, (keys,))}
    if m.head == "retrieve-rank":
        candidates = _numbers(1, m.beam_width, d)
        return {
            "encode": MethodInfo(inputs, (state, states)),
            "items": MethodInfo(items, (keys, keys)),
            "rank": MethodInfo((states, history, candidates), (_numbers(1, m.beam_width),)),
        }
    expected = {"encode": MethodInfo(inputs, (state, _numbers(1, k)))}
    for level in range(1, m.levels):
        beam = (_numbers(m.beam_width, d), _integers(m.beam_width, level))
        expected[f"decode_{level}"] = MethodInfo(beam, (_numbers(m.beam_width, k),))
    return expected


def _integers(*shape: int) -> TensorSpec:
    return TensorSpec("int64", shape)


def _numbers(*shape: int) -> TensorSpec:
    return TensorSpec("float32", shape)
