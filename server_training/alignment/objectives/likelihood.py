"""Next-item likelihood on the same moments: the control that preference objectives are measured against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.objectives.objective import Rollout


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Minus the log-probability of what came next, which must be in the list."""

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:
        """See `AlignmentObjective`."""
        log_probs = torch.where(rollout.wanted & rollout.real, now.sum(dim=-1), 0.0)
        return -log_probs.flatten(1).sum(dim=1)

    def informative(self, rollout: Rollout) -> Tensor:
        """What came next must be in the list."""
        return (rollout.wanted & rollout.real).flatten(1).any(dim=1)
