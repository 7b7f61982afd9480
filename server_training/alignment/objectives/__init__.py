"""Objectives of alignment, by name.

===========  ==========================================================================================
dpo          what came next against each wrong item, relative to a reference (Rafailov et al. 2023)
ipa          the best against the worst of the policy's own list, iterated (OneRec)
softmax-dpo  what came next against all wrong items at once (S-DPO)
listwise     all items of a list in proportion to their rewards (LiPO)
grpo         item against item within a list, by reward (GRPO as in ReRe and MiniOneRec)
rank-grpo    rank against rank across lists, by reward (Rank-GRPO)
likelihood   next-item likelihood on the same moments: the control
===========  ==========================================================================================
"""

from server_training.alignment.config import ObjectiveConfig
from server_training.alignment.objectives.dpo import Dpo, SelfHardDpo, SoftmaxDpo
from server_training.alignment.objectives.grpo import Grpo
from server_training.alignment.objectives.likelihood import Likelihood
from server_training.alignment.objectives.listwise import Listwise
from server_training.alignment.objectives.objective import AlignmentObjective, Rollout
from server_training.alignment.objectives.rank_grpo import RankGrpo


def make_alignment_objective(config: ObjectiveConfig) -> AlignmentObjective:
    """Return the objective that `config` names."""
    made: dict[str, AlignmentObjective] = {
        "dpo": Dpo(config.beta),
        "ipa": SelfHardDpo(config.beta),
        "softmax-dpo": SoftmaxDpo(config.beta),
        "listwise": Listwise(config.beta),
        "grpo": Grpo(config.clip_low, config.clip_high, config.normalised),
        "rank-grpo": RankGrpo(config.clip_low, config.clip_high, config.normalised),
        "likelihood": Likelihood(),
    }
    return made[config.name]


__all__ = [
    "AlignmentObjective",
    "Dpo",
    "Grpo",
    "Likelihood",
    "Listwise",
    "RankGrpo",
    "Rollout",
    "SelfHardDpo",
    "SoftmaxDpo",
    "make_alignment_objective",
]
