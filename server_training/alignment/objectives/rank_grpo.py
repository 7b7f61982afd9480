"""Rank-GRPO: the rank, not the list and not the token, is the unit that is rewarded, compared and clipped.

Zhu et al., "Rank-GRPO: Training LLM-based Conversational Recommender Systems with Reinforcement Learning",
arXiv 2510.20150. M lists of K items are drawn for a moment. Rank k of list m is credited with what it could still
change, the discounted relevance from there on,

    R_mk = sum_{j >= k} rel_mj / log2(j + 1),

and compared with the same rank of the other lists, A_mk = (R_mk - mean_m R_mk) / std_m R_mk. The importance ratio is
that of the geometric means of the item's codes,

    w_mk = (prod_l pi(code l) / pi_old(code l)) ** (1 / L),
    loss = -mean_m mean_k min(w_mk A_mk, clip(w_mk, 1 - low, 1 + high) A_mk).

Probabilities are those of an item given the items before it in its list (`in_order`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.advantages import group_advantages
from server_training.alignment.objectives.objective import Rollout, clipped, in_order, masked_mean


@dataclass(frozen=True, slots=True)
class RankGrpo:
    """Rank against rank across lists.

    Attributes:
        low, high: see `Grpo`.
        normalised: see `group_advantages`.
    """

    low: float
    high: float
    normalised: bool = True

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        advantages = self.advantages(rollout, normalised=self.normalised)
        moved = in_order(now, rollout.real) - in_order(rollout.old, rollout.real)
        return -masked_mean(clipped(moved.mean(dim=-1).exp(), advantages, self.low, self.high), rollout.real)

    def informative(self, rollout: Rollout) -> Tensor:
        """Lists must differ in what some rank could still change."""
        return (self.advantages(rollout, normalised=False) != 0).flatten(1).any(dim=1)

    @staticmethod
    def advantages(rollout: Rollout, *, normalised: bool) -> Tensor:
        """A [P, M, K]; they sum to zero over the lists at every rank."""
        return group_advantages(returns(rollout.rewards), rollout.real, 1, normalised=normalised)


def returns(relevance: Tensor) -> Tensor:
    """R [..., K]: discounted relevance of each rank and those after it."""
    ranks = torch.arange(relevance.shape[-1], device=relevance.device, dtype=relevance.dtype)
    discounted = relevance / torch.log2(ranks + 2)
    return discounted.flip(-1).cumsum(-1).flip(-1)
