"""Asks: what a request wants of the answer, worked into the state after the backbone.

A small form of TADT-CSA ("Temporal Advantage Decision Transformer with Contrastive State Abstraction"), which puts
tokens [return-to-go, temporal advantage] before each step of a decision transformer. Here they are levels, see
`training.returns`, and meet the state behind the backbone instead of in front of it:

    s' = s + V (sum_a g[a, level] * U s) + sum_a e[a, level]

with g[a, 0] = e[a, 0] = 0. So the history is read, and remembered on a device, once for all asks; every position of a
window learns with the ask that its own target answers; and a request that asks nothing gets exactly what the model
without asks says. Left out of TADT-CSA: its contrastive state abstraction (states as codes, with the entropy term and
the contrast of transitions), its losses of predicted return and reward, and its pairwise loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from server_training.models.config import ModelConfig


class Asks(nn.Module):
    """States, and what is asked for in each -> states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, rank = config.width, max(1, config.width // 2)
        rows = len(config.asks) * config.ask_levels
        self.levels = config.ask_levels
        self.up = nn.Linear(width, rank, bias=False)
        self.down = nn.Linear(rank, width, bias=False)
        self.gates = nn.Embedding(rows, rank)
        self.shifts = nn.Embedding(rows, width)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.shifts.weight)
        self.first: Tensor
        self.register_buffer("first", torch.arange(len(config.asks)) * config.ask_levels, persistent=False)

    def forward(self, states: Tensor, asks: Tensor) -> Tensor:
        """Return states [..., d], given states [..., d] and asks int64 [..., A] from 0 (none) to the highest level."""
        asked = asks.clamp(0, 1).to(states.dtype)[..., None]
        rows = self.first + (asks - 1).clamp(0, self.levels - 1)
        gate = (self.gates(rows) * asked).sum(dim=-2)
        shift = (self.shifts(rows) * asked).sum(dim=-2)
        moved: Tensor = states + self.down(self.up(states) * gate) + shift
        return moved
