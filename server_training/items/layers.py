"""A small feed-forward network as plain arrays, run in numpy: what a learnt quantiser leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layers:
    """Linear maps with ReLU between them; without any map, the identity.

    Attributes:
        maps: weights float32 [m, d] and biases float32 [d], in order.
        bounded: whether tanh comes last.
    """

    maps: tuple[tuple[Vectors, Vectors], ...] = ()
    bounded: bool = False

    def __call__(self, vectors: Vectors) -> Vectors:
        """Map float32 [n, m] to float32 [n, d]."""
        for place, (weight, bias) in enumerate(self.maps):
            vectors = (np.maximum(vectors, 0.0) if place else vectors) @ weight + bias
        return np.tanh(vectors) if self.bounded else vectors

    @property
    def widths(self) -> tuple[int, int] | None:
        """Numbers per vector, in and out; None when any will do."""
        return (self.maps[0][0].shape[0], self.maps[-1][0].shape[1]) if self.maps else None

    @classmethod
    def of(cls, network: nn.Sequential, *, bounded: bool = False) -> Layers:
        """Copy the linear layers of a trained network."""
        linear = [layer for layer in network if isinstance(layer, nn.Linear)]
        return cls(
            tuple((layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in linear),
            bounded,
        )

    def standardised(self, mean: Vectors, scale: float) -> Layers:
        """The same layers for vectors that were (v - mean) / scale before."""
        (weight, bias), *rest = self.maps
        return Layers(((weight / np.float32(scale), bias - mean @ weight / np.float32(scale)), *rest), self.bounded)

    def rescaled(self, mean: Vectors, scale: float) -> Layers:
        """The same layers with results r as r scale + mean."""
        *rest, (weight, bias) = self.maps
        return Layers((*rest, (weight * np.float32(scale), bias * np.float32(scale) + mean)), self.bounded)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """Everything as named arrays, to be saved."""
        saved: dict[str, NDArray[np.generic]] = {f"{name}_bounded": np.asarray(self.bounded)}
        for place, (weight, bias) in enumerate(self.maps):
            saved |= {f"{name}_weight_{place}": weight, f"{name}_bias_{place}": bias}
        return saved

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Layers:
        """Read what `arrays` gave.

        Raises:
            ValueError: shapes that do not fit, or values that are not finite float32.
            KeyError: an array is missing.
        """
        maps: list[tuple[Vectors, Vectors]] = []
        while f"{name}_weight_{len(maps)}" in arrays:
            place = len(maps)
            maps.append((_numbers(arrays[f"{name}_weight_{place}"], 2), _numbers(arrays[f"{name}_bias_{place}"], 1)))
        for (weight, bias), (following, _) in zip(maps, maps[1:] + maps[-1:], strict=True):
            last = following is weight
            if weight.shape[1] != len(bias) or not (last or weight.shape[1] == following.shape[0]):
                raise ValueError(f"layers of {name} do not fit together")
        return cls(tuple(maps), bool(arrays[f"{name}_bounded"]))


def _numbers(array: NDArray[np.generic], dimensions: int) -> Vectors:
    if array.dtype != np.float32 or array.ndim != dimensions or not np.isfinite(array).all():
        raise ValueError(f"expected finite float32 in {dimensions} dimensions, got {array.dtype} {array.shape}")
    return array  # type: ignore[return-value]
