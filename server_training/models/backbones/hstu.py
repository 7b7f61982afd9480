"""HSTU: pointwise SiLU attention, gated, with relative position and time bias (Zhai et al., ICML 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server_training.models.backbones.feed_forward import MixtureOfExperts
from server_training.models.backbones.history import History, RelativePosition, RelativeTime, in_heads, last
from server_training.models.config import ModelConfig


class Hstu(nn.Module):
    """Item vectors -> states, without softmax and without absolute positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, history: History, *, only_last: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Map item vectors `x` [N, Q, d] to states [N, Q, d], and to keys and values [N, Q, d] of every layer.

        With `only_last` the states are those of the newest position alone, [N, 1, d].
        """
        if (
            self.training
        ):  # exporters keep what it is otherwise as a copy, and XNNPACK refuses one value given out twice
            x = self.dropout(x)
        remembered: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            newest = 1 if only_last and layer == len(self.blocks) - 1 else history.computed
            visible = (1.0 - history.hidden(newest)).to(x.dtype)
            x, keys, values = block(x, visible, history, layer, newest)
            remembered += [keys, values]
        return x, remembered


class _Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.scale = (width // config.heads) ** -0.5
        self.norm = nn.LayerNorm(width)
        self.uvqk = nn.Linear(width, 4 * width)
        self.position = RelativePosition(config.heads, config.history_length)
        self.time = RelativeTime(config.heads)
        self.norm_out = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.norm_mlp = nn.LayerNorm(width) if config.experts else None
        self.mlp = MixtureOfExperts(width, config.experts, config.dropout) if config.experts else None

    def forward(
        self, x: Tensor, visible: Tensor, history: History, layer: int, newest: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        d = x.shape[2]
        mixed = F.silu(self.uvqk(self.norm(x)))
        # By slices, see `thirds`.
        u, values, queries, keys = (mixed[..., i * d : (i + 1) * d] for i in range(4))
        x, u, queries = last(x, newest), last(u, newest), last(queries, newest)
        n, t, _ = x.shape
        q, k, v = (in_heads(z, self.heads) for z in (queries, *history.joined(layer, keys, values)))
        logits = torch.matmul(q, k.transpose(2, 3)) * self.scale
        logits = logits + self.position(history, newest) + self.time(history, newest)
        # Divided by the events in sight, not by the padded length: a short history weighs as much as a long one.
        weights = F.silu(logits) * visible / visible.sum(dim=-1, keepdim=True)
        attended = torch.matmul(weights, v).transpose(1, 2).reshape(n, t, d)
        x = x + self.dropout(self.out(self.norm_out(attended) * u))
        if self.norm_mlp is not None and self.mlp is not None:
            x = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return x, keys, values
