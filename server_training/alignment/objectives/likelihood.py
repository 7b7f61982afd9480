"""The control that preference objectives are measured against: more of what the model was trained with.

As many steps on the same moments of the loss that its head minimises in training: next-item likelihood over the catalog
for retrieval, the likelihood of the next item's codes for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.objectives.objective import Rollout


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Nothing of its own: lists teach it nothing, and the step adds the head's training loss."""

    def __call__(self, now: Tensor, rollout: Rollout) -> Tensor:  # noqa: ARG002
        """See `AlignmentObjective`."""
        return now.new_zeros(len(now))

    def informative(self, rollout: Rollout) -> Tensor:
        """Every moment has something that came next."""
        return torch.ones(len(rollout.rows), dtype=torch.bool)
