"""One step: draw lists, then move the policy on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from server_training.alignment.config import ObjectiveConfig
from server_training.alignment.objectives import AlignmentObjective, Rollout
from server_training.alignment.policy import Answers, Policy
from server_training.alignment.prompts import Asked


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the moments of a step.

    Attributes:
        total: what is minimised.
        kl: from the policy to the reference; zero when it has no weight.
    """

    total: Tensor
    kl: Tensor


def losses(
    policy: Policy,
    reference: Policy,
    asked: Asked,
    rollout: Rollout,
    objective: AlignmentObjective,
    config: ObjectiveConfig,
) -> Losses:
    """Objective, KL and likelihood of one drawing, with gradients for `policy` only.

    Args:
        policy: in the mode it learns in.
        reference: in evaluation mode.
        asked: the moments that were drawn.
        rollout: the lists at them.
        objective: the loss per moment.
        config: weights.
    """
    answers: Answers = policy(asked.inputs)
    now = answers.log_probs(rollout.rows)
    total = objective(now, rollout).mean()
    kl = now.new_zeros(())
    if config.kl:
        with torch.no_grad():
            held: Answers = reference(asked.inputs)
        kl = answers.divergence(held, rollout.rows).mean()
        total = total + config.kl * kl
    if config.likelihood:
        found = torch.where(rollout.wanted, now.sum(dim=-1), 0.0).flatten(1).sum(dim=1)
        total = total - config.likelihood * found.mean()
    return Losses(total, kl.detach())
