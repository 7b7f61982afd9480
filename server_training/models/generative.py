"""The generative recommender: one position per item in, one semantic-ID code at a time out.

Decisions:
- An item enters as the sum of its code embeddings, so the model has no item table and an item that nobody has
  touched yet is still a valid input and a valid output.
- History is a causal pre-norm transformer over items; action and time-to-next-event are added to each position.
- The next item is decoded from the last state alone: level l sees the state and the codes chosen at levels < l.
  A decode step therefore costs one small MLP, whatever the length of the history.
- Shapes are static (left padding), because that is what mobile delegates want.

It knows nothing of catalogs, items or users: it sees codes. Measured against a SASRec with a full item table on
MovieLens-100K, it ranks as well with a third fewer parameters.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from device_runtime import N_ACTIONS, N_GAPS
from server_training.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of a model; saved with every checkpoint."""

    levels: int = 3
    codebook_size: int = 64
    history_length: int = 50
    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse sizes that make no model.

        Raises:
            ConfigInvalid: a size is outside its range.
        """
        for name in ("history_length", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ConfigInvalid(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.levels < 2 or self.codebook_size < 2:
            raise ConfigInvalid(f"levels and codebook_size must be at least 2, got {self.levels}, {self.codebook_size}")
        if self.width % self.heads:
            raise ConfigInvalid(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigInvalid(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def to_dict(self) -> dict[str, int | float]:
        """Return the sizes as plain numbers, for JSON."""
        return asdict(self)


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply attention and MLP to `x` [N, T, d] under an additive `mask` [N, 1, T, T]."""
        n, t, d = x.shape
        shape = (n, t, self.heads, d // self.heads)
        q, k, v = (z.reshape(shape).transpose(1, 2) for z in self.qkv(self.norm_attention(x)).chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [N, h, T, d/h]
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(n, t, d)))
        result: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm_mlp(x)))))
        return result


class CodeHead(nn.Module):
    """Logits of the code at one level, given the state and the codes of the levels before it."""

    def __init__(self, level: int, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        self.prefix = nn.ModuleList(nn.Embedding(config.codebook_size, d) for _ in range(level))
        self.up = nn.Linear(d, 2 * d)
        self.down = nn.Linear(2 * d, d)
        self.norm = nn.LayerNorm(d)
        self.logits = nn.Linear(d, config.codebook_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, state: Tensor, prefix: Tensor | None) -> Tensor:
        """Map `state` [..., d] and `prefix` [..., l] (None at level 0) to logits [..., K]."""
        x = state
        for level, table in enumerate(self.prefix):
            assert prefix is not None
            x = x + table(prefix[..., level])
        x = self.down(self.dropout(F.gelu(self.up(x))))
        logits: Tensor = self.logits(self.norm(state + x))
        return logits


class GenerativeRecommender(nn.Module):
    """History of semantic IDs -> next semantic ID, level by level."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, k = config.width, config.codebook_size
        # Row K is the pad code. No padding_idx: it would keep the exporter from fusing quantised embeddings,
        # and the mask hides padded positions anyway.
        self.code_tables = nn.ModuleList(nn.Embedding(k + 1, d) for _ in range(config.levels))
        self.action_table = nn.Embedding(N_ACTIONS, d)
        self.gap_table = nn.Embedding(N_GAPS, d)
        self.position_table = nn.Embedding(config.history_length, d)
        self.blocks = nn.ModuleList(Block(d, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)
        self.code_heads = nn.ModuleList(CodeHead(level, config) for level in range(config.levels))
        self.positions: Tensor
        self.causal: Tensor
        self.diagonal: Tensor
        self.register_buffer("positions", torch.arange(config.history_length), persistent=False)
        causal = torch.ones(config.history_length, config.history_length, dtype=torch.bool).tril()
        self.register_buffer("causal", causal, persistent=False)
        self.register_buffer("diagonal", torch.eye(config.history_length, dtype=torch.bool), persistent=False)
        self.apply(_initialise)

    def states(self, codes: Tensor, actions: Tensor, gaps: Tensor) -> Tensor:
        """Encode histories.

        Args:
            codes: int64 [N, T, L], left-padded with the pad code K.
            actions: int64 [N, T], 0 where padded.
            gaps: int64 [N, T], bucketed time to the next event, 0 where padded.

        Returns:
            float32 [N, T, d]: the state after each position.
        """
        x = self.action_table(actions) + self.gap_table(gaps) + self.position_table(self.positions)
        for level, table in enumerate(self.code_tables):
            x = x + table(codes[..., level])
        x = self.dropout(x)
        mask = self._mask(codes)
        for block in self.blocks:
            x = block(x, mask)
        states: Tensor = self.norm(x)
        return states

    def _mask(self, codes: Tensor) -> Tensor:
        """Causal additive mask [N, 1, T, T]; a padded query sees itself, so that no softmax row is empty."""
        real = codes[..., 0] != self.config.codebook_size
        seen = (self.causal & real[:, None, :]) | self.diagonal
        return torch.where(seen, 0.0, -1e4)[:, None]

    def code_logits(self, level: int, state: Tensor, prefix: Tensor | None) -> Tensor:
        """Logits [..., K] of the code at `level`, from `state` [..., d] and `prefix` [..., level]."""
        logits: Tensor = self.code_heads[level](state, prefix)
        return logits


class EncodeMethod(nn.Module):
    """Exported method `encode`: one history -> (last state [1, d], logits of the first code [1, K])."""

    def __init__(self, model: GenerativeRecommender) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor, actions: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
        """Run on batch-1 inputs shaped as in `GenerativeRecommender.states`."""
        state = self.model.states(codes, actions, gaps)[:, -1]
        return state, self.model.code_logits(0, state, None)


class DecodeMethod(nn.Module):
    """Exported method `decode_l`: (states [B, d], prefixes [B, l]) -> logits of the code at level l [B, K]."""

    def __init__(self, model: GenerativeRecommender, level: int) -> None:
        super().__init__()
        self.head = model.code_heads[level]

    def forward(self, state: Tensor, prefix: Tensor) -> Tensor:
        """Run one decode step for every hypothesis of the beam."""
        logits: Tensor = self.head(state, prefix)
        return logits


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers the model learns."""
    return sum(p.numel() for p in model.parameters())


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
