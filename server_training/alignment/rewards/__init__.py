"""Rewards: what the items of a list are worth, checked against what came next, learned, or asked of the list itself."""

from server_training.alignment.rewards.calibration import Calibration, Categories, miscalibration
from server_training.alignment.rewards.collaborative import Collaborative
from server_training.alignment.rewards.hit import Hit, RankPenalty
from server_training.alignment.rewards.learned import Feedback, LearnedReward, RewardModel
from server_training.alignment.rewards.reward import Reward, Shown, WeightedRewards
from server_training.alignment.rewards.variety import Diversity, Novelty

__all__ = [
    "Calibration",
    "Categories",
    "Collaborative",
    "Diversity",
    "Feedback",
    "Hit",
    "LearnedReward",
    "Novelty",
    "RankPenalty",
    "Reward",
    "RewardModel",
    "Shown",
    "WeightedRewards",
    "miscalibration",
]
