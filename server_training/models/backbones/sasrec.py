"""SASRec: the honest baseline. Causal softmax attention over learned positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from device_runtime import N_GAPS
from server_training.models.backbones.feed_forward import make_feed_forward
from server_training.models.backbones.history import HIDDEN, History, attention, in_heads, last, thirds
from server_training.models.config import ModelConfig


class SasRec(nn.Module):
    """Item vectors -> states, by position."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.length = config.history_length
        self.position_table = nn.Embedding(config.history_length, config.width)
        self.gap_table = nn.Embedding(N_GAPS, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.places: Tensor
        self.register_buffer("places", torch.arange(config.history_length), persistent=False)

    def forward(self, x: Tensor, history: History, *, only_last: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Map item vectors `x` [N, T, d] to states [N, T, d]; T may be below the length the model was made for.

        With `only_last` the states are those of the newest position alone, [N, 1, d]. Nothing can be remembered:
        positions count from the newest event, so one more event moves them all.
        """
        places = self.places[self.length - x.shape[1] :]
        x = self.dropout(x + self.position_table(places) + self.gap_table(history.gaps))
        for layer, block in enumerate(self.blocks):
            newest = 1 if only_last and layer == len(self.blocks) - 1 else None
            x = block(x, (history.hidden(newest) * HIDDEN).to(x.dtype), newest)
        return x, []


class _Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = make_feed_forward(width, config.experts, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, newest: int | None) -> Tensor:
        queries, keys, values = thirds(self.qkv(self.norm_attention(x)))
        x, queries = last(x, newest), last(queries, newest)
        n, t, d = x.shape
        q, k, v = (in_heads(z, self.heads) for z in (queries, keys, values))
        rate = self.dropout.p if self.training else 0.0
        attended = attention(q, k, v, mask, rate)  # [N, h, T, d/h]
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(n, t, d)))
        result: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return result
