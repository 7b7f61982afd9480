"""Adapter heads: light heads beside the main one, each tied to something people know about recommendation.

After "human priors" with multi-head decoding (Meta): one backbone, an adapter per value of a prior, the loss of a
target only through the adapters that are compatible with it, and composition when decoding.

================  ==================================================================================================
long, short       a query from the mean of the history's events, all alike or the newest first (half-life: one event)
view, like, ...   a query from the state; learns from targets with that action only
taxonomy          a logit per category from the state; an item scores the sum over its categories
================  ==================================================================================================

A score is base + sum_h w_h * head_h with weights per request. Queries meet the same item keys as the main head's, so
their weighted sum is one query and costs no second pass over the catalog. Left out of the paper: negatives from within
a prior's group, balancing heads by their frequency (Adam's steps do not depend on a loss's scale), discounting old
targets, and heads for pairs of priors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from device_runtime import INTERESTS, TAXONOMY, Action, Catalog
from server_training.models.backbones.history import last
from server_training.models.config import ModelConfig
from server_training.models.heads.head import Items, Targets
from server_training.models.heads.retrieval import RetrievalHead
from server_training.models.objectives import Objective

SHORT_HALF_LIFE = 1.0  # events


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a model made of a batch of histories: states, and what the interests are read from.

    Attributes:
        states: [N, Q, d], after each of the newest Q positions.
        events: [N, T, d], what entered the backbone; zero where padded.
        real: bool [N, T], false where padded.
    """

    states: Tensor
    events: Tensor
    real: Tensor

    def newest(self) -> Encoded:
        """The same with the newest state only."""
        return Encoded(self.states[:, -1:], self.events, self.real)


class Adapter(nn.Module):
    """A vector and what a small network adds to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)
        nn.init.zeros_(self.down.weight)  # starts as what it is given
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., d] to [..., d]."""
        changed: Tensor = x + self.down(F.gelu(self.up(self.norm(x))))
        return changed


class Adapters(nn.Module):
    """All adapter heads of a model.

    Attributes:
        names: of the heads.
        weights: float32 [heads], how much each counts where a request says nothing; chosen after training.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.names = config.adapters
        self.queried = config.query_adapters
        self.maps = nn.ModuleList(Adapter(config.width) for _ in self.queried)
        self.taxonomy = nn.Linear(config.width, config.categories) if TAXONOMY in self.names else None
        self.weights: Tensor
        self.register_buffer("weights", torch.zeros(len(self.names)))

    def inputs(self, encoded: Encoded) -> list[Tensor]:
        """What each query adapter is given: [N, Q, d] per adapter."""
        count = encoded.states.shape[1]
        pooled = {
            "long": lambda: pooled_events(encoded, count, 0.0),
            "short": lambda: pooled_events(encoded, count, math.log(2) / SHORT_HALF_LIFE),
        }
        return [pooled[name]() if name in INTERESTS else encoded.states for name in self.queried]

    def queries(self, head: RetrievalHead, encoded: Encoded) -> Tensor | None:
        """Queries [N, Q, H, d] of all query adapters; None without any."""
        if not self.queried:
            return None
        found = [adapter(x) for adapter, x in zip(self.maps, self.inputs(encoded), strict=True)]
        return head.query(torch.stack(found, dim=2))

    def logits(self, states: Tensor) -> Tensor | None:
        """Logits [..., C] of the categories; None without that head."""
        if self.taxonomy is None:
            return None
        logits: Tensor = self.taxonomy(states)
        return logits

    def loss(
        self,
        head: RetrievalHead,
        encoded: Encoded,
        targets: Targets,
        actions: Tensor,
        items: Items,
        objective: Objective,
    ) -> Tensor:
        """The sum over heads of the weighted sum of losses over the targets compatible with each.

        Args:
            head: the main one, whose item keys the queries meet.
            encoded: of the batch, Q = T.
            targets: of the batch.
            actions: int64 [N, T, S], what people did with the targets.
            items: the catalog, with `members` where there is a taxonomy.
            objective: of the main head.
        """
        total = encoded.states.new_zeros(())
        queries, keys = self.queries(head, encoded), head.keys(items.vectors)
        for number, name in enumerate(self.queried):
            assert queries is not None
            wanted = targets.wanted
            if name not in INTERESTS:
                wanted = torch.where(actions == int(Action[name.upper()]), wanted, -1)
            flat, rows, weights = replace(targets, states=queries[:, :, number], wanted=wanted).flat()
            total = total + objective(flat, keys, rows, weights)
        logits = self.logits(encoded.states)
        if logits is not None:
            assert items.members is not None
            flat, rows, weights = replace(targets, states=logits).flat()
            total = total + objective(flat, items.members, rows, weights)
        return total

    def scores(self, head: RetrievalHead, encoded: Encoded, items: Items) -> Tensor:
        """What each head says of every item after the newest event: [N, heads, n], in the order of `names`."""
        newest = encoded.newest()
        queries, logits = self.queries(head, newest), self.logits(newest.states[:, 0])
        found: list[Tensor] = []
        for name in self.names:
            if name == TAXONOMY:
                assert logits is not None
                assert items.members is not None
                found.append(logits @ items.members.T)
            else:
                assert queries is not None
                found.append(queries[:, 0, self.queried.index(name)] @ head.keys(items.vectors).T)
        return torch.stack(found, dim=1)


def pooled_events(encoded: Encoded, count: int, decay: float) -> Tensor:
    """The mean of the events up to each of the newest `count` positions, zero where there is none.

    Args:
        encoded: of the batch.
        count: Q.
        decay: an event a positions before another counts exp(-decay * a).

    Returns:
        [N, Q, d].
    """
    events = encoded.events
    places = torch.arange(events.shape[1], device=events.device).to(events.dtype)
    before = last(places, count, dim=0)[:, None] - places[None, :]
    # In arithmetic, not in truth values, see `History.hidden`.
    counted = (before + 1).clamp(0.0, 1.0) * torch.exp(before.clamp(min=0.0) * -decay)
    mass = counted[None] * encoded.real.to(events.dtype)[:, None]
    mean: Tensor = (mass @ events) / mass.sum(dim=-1, keepdim=True).clamp(min=1.0)
    return mean


def category_members(catalog: Catalog) -> Tensor | None:
    """Float32 [n, C]: 1 where an item is of a category; None for a catalog without categories."""
    if catalog.categories is None:
        return None
    members = torch.zeros(len(catalog), len(catalog.categories.names))
    owners = np.repeat(np.arange(len(catalog)), catalog.categories.counts)
    members[torch.from_numpy(owners), torch.from_numpy(catalog.categories.members.astype(np.int64))] = 1.0
    return members
