"""Finite scalar quantisation: codes are places on a fixed grid, so no codebook can collapse.

Mentzer et al. (ICLR 2024); RecGPT makes item tokens with it. Each level owns a few numbers of a bounded latent vector;
each number is rounded to one of a few values, and the values together are the level's code.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from server_training.items.kmeans import Vectors
from server_training.items.layers import Layers
from server_training.items.quantisers import Effort, Learnt

_HIDDEN = 256
_BATCH = 1024
_RATE = 1e-3
_VALUES = 6  # per number, about: the paper finds 5 and more to work best


def grid(size: int) -> tuple[int, ...]:
    """Values per number of one level, their product at most `size` and close to it."""
    numbers = max(1, round(np.log(size) / np.log(_VALUES)))
    values = [max(2, int(size ** (1 / numbers) + 1e-9))] * numbers
    for place in range(numbers):
        rest = int(np.prod(values)) // values[place]
        values[place] = max(values[place], size // rest)
    return tuple(values)


def fsq(vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
    """An autoencoder onto the grid; at most `size` codes per level."""
    values = grid(size)
    mean, scale = vectors.mean(axis=0), max(float((vectors - vectors.mean(axis=0)).std()), 1e-6)
    points = torch.from_numpy((vectors - mean) / np.float32(scale))
    latent = levels * len(values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Linear(vectors.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, latent))
        decoder = nn.Sequential(nn.Linear(latent, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, vectors.shape[1]))
        _learn(encoder, decoder, points, torch.tensor(values * levels) - 1.0, effort.steps)
    return Learnt(
        _codebooks(values, levels),
        Layers.of(encoder, bounded=True).standardised(mean, scale),
        Layers.of(decoder).rescaled(mean, scale),
    )


def _codebooks(values: tuple[int, ...], levels: int) -> Vectors:
    """All points of the grid, level by level in numbers of its own, zero elsewhere."""
    points = np.array(list(product(*(np.linspace(-1.0, 1.0, count) for count in values))), np.float32)
    books = np.zeros((levels, len(points), levels * len(values)), np.float32)
    for level in range(levels):
        books[level, :, level * len(values) : (level + 1) * len(values)] = points
    return books


def _learn(encoder: nn.Sequential, decoder: nn.Sequential, points: Tensor, gaps: Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=_RATE)
    for _ in range(steps):
        batch = points[torch.randint(len(points), (min(_BATCH, len(points)),))]
        bounded = torch.tanh(encoder(batch))
        on_grid = torch.round((bounded + 1) / 2 * gaps) / gaps * 2 - 1
        loss = F.mse_loss(decoder(bounded + (on_grid - bounded).detach()), batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
