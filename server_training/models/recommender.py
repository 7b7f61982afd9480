"""The generative recommender: one position per item in, items of the catalog out.

Decisions:
- An item enters as the sum of its code embeddings and a few numbers of its own, so the model has no item table and an
  item that nobody has touched yet is still a valid input and a valid output.
- Backbone and head are chosen by name; both see vectors only. They know nothing of catalogs, users or times of day.
- Padding stands on the left and changes no answer, so a history may come padded to any length up to T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from device_runtime import N_ACTIONS
from server_training.models.adapters import Adapters, Encoded
from server_training.models.asks import Asks
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
        self.asks = Asks(config) if config.asks else None
        self.adapters = Adapters(config) if config.adapters else None

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
        return self.remembering(codes, features, actions, gaps, ages)[0].states

    def states_of(self, batch: ModelBatch, vectors: Tensor) -> Tensor:
        """Encode histories given by catalog rows, with the item vectors [n, d] at hand; equals `states`."""
        return self.read(batch, vectors).states

    def read(self, batch: ModelBatch, vectors: Tensor) -> Encoded:
        """As `states_of`, with what the adapters read beside the states."""
        history = History(batch.rows >= 0, batch.gaps, batch.ages)
        return self._encoded(vectors[batch.rows.clamp(min=0)], batch.actions, history)[0]

    def remembering(
        self,
        codes: Tensor,
        features: Tensor,
        actions: Tensor,
        gaps: Tensor,
        ages: Tensor,
        *,
        only_last: bool = False,
    ) -> tuple[Encoded, list[Tensor]]:
        """As `read`, and what `resumed` needs of each position: tensors [N, T, d], none for some backbones.

        With `only_last` the states are those of the newest position alone, [N, 1, d], and the last layer computes no
        other.
        """
        real = codes[..., 0] != self.config.codebook_size
        return self._encoded(self.items(codes, features), actions, History(real, gaps, ages), only_last=only_last)

    def resumed(
        self,
        codes: Tensor,
        features: Tensor,
        actions: Tensor,
        gaps: Tensor,
        ages: Tensor,
        past: Tensor,
        *,
        only_last: bool = False,
    ) -> tuple[Encoded, list[Tensor]]:
        """The states of the newest `RESUMED` = R events, given what was remembered of those before them.

        Args:
            codes: int64 [1, R, L], of the newest events, none of them padding.
            features: float32 [1, R, F].
            actions: int64 [1, R].
            gaps: int64 [1, R].
            ages: int64 [1, P + R], of all events.
            past: [1, S, P, d], what `remembering` gave for the others, stacked.
            only_last: as in `remembering`.

        Returns:
            As `remembering`: states [1, R, d] and events of all positions, and what to remember of the newest R.
        """
        every = torch.ones_like(ages, dtype=torch.bool)
        history = History(every, gaps, ages, past)
        return self._encoded(self.items(codes, features), actions, history, only_last=only_last)

    def _encoded(
        self, vectors: Tensor, actions: Tensor, history: History, *, only_last: bool = False
    ) -> tuple[Encoded, list[Tensor]]:
        x = (vectors + self.action_table(actions)) * self.input_scale
        x = x * history.real[:, -x.shape[1] :, None].to(x.dtype)
        states, remembered = self.backbone(x, history, only_last=only_last)
        events = x
        if self.config.pools and remembered:  # behind the keys and values of the layers
            remembered = [*remembered, x]
            events = x if history.past is None else torch.cat([history.past[:, -1], x], dim=1)
        return Encoded(self.norm(states), events, history.real), remembered

    def asked(self, states: Tensor, asks: Tensor | None) -> Tensor:
        """The states [..., d] given what is asked for, int64 [..., A]; as they are for a model without asks."""
        if self.asks is None or asks is None:
            return states
        moved: Tensor = self.asks(states, asks)
        return moved


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers the model learns."""
    return sum(p.numel() for p in model.parameters())
