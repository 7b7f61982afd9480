"""One optimiser step: what it computes, and the state that must survive an interruption.

Every process computes its share of a global batch; the loss is divided by the global batch's targets, which every
process knows beforehand. So one process or eight take the same step, up to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from server_training.models.backbones.feed_forward import balance_loss
from server_training.models.code_index import CodeIndex
from server_training.models.heads.head import Items, Targets
from server_training.models.items import FeatureTable
from server_training.models.objectives import Objective
from server_training.models.recommender import GenerativeRecommender, ModelBatch
from server_training.training.config import TrainConfig

_WARM_UP = 0.03
_LAST_RATE = 0.02
_CONTRAST_TEMPERATURE = 0.1


class TrainingStep(nn.Module):
    """Model, item features and catalog: everything that learns, and the loss of one batch."""

    def __init__(
        self,
        model: GenerativeRecommender,
        features: FeatureTable,
        index: CodeIndex,
        objective: Objective,
        own_dropout: float = 0.0,
        contrast: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.features = features
        self.index = index
        self.objective = objective
        self.own_dropout = own_dropout
        self.contrast = contrast

    def items(self) -> Items:
        """The catalog as the model sees it now."""
        return Items(self.index, self.model.items(self.index.codes, self.features(self.own_dropout)))

    def forward(self, batch: ModelBatch, wanted: Tensor, weights: Tensor, balance: float) -> Tensor:
        """Return the weighted sum of losses.

        Args:
            batch: histories.
            wanted: int64 [N, T, S], see `Targets`.
            weights: float [S].
            balance: weight of the experts' balance loss, per target.
        """
        items = self.items()
        states = self.model.states_of(batch, items.vectors)
        loss: Tensor = self.model.head.loss(Targets(states, batch.rows >= 0, wanted, weights), items, self.objective)
        targets = (wanted[..., 0] >= 0).sum()
        extra = balance_loss(self.model)
        if extra is not None:
            loss = loss + balance * extra * targets
        if self.contrast:
            again = self.model.states_of(batch, items.vectors)
            loss = loss + self.contrast * contrast_of(states[:, -1], again[:, -1]) * targets
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
