"""The generative recommender: one position per item in, items of the catalog out.

Decisions:
- An item enters as the sum of its code embeddings and a few numbers of its own, so the model has no item table and an
  item that nobody has touched yet is still a valid input and a valid output.
- Backbone and head are chosen by name; both see vectors only. They know nothing of catalogs, users or times of day.
- Shapes are static (left padding), because that is what mobile delegates want. In training, columns that are padding
  in the whole batch are cut off: the answers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from device_runtime import N_ACTIONS
from server_training.models.backbones import History, make_backbone
from server_training.models.config import ModelConfig
from server_training.models.heads import make_head
from server_training.models.items import CODE_SCALE, ItemEncoder


@dataclass(frozen=True, slots=True)
class ModelBatch:
    """Left-padded histories as catalog rows.

    Attributes:
        rows: int64 [N, T], -1 where padded.
        actions: int64 [N, T], 0 where padded.
        gaps: int64 [N, T], bucketed time to the next event, 0 where padded.
        ages: int64 [N, T], seconds before the moment of the request, 0 where padded.
    """

    rows: Tensor
    actions: Tensor
    gaps: Tensor
    ages: Tensor

    def to(self, device: torch.device) -> ModelBatch:
        """Return the batch on a device."""
        return ModelBatch(*(part.to(device) for part in (self.rows, self.actions, self.gaps, self.ages)))


class GenerativeRecommender(nn.Module):
    """History -> states -> items."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.items = ItemEncoder(config)
        self.action_table = nn.Embedding(N_ACTIONS, config.width)
        nn.init.normal_(self.action_table.weight, std=CODE_SCALE)
        self.backbone = make_backbone(config)
        self.norm = nn.LayerNorm(config.width)
        self.head = make_head(config)
        # Item vectors start small, so that the softmax over them starts flat; histories want them larger.
        self.input_scale = config.width**0.5

    def states(self, codes: Tensor, features: Tensor, actions: Tensor, gaps: Tensor, ages: Tensor) -> Tensor:
        """Encode histories given by codes, as on the device.

        Args:
            codes: int64 [N, T, L], left-padded with the pad code K.
            features: float32 [N, T, R], 0 where padded.
            actions: int64 [N, T], 0 where padded.
            gaps: int64 [N, T], 0 where padded.
            ages: int64 [N, T], 0 where padded.

        Returns:
            float32 [N, T, d]: the state after each position.
        """
        real = codes[..., 0] != self.config.codebook_size
        return self._states(self.items(codes, features), real, actions, gaps, ages)

    def states_of(self, batch: ModelBatch, vectors: Tensor) -> Tensor:
        """Encode histories given by catalog rows, with the item vectors [n, d] at hand; equals `states`."""
        return self._states(vectors[batch.rows.clamp(min=0)], batch.rows >= 0, batch.actions, batch.gaps, batch.ages)

    def _states(self, vectors: Tensor, real: Tensor, actions: Tensor, gaps: Tensor, ages: Tensor) -> Tensor:
        x = (vectors + self.action_table(actions)) * self.input_scale
        x = x * real[..., None].to(x.dtype)
        states: Tensor = self.norm(self.backbone(x, History(real, gaps, ages)))
        return states


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers the model learns."""
    return sum(p.numel() for p in model.parameters())
