"""One step: draw lists, then move the policy on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from server_training.alignment.config import ObjectiveConfig
from server_training.alignment.objectives import AlignmentObjective, Rollout
from server_training.alignment.policy import Answers, Policy, estimated_divergence
from server_training.alignment.prompts import Asked


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the moments of a step.

    Attributes:
        total: what is minimised.
        kl: from the policy to the reference, estimated from the lists when it has no weight; zero without a reference.
        log_probs: [P, M, K, L], of the lists under the policy as it was before the step, without gradient.
    """

    total: Tensor
    kl: Tensor
    log_probs: Tensor


def losses(
    policy: Policy,
    reference: Policy,
    asked: Asked,
    rollout: Rollout,
    objective: AlignmentObjective,
    config: ObjectiveConfig,
    old: Tensor | None = None,
) -> Losses:
    """Objective, KL and likelihood of one drawing, with gradients for `policy` only.

    Args:
        policy: in the mode it learns in.
        reference: in evaluation mode.
        asked: the moments that were drawn.
        rollout: the lists at them.
        objective: the loss per moment.
        config: weights.
        old: `Losses.log_probs` of the first step on this drawing, None at that step. Ratios are to these, not to those
            of the drawing, so that dropout, which is off while drawing, is not taken for a change of the policy.
    """
    states, items = policy.states(asked.inputs)
    answers = policy.answers(states, items, asked.inputs)
    now = answers.log_probs(rollout.rows)
    old = now.detach() if old is None else old
    total = objective(now, replace(rollout, old=old)).mean()
    kl = now.new_zeros(())
    if config.kl:
        with torch.no_grad():
            held: Answers = reference(asked.inputs)
        kl = answers.divergence(held, rollout.rows).mean()
        total = total + config.kl * kl
    elif config.reference != "none":
        kl = estimated_divergence(now.detach(), rollout.reference, rollout.rows).mean()
    weight = 1.0 if config.name == "likelihood" else config.likelihood
    if weight:
        total = total + weight * policy.training_loss(states, items, asked.wanted[:, 0])
    return Losses(total, kl.detach(), old)
