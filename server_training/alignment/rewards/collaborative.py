"""A reward from what people choose together: the item's neighbours among the history.

Heads that search code by code cannot add the neighbours' prior to their scores on the device, as exact heads do. As a
reward, the prior becomes part of the policy: the policy that gains most of the reward r at a KL to the reference that
costs beta is pi_ref(y | x) exp(r / beta) up to a factor (Rafailov et al. 2023, equation 4), so with beta = 1 and a
reward of weight w it is the reference with w times the prior added to its log-probabilities, which is what an exact
head with neighbours decodes. Rewards by a collaborative model beside the hit are from ReRe (arXiv 2510.12211).
"""

from __future__ import annotations

import torch
from torch import Tensor

from device_runtime import Neighbours
from server_training.alignment.rewards.reward import Shown


class Collaborative:
    """The neighbours' prior of each item, in natural log-odds.

    It was found from all training events, so at a moment of training it knows what this person chose next and later:
    what came next is right anyway, and what came later is kept out of lists by the sampler.

    Args:
        neighbours: of the catalog's rows, with weight 1.
    """

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`; 0 for an item that is nobody's neighbour in the history."""
        prior = torch.from_numpy(self._neighbours.prior(shown.history.numpy()))
        return prior.gather(1, shown.rows.clamp(min=0).flatten(1)).reshape(shown.rows.shape)
