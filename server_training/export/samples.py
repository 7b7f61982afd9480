"""Real inputs for every exported method: what calibration sees, and what programs are compared on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from device_runtime import RESUMED, Catalog
from server_training.models.methods import SHORTEST, Method
from server_training.training.windows import Windows

_HISTORY = 5  # inputs that describe a history, before what is asked for


class RealInputs:
    """Inputs of each method, made from people's histories by the methods before it.

    Args:
        methods: of the model in float; `encode` makes the states and the memory that others are given.
        windows: histories.
        catalog: of the model.
        shortest: positions that a history is padded to.
    """

    def __init__(self, methods: Mapping[str, Method], windows: Windows, catalog: Catalog, shortest: int) -> None:
        self._methods = methods
        self._windows = windows
        self._catalog = catalog
        self._shortest = shortest
        self._asks = methods["encode"].inputs[_HISTORY:]  # at their highest levels

    def of(self, method: str, most: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield up to `most` sets of inputs, from histories spread over all people; the same ones every time.

        Where lengths may vary every other set is half as long, at most: an exporter may have fixed a length silently.
        """
        rng = np.random.default_rng(0)
        places = np.linspace(0, len(self._windows) - 1, min(most, len(self._windows))).astype(int)
        varies = any(self._methods[method].varying)
        for number, place in enumerate(np.unique(places).tolist()):
            part = 2 if varies and number % 2 else 1
            most = max(self._shortest, self._windows.length // part)
            inputs = self._windows.inputs(place, self._catalog, self._shortest, most)
            asked = self._asked(number)
            history = (*(torch.from_numpy(array) for array in inputs.arrays()), *asked)
            if method == "encode":
                yield history
            elif method == "items":
                rows = rng.integers(0, len(self._catalog), len(self._methods["items"].inputs[0]))
                yield self._items(rows)
            elif method == "extend":
                if (inputs.actions > 0).all() and inputs.actions.shape[1] >= SHORTEST + RESUMED:
                    yield self._resumed(history)
            elif method == "rank":
                yield self._ranked(history, rng, part)
            else:
                yield self._decoded(method, history, rng, part)

    def _asked(self, number: int) -> tuple[Tensor, ...]:
        """Asks int64 [1, A] for the sample of that number: every level of each in turn, and none; () without asks."""
        return tuple((torch.arange(asks.shape[1]) + number)[None] % (asks + 1) for asks in self._asks)

    def _items(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        codes = torch.from_numpy(self._catalog.codes_of(rows).astype(np.int64))
        return codes, torch.from_numpy(self._catalog.features_of(rows))

    def _encoded(self, history: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found: tuple[Tensor, ...] = self._methods["encode"].module(*history)
        return found

    def _resumed(self, history: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        memory = self._encoded(history)[-1]
        past = history[0].shape[1] - RESUMED
        newest = [part[:, past:].contiguous() for part in history[:_HISTORY]]
        before = history[4][:, :past].contiguous()
        return (*newest[:4], before, newest[4], memory[:, :, :past].contiguous(), *history[_HISTORY:])

    def _ranked(self, history: tuple[Tensor, ...], rng: np.random.Generator, part: int) -> tuple[Tensor, ...]:
        candidates = max(SHORTEST, self._methods["rank"].inputs[2].shape[1] // part)
        rows = rng.integers(0, len(self._catalog), candidates)
        blocks = len(self._methods["items"].inputs[0])
        with torch.no_grad():
            vectors = self._methods["items"].module(*self._items(np.resize(rows, blocks)))[1]
        wide = vectors[torch.arange(candidates) % blocks][None]
        return self._encoded(history)[1], history[2], wide.contiguous()

    def _decoded(
        self, method: str, history: tuple[Tensor, ...], rng: np.random.Generator, part: int
    ) -> tuple[Tensor, ...]:
        _, prefix = self._methods[method].inputs
        rows = rng.integers(0, len(self._catalog), max(SHORTEST, len(prefix) // part))
        codes = self._catalog.codes_of(rows)[:, : prefix.shape[1]].astype(np.int64)
        return self._encoded(history)[0].repeat(len(rows), 1), torch.from_numpy(codes)
