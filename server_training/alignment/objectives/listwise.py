"""Listwise preference optimisation: a list's probabilities in proportion to what its items are worth.

LiPO with the softmax loss (Liu et al., "LiPO: Listwise Preference Optimization through Learning-to-Rank", NAACL 2025,
arXiv 2402.01878). With g(y) = beta * log(pi(y | x) / pi_ref(y | x)) and rewards r,

    loss = -sum_i softmax(r)_i log softmax(g)_i + sum_i softmax(r)_i log softmax(r)_i,

the KL between two distributions over the items of one list. It is least, zero, where g differs from r by a constant:
pi is pi_ref exp(r / beta) up to a factor, the policy with the most reward at a cost of beta per unit of KL to the
reference. Every list with differing rewards teaches, whether or not it holds what came next. With rewards of 1 and 0
times a large weight it becomes `SoftmaxDpo`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.objectives.dpo import gains
from server_training.alignment.objectives.objective import Rollout


@dataclass(frozen=True, slots=True)
class Listwise:
    """All items of each list at once, by reward.

    Attributes:
        beta: what a unit of KL to the reference costs, in units of reward.
    """

    beta: float

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        wanted = _shares(rollout.rewards, rollout.real)
        reached = _shares(gains(now, rollout, self.beta), rollout.real)
        # An item that is not there has the share 0 of both: 0 times a finite difference.
        gap = torch.where(rollout.real, wanted - reached, 0.0)
        return (wanted.exp() * gap).sum(dim=-1).mean(dim=-1)

    def informative(self, rollout: Rollout) -> Tensor:
        """Rewards must differ within a list."""
        high = rollout.rewards.masked_fill(~rollout.real, -torch.inf).amax(dim=-1)
        low = rollout.rewards.masked_fill(~rollout.real, torch.inf).amin(dim=-1)
        return (high > low).any(dim=-1)


def _shares(values: Tensor, real: Tensor) -> Tensor:
    """Log-softmax over the real items of each list [P, M, K]; very low for the others."""
    return torch.log_softmax(values.masked_fill(~real, -1e9), dim=-1)
