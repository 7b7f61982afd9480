"""What every objective is given, and the arithmetic that several share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_LEAST_LEFT = 1e-3


@dataclass(frozen=True, slots=True)
class Rollout:
    """Lists that a policy showed at P moments, and what they were worth.

    Attributes:
        rows: int64 [P, M, K], catalog rows of M lists of K items, -1 where a list is shorter.
        rewards: float32 [P, M, K], per item.
        wanted: bool [P, M, K], whether the item is what came next.
        old: float [P, M, K, L], log-probability per code before the policy learnt from them.
        reference: the same, of the reference policy.
    """

    rows: Tensor
    rewards: Tensor
    wanted: Tensor
    old: Tensor
    reference: Tensor

    @property
    def real(self) -> Tensor:
        """Bool [P, M, K]."""
        return self.rows >= 0

    def taken(self, which: Tensor) -> Rollout:
        """The moments that the bool [P] or int64 [p] `which` names."""
        parts = (self.rows, self.rewards, self.wanted, self.old, self.reference)
        return Rollout(*(part[which] for part in parts))


class AlignmentObjective(Protocol):
    """A loss per moment."""

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """Return the loss of each moment, float [P].

        Args:
            now: float [P, M, K, L], log-probability per code of the rollout's items under the policy that learns.
            rollout: what was shown.
        """
        ...

    def informative(self, rollout: Rollout) -> Tensor:
        """Bool [P]: moments whose loss has a gradient; dynamic sampling draws others in place of the rest."""
        ...


def clipped(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """PPO's pessimistic surrogate: min(ratio * A, clip(ratio, 1 - low, 1 + high) * A) (Schulman et al., 2017)."""
    return torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def masked_mean(values: Tensor, real: Tensor) -> Tensor:
    """Mean [P] over the real members of [P, M, K]."""
    return (values * real).flatten(1).sum(dim=1) / real.flatten(1).sum(dim=1).clamp(min=1)


def in_order(log_probs: Tensor, real: Tensor) -> Tensor:
    """Log-probability per code of each item given that those before it in its list are taken: Plackett-Luce.

    What the items before it take from the normaliser, log(1 - sum of their probabilities), goes to the last code.

    Args:
        log_probs: float [P, M, K, L], of items one at a time.
        real: bool [P, M, K].
    """
    shares = log_probs.sum(dim=-1).exp() * real
    before = shares.cumsum(dim=-1) - shares
    left = (1 - before).clamp(min=_LEAST_LEFT).log()
    return torch.cat([log_probs[..., :-1], log_probs[..., -1:] - left[..., None]], dim=-1)
