"""A decoder-only transformer whose rotary embedding turns with position and with time.

Half of each head's pairs turn by the index of the event (Su et al., "RoFormer", 2021), the other half by its timestamp,
at periods from an hour to ten years (time-aware rotary embedding, after SynerGen). The product of a turned query and a
turned key depends only on the distance in events and in seconds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from server_training.models.backbones.feed_forward import make_feed_forward
from server_training.models.backbones.history import (
    HIDDEN,
    History,
    RelativePosition,
    attention,
    in_heads,
    last,
    thirds,
)
from server_training.models.config import ModelConfig

_HOUR_S = 3600.0
_LONGEST_HOURS = 10 * 365 * 24.0
_LONGEST_EVENTS = 1000.0


class Rotary(nn.Module):
    """Item vectors -> states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        pairs = config.width // config.heads // 2
        self.n_index = pairs - pairs // 2
        self.index_rates: Tensor
        self.time_rates: Tensor
        self.register_buffer("index_rates", _rates(self.n_index, 2 * math.pi, _LONGEST_EVENTS), persistent=False)
        self.register_buffer("time_rates", _rates(pairs // 2, 1.0, _LONGEST_HOURS), persistent=False)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, history: History, *, only_last: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Map item vectors `x` [N, Q, d] to states [N, Q, d], and to keys (not turned) and values of every layer.

        With `only_last` the states are those of the newest position alone, [N, 1, d].
        """
        if (
            self.training
        ):  # exporters keep what it is otherwise as a copy, and XNNPACK refuses one value given out twice
            x = self.dropout(x)
        turns = self._turns(history.ages)
        remembered: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            newest = 1 if only_last and layer == len(self.blocks) - 1 else history.computed
            mask = (history.hidden(newest) * HIDDEN).to(x.dtype)
            x, keys, values = block(x, mask, history, turns, layer, newest)
            remembered += [keys, values]
        return x, remembered

    def _turns(self, ages: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [N, 1, T, pairs] of the angles."""
        places = torch.arange(ages.shape[1], device=ages.device, dtype=torch.float32)
        by_index = (places[:, None] * self.index_rates).expand(len(ages), -1, -1)
        by_time = -(ages.to(torch.float32) / _HOUR_S)[..., None] * self.time_rates
        angles = torch.cat([by_index, by_time], dim=-1)[:, None]
        return torch.cos(angles), torch.sin(angles)


def _rates(count: int, shortest: float, longest: float) -> Tensor:
    """Radians per unit for `count` periods in geometric steps from `shortest` to `longest`."""
    steps = torch.linspace(math.log(shortest), math.log(longest), max(count, 1))[:count]
    return 2 * math.pi / torch.exp(steps)


class _Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.position = RelativePosition(config.heads, config.history_length)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = make_feed_forward(width, config.experts, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        history: History,
        turns: tuple[Tensor, Tensor],
        layer: int,
        newest: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = thirds(self.qkv(self.norm_attention(x)))
        x, queries = last(x, newest), last(queries, newest)
        n, t, d = x.shape
        q, k, v = (in_heads(z, self.heads) for z in (queries, *history.joined(layer, keys, values)))
        q, k = _turned(q, *(last(part, newest, dim=2) for part in turns)), _turned(k, *turns)
        rate = self.dropout.p if self.training else 0.0
        bias = mask + self.position(history, newest).to(x.dtype)
        attended = attention(q, k, v, bias, rate)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(n, t, d)))
        return x + self.dropout(self.mlp(self.norm_mlp(x))), keys, values


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the pairs (i, i + half) of the last axis."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]  # by slices, see `thirds`
    turned = torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    return turned.to(x.dtype)
