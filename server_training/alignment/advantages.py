"""How much better than its group: rewards minus their mean, over their deviation."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-6


def group_advantages(rewards: Tensor, real: Tensor, dim: int, *, normalised: bool = True) -> Tensor:
    """Advantages of the shape of `rewards`, which sum to zero over the real members of every group.

    A group whose rewards are all alike has no advantages: it teaches nothing.

    Args:
        rewards: float, any shape.
        real: bool, the same shape; others get zero and count for nothing.
        dim: along which members of a group lie.
        normalised: divide by the group's standard deviation (GRPO; Shao et al., arXiv 2402.03300), or do not (Dr. GRPO;
            Liu et al., arXiv 2503.20783).
    """
    count = real.sum(dim, keepdim=True).clamp(min=1)
    centred = torch.where(real, rewards, 0.0)
    centred = torch.where(real, centred - centred.sum(dim, keepdim=True) / count, 0.0)
    deviation = (centred.square().sum(dim, keepdim=True) / count).sqrt()
    centred = torch.where(deviation > _LEAST, centred, 0.0)
    return centred / deviation.clamp(min=_LEAST) if normalised else centred
