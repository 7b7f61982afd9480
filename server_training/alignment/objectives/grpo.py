"""Group-relative policy optimisation over the items of one list, with verifiable rewards.

GRPO (Shao et al., arXiv 2402.03300) as ReRe and MiniOneRec use it for recommendation: the group is the list that
constrained beam search or sampling without replacement gives, every item valid and no two alike; the rewards are
whether an item came next and a penalty for wrong items by how high they stood (ReRe's ranking reward). With rewards
r_1 .. r_K of a list,

    A_k = (r_k - mean r) / std r,        rho_kl = pi(code l of item k) / pi_old(code l of item k),
    loss = -mean_k mean_l min(rho_kl A_k, clip(rho_kl, 1 - low, 1 + high) A_k).

The KL to the reference is added by the training step, exact where the head allows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from server_training.alignment.advantages import group_advantages
from server_training.alignment.objectives.objective import Rollout, clipped, masked_mean


@dataclass(frozen=True, slots=True)
class Grpo:
    """Item against item within one list.

    Attributes:
        low, high: how far below and above 1 a ratio may move the loss (DAPO's "clip higher"; arXiv 2503.14476).
        normalised: see `group_advantages`.
    """

    low: float
    high: float
    normalised: bool = True

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        advantages = group_advantages(rollout.rewards, rollout.real, 2, normalised=self.normalised)
        ratio = (now - rollout.old).exp()
        gains = clipped(ratio, advantages[..., None], self.low, self.high).mean(dim=-1)
        return -masked_mean(gains, rollout.real)

    def informative(self, rollout: Rollout) -> Tensor:
        """Rewards must differ."""
        advantages = group_advantages(rollout.rewards, rollout.real, 2, normalised=False)
        return (advantages != 0).flatten(1).any(dim=1)
