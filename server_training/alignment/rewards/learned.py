"""A reward model: how likely somebody is to like an item, learned from what they said of others.

A small network over the state after a history and an item's vector, both of the model that alignment starts from and
fixed. Its examples are training events that say something: a like, save or purchase is 1; a dislike or skip is 0; a
view is the share watched, where views have unequal weights. Validation events measure it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from device_runtime import Action
from server_training.alignment.rewards.reward import Shown
from server_training.data.split import Split
from server_training.errors import ConfigInvalid

_LIKED = (Action.LIKE, Action.SAVE, Action.BUY)
_DISLIKED = (Action.DISLIKE, Action.SKIP)
_EPOCHS = 4
_BATCH = 256


class RewardModel(nn.Module):
    """State and item vector to the logit of a like: a bilinear look and a small network.

    Args:
        width: d of states and vectors.
        hidden: of the network.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.look = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(3 * width, hidden)
        self.down = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(0.2)

    def forward(self, states: Tensor, vectors: Tensor) -> Tensor:
        """Logits [...] of `states` [..., d] and `vectors` [..., d], which must have one shape."""
        vectors = F.normalize(vectors, dim=-1) * vectors.shape[-1] ** 0.5
        seen = torch.cat([states, vectors, self.look(states) * vectors], dim=-1)
        logits: Tensor = self.down(self.dropout(F.gelu(self.up(seen))))[..., 0]
        return logits


@dataclass(frozen=True, slots=True)
class Feedback:
    """Events that say whether somebody liked an item.

    Attributes:
        states: float32 [E, d], after the history before each.
        rows: int64 [E], catalog rows.
        liked: float32 [E], 0 to 1.
    """

    states: Tensor
    rows: Tensor
    liked: Tensor


class LearnedReward:
    """The probability of a like, by a trained model.

    Args:
        model: in evaluation mode.
        vectors: float32 [n, d], of catalog rows, as the model saw them.
    """

    def __init__(self, model: RewardModel, vectors: Tensor) -> None:
        self._model, self._vectors = model, vectors

    @torch.no_grad()
    def __call__(self, shown: Shown) -> Tensor:
        """See `Reward`."""
        vectors = self._vectors[shown.rows.clamp(min=0)]
        states = shown.states[:, None, None].expand(vectors.shape)
        return torch.sigmoid(self._model(states, vectors))


def labels(split: Split, events: NDArray[np.int64]) -> NDArray[np.float32]:
    """What each event says: float32, 0 to 1, NaN for one that says nothing."""
    data = split.data
    actions, weights = data.actions[events], data.weights[events]
    said = np.full(len(events), np.nan, np.float32)
    said[np.isin(actions, [int(a) for a in _LIKED])] = 1.0
    said[np.isin(actions, [int(a) for a in _DISLIKED])] = 0.0
    views = actions == int(Action.VIEW)
    every = data.weights[split.train_events()][data.actions[split.train_events()] == int(Action.VIEW)]
    if len(every) and every.min() < every.max():
        said[views] = np.clip(weights[views] / every.max(), 0.0, 1.0)
    return said


def train_reward_model(feedback: Feedback, vectors: Tensor, seed: int) -> RewardModel:
    """Fit by cross-entropy.

    Raises:
        ConfigInvalid: the events do not say both.
    """
    if not len(feedback.liked) or float(feedback.liked.min()) > 0.5 or float(feedback.liked.max()) < 0.5:
        raise ConfigInvalid(
            "a learned reward needs training events that people liked and ones that they did not (like, save, buy; "
            "dislike, skip; views of unequal weight); this data has not both: set its weight to 0"
        )
    torch.manual_seed(seed)
    model = RewardModel(vectors.shape[1])
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    for batch in _batches(len(feedback.liked), generator):
        logits = model(feedback.states[batch], vectors[feedback.rows[batch]])
        loss = F.binary_cross_entropy_with_logits(logits, feedback.liked[batch])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return model.eval()


def _batches(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(_EPOCHS):
        order = torch.randperm(n, generator=generator)
        yield from (order[start : start + _BATCH] for start in range(0, n, _BATCH))


def auc(scores: NDArray[np.floating], liked: NDArray[np.bool_]) -> float:
    """Share of pairs of a liked and a disliked event that the scores order rightly, ties counting half; NaN without."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    positive, negative = int(liked.sum()), int((~liked).sum())
    if not positive or not negative:
        return float("nan")
    return float((middle[place][liked].sum() - positive * (positive + 1) / 2) / (positive * negative))


def validation_auc(model: RewardModel, feedback: Feedback, vectors: Tensor) -> float:
    """AUC on events that say 0 or 1 clearly (below or above one half)."""
    clear = feedback.liked != 0.5
    with torch.no_grad():
        logits = model(feedback.states[clear], vectors[feedback.rows[clear]])
    return auc(logits.numpy(), (feedback.liked[clear] > 0.5).numpy())
