"""Direct preference optimisation: with one pair, with all pairs, iterated on the policy's own lists, with a softmax.

DPO (Rafailov et al., NeurIPS 2023, arXiv 2305.18290). With g(y) = beta * log(pi(y | x) / pi_ref(y | x)),

    loss = -log sigmoid(g(chosen) - g(rejected)).

`Dpo` averages it over all wrong items of the list against what came next. Iterated on the policy's own lists, with the
best and the worst item by reward as the pair and the previous policy as reference, it is OneRec's iterative preference
alignment (Deng et al., arXiv 2502.18965), `SelfHardDpo`: "self-hard", since the rejected item is one that the policy
itself put into its list. Of items of equal reward the first of the list, at temperature 0 the hardest, is rejected.

`SoftmaxDpo` (S-DPO; Chen et al., NeurIPS 2024, arXiv 2406.09215) sets what came next against all wrong items at once,

    loss = -log sigmoid(-log sum_l exp(g(rejected_l) - g(chosen))) = log(1 + sum_l exp(g(rejected_l) - g(chosen))).

A reference of uniform probabilities (setting `reference = "none"`) makes g the policy's own log-probability, as in
SimPO (Meng et al., NeurIPS 2024, arXiv 2405.14734).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server_training.alignment.objectives.objective import Rollout, masked_mean


@dataclass(frozen=True, slots=True)
class Dpo:
    """What came next against each wrong item of the list, one pair at a time.

    Attributes:
        beta: how fast a growing gap satisfies the loss.
    """

    beta: float

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        gaps = gains(now, rollout, self.beta)
        losses = -F.logsigmoid(_chosen(gaps, rollout) - gaps)
        return masked_mean(losses, _wrong(rollout)) * _right(rollout).flatten(1).any(dim=1)

    def informative(self, rollout: Rollout) -> Tensor:
        """What came next must be in the list, and something else."""
        return _has_both(rollout)


@dataclass(frozen=True, slots=True)
class SelfHardDpo:
    """The best item of the policy's own list by reward against the worst.

    Attributes:
        beta: see `Dpo`.
    """

    beta: float

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        gaps = gains(now, rollout, self.beta).flatten(1)
        best, worst = _ends(rollout)
        losses = -F.logsigmoid(gaps.gather(1, best[:, None]) - gaps.gather(1, worst[:, None]))[:, 0]
        return losses * self.informative(rollout)

    def informative(self, rollout: Rollout) -> Tensor:
        """The best must be better than the worst."""
        rewards = rollout.rewards.flatten(1)
        best, worst = _ends(rollout)
        return (rewards.gather(1, best[:, None]) > rewards.gather(1, worst[:, None]))[:, 0]


@dataclass(frozen=True, slots=True)
class SoftmaxDpo:
    """What came next against all wrong items of the list at once.

    Attributes:
        beta: see `Dpo`.
    """

    beta: float

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        gaps = gains(now, rollout, self.beta)
        others = torch.where(_wrong(rollout), gaps - _chosen(gaps, rollout), -torch.inf).flatten(1)
        losses = torch.logsumexp(F.pad(others, (1, 0)), dim=1)  # the zero before them is the 1 inside the logarithm
        return losses * _has_both(rollout)

    def informative(self, rollout: Rollout) -> Tensor:
        """What came next must be in the list, and something else."""
        return _has_both(rollout)


def gains(now: Tensor, rollout: Rollout, beta: float) -> Tensor:
    """Return g [P, M, K]: beta times the summed log-ratio of policy and reference."""
    return beta * (now - rollout.reference).sum(dim=-1)


def _chosen(gaps: Tensor, rollout: Rollout) -> Tensor:
    """Return [P, 1, 1]: the gain of what came next, 0 where it is not in the list."""
    return torch.where(_right(rollout), gaps, 0.0).flatten(1).sum(dim=1)[:, None, None]


def _right(rollout: Rollout) -> Tensor:
    return rollout.wanted & rollout.real


def _wrong(rollout: Rollout) -> Tensor:
    return rollout.real & ~rollout.wanted


def _has_both(rollout: Rollout) -> Tensor:
    return _right(rollout).flatten(1).any(dim=1) & _wrong(rollout).flatten(1).any(dim=1)


def _ends(rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Places [P] of the best and the worst item; of equal ones the first of the list."""
    real, rewards = rollout.real.flatten(1), rollout.rewards.flatten(1)
    best = rewards.masked_fill(~real, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    worst = rewards.masked_fill(~real, torch.inf).sort(dim=1, stable=True).indices
    return best[:, 0], worst[:, 0]
