"""One optimiser step: what it computes, and the state that must survive an interruption.

Every process computes its share of a global batch; the loss is divided by the global batch's targets, which every
process knows beforehand. So one process or eight take the same step, up to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from server_training.models.adapters import Encoded
from server_training.models.backbones.feed_forward import balance_loss
from server_training.models.code_index import CodeIndex
from server_training.models.heads import RetrievalHead
from server_training.models.heads.head import Items, Targets
from server_training.models.items import FeatureTable
from server_training.models.objectives import Objective
from server_training.models.recommender import GenerativeRecommender, ModelBatch
from server_training.training.config import TrainConfig

_WARM_UP = 0.03
_LAST_RATE = 0.02
_CONTRAST_TEMPERATURE = 0.1


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What is known of the targets of a batch beside their items.

    Attributes:
        actions: int64 [N, T, S], what people did with them, 0 where there is none; for a model with adapters.
        asks: int64 [N, T, A], what the first of them answered, see `returns`; for a model with asks.
    """

    actions: Tensor | None = None
    asks: Tensor | None = None


class TrainingStep(nn.Module):
    """Model, item features and catalog: everything that learns, and the loss of one batch.

    Args:
        model, features, index: what learns, and the catalog's codes.
        objective: of retrieval heads.
        config: the weights of the parts of the loss.
        members: float [n, C], see `Items`.
    """

    def __init__(
        self,
        model: GenerativeRecommender,
        features: FeatureTable,
        index: CodeIndex,
        objective: Objective,
        config: TrainConfig,
        members: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.index = index
        self.objective = objective
        self.config = config
        self.members: Tensor | None
        self.register_buffer("members", members, persistent=False)

    def items(self) -> Items:
        """The catalog as the model sees it now."""
        vectors = self.model.items(self.index.codes, self.features(self.config.own_dropout))
        return Items(self.index, vectors, self.members)

    def forward(self, batch: ModelBatch, wanted: Tensor, weights: Tensor, hindsight: Hindsight) -> Tensor:
        """Return the weighted sum of losses.

        Args:
            batch: histories.
            wanted: int64 [N, T, S], see `Targets`.
            weights: float [S].
            hindsight: of the targets.
        """
        items = self.items()
        encoded = self.model.read(batch, items.vectors)
        targets = Targets(encoded.states, batch.rows >= 0, wanted, weights)
        loss: Tensor = self.model.head.loss(targets, items, self.objective)
        loss = loss + self._further(encoded, targets, items, hindsight)
        count = (wanted[..., 0] >= 0).sum()
        extra = balance_loss(self.model)
        if extra is not None:
            loss = loss + self.config.balance * extra * count
        if self.config.contrast:
            again = self.model.states_of(batch, items.vectors)
            loss = loss + self.config.contrast * contrast_of(encoded.states[:, -1], again[:, -1]) * count
        return loss

    def _further(self, encoded: Encoded, targets: Targets, items: Items, hindsight: Hindsight) -> Tensor:
        """What asks and adapters add to the loss."""
        model, config = self.model, self.config
        loss = targets.states.new_zeros(())
        if model.asks is not None:
            assert hindsight.asks is not None
            # Requests ask for one thing or two: each ask is hidden half of the time.
            shown = hindsight.asks * (torch.rand(hindsight.asks.shape, device=loss.device) < 0.5)
            asked = replace(targets, states=model.asks(targets.states, shown))
            loss = loss + config.ask_weight * model.head.loss(asked, items, self.objective)
        if model.adapters is not None:
            assert hindsight.actions is not None
            assert isinstance(model.head, RetrievalHead)
            found = model.adapters.loss(model.head, encoded, targets, hindsight.actions, items, self.objective)
            loss = loss + config.adapter_weight * found
        return loss


def contrast_of(one: Tensor, other: Tensor) -> Tensor:
    """InfoNCE both ways between two views [N, d] of the same N histories, the others being negatives."""
    a, b = (F.normalize(view.float(), dim=-1) for view in (one, other))
    logits = a @ b.T / _CONTRAST_TEMPERATURE
    same = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2


class Optimizer:
    """AdamW with warm-up and cosine decay, gradients clipped to norm 1."""

    def __init__(self, step: nn.Module, config: TrainConfig, total_steps: int) -> None:
        self._peak = config.learning_rate
        self._total = total_steps
        self._parameters = list(step.parameters())
        decayed = [p for p in self._parameters if p.ndim > 1]
        others = [p for p in self._parameters if p.ndim <= 1]
        self.adam = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        )
        self.done = 0

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        warm = min(1.0, (self.done + 1) / (_WARM_UP * self._total + 1))
        left = 0.5 * (1 + math.cos(math.pi * min(1.0, self.done / self._total)))
        return self._peak * warm * (_LAST_RATE + (1 - _LAST_RATE) * left)

    def step(self) -> None:
        """Apply the gradients and clear them."""
        for group in self.adam.param_groups:
            group["lr"] = self.rate
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.done += 1

    def resume(self, adam: dict[str, Any], done: int) -> None:
        """Go on from AdamW's state after `done` steps."""
        self.adam.load_state_dict(adam)
        self.done = done
