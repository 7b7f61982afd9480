"""RQ-VAE: a small autoencoder whose middle is quantised residually, codebooks learnt with it.

As TIGER (Rajput et al., NeurIPS 2023) and LETTER use it, after Zeghidour et al. (SoundStream, 2021). Two things keep
codes alive: codebooks start from k-means on the latent vectors of an autoencoder that has already learnt a little, and
a code that nothing chose for a while moves to a residual that is badly served.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from server_training.items.kmeans import Vectors
from server_training.items.layers import Layers
from server_training.items.quantisers import Effort, Learnt
from server_training.items.residual import residual_kmeans

_LATENT = 32
_HIDDEN = 256
_COMMITMENT = 0.25
_BATCH = 1024
_RATE = 1e-3
_WARM_UP = 0.2
_RESTART_EVERY = 50


def rq_vae(vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
    """Autoencoder and codebooks by gradient."""
    mean, scale = vectors.mean(axis=0), max(float((vectors - vectors.mean(axis=0)).std()), 1e-6)
    points = torch.from_numpy((vectors - mean) / np.float32(scale))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _RqVae(vectors.shape[1], levels, size)
        warm = int(effort.steps * _WARM_UP)
        _learn(model, points, warm, quantised=False)
        model.start_from_kmeans(points, seed, effort)
        _learn(model, points, effort.steps - warm, quantised=True)
    return Learnt(
        model.codebooks.detach().numpy().copy(),
        Layers.of(model.encoder).standardised(mean, scale),
        Layers.of(model.decoder).rescaled(mean, scale),
    )


class _RqVae(nn.Module):
    def __init__(self, width: int, levels: int, size: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _LATENT))
        self.decoder = nn.Sequential(nn.Linear(_LATENT, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, width))
        self.codebooks = nn.Parameter(torch.zeros(levels, size, _LATENT))
        self.chosen = torch.zeros(levels, size)

    def start_from_kmeans(self, points: Tensor, seed: int, effort: Effort) -> None:
        levels, size, _ = self.codebooks.shape
        with torch.no_grad():
            latent = self.encoder(points).numpy()
            self.codebooks.copy_(torch.from_numpy(residual_kmeans(latent, levels, size, seed, effort).codebooks))

    def quantise(self, latent: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The quantised point with a straight-through gradient, the codebook loss, the residual before each level."""
        left, total, loss = latent, torch.zeros_like(latent), latent.new_zeros(())
        before = []
        for level, book in enumerate(self.codebooks):
            before.append(left.detach())
            owner = torch.cdist(left.detach(), book.detach()).argmin(dim=1)
            self.chosen[level] += torch.bincount(owner, minlength=len(book))
            nearest = book[owner]
            loss = loss + F.mse_loss(nearest, left.detach()) + _COMMITMENT * F.mse_loss(left, nearest.detach())
            left, total = left - nearest, total + nearest
        return latent + (total - latent).detach(), loss, before

    def restart_dead(self, before: list[Tensor]) -> None:
        """Codes nothing chose move to the residuals farthest from their own code."""
        with torch.no_grad():
            for level, book in enumerate(self.codebooks):
                dead = torch.nonzero(self.chosen[level] == 0)[:, 0]
                distance = torch.cdist(before[level], book).min(dim=1).values
                far = distance.argsort(descending=True)[: len(dead)]
                book[dead[: len(far)]] = before[level][far]
            self.chosen.zero_()


def _learn(model: _RqVae, points: Tensor, steps: int, *, quantised: bool) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=_RATE)
    for step in range(steps):
        batch = points[torch.randint(len(points), (min(_BATCH, len(points)),))]
        latent = model.encoder(batch)
        loss, before = latent.new_zeros(()), list[Tensor]()
        if quantised:
            latent, loss, before = model.quantise(latent)
        loss = loss + F.mse_loss(model.decoder(latent), batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        # Not in the last steps: a code just moved would be left where it was put.
        if quantised and (step + 1) % _RESTART_EVERY == 0 and step + _RESTART_EVERY < steps:
            model.restart_dead(before)
