"""From weights by name to one reward on one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from device_runtime import Catalog, Neighbours
from server_training.alignment.config import RewardConfig
from server_training.alignment.policy import Policy, PolicyInputs
from server_training.alignment.rewards import (
    Calibration,
    Categories,
    Collaborative,
    Diversity,
    Feedback,
    Hit,
    LearnedReward,
    Novelty,
    RankPenalty,
    Reward,
    WeightedRewards,
)
from server_training.alignment.rewards.learned import labels, train_reward_model, validation_auc
from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.training.neighbours import find_neighbours
from server_training.training.windows import Windows, catalog_rows, history_windows, training_windows

_BATCH = 256


@dataclass(frozen=True, slots=True)
class ChosenRewards:
    """A reward, ready.

    Attributes:
        reward: the weighted sum.
        needs_states: whether it looks at the states of the model at the start.
        measured: what is known of its parts, such as the AUC of the learned one on validation events.
    """

    reward: Reward
    needs_states: bool
    measured: Mapping[str, float]


def chosen_rewards(config: RewardConfig, start: Policy, split: Split, catalog: Catalog, seed: int) -> ChosenRewards:
    """Make the rewards that have a weight.

    Args:
        config: weights.
        start: the policy that alignment starts from, in evaluation mode.
        split: of its training events, and validation events to measure a learned reward.
        catalog: names rows.
        seed: of a learned reward.

    Raises:
        ConfigInvalid: a learned or collaborative reward cannot be had from these events.
    """
    weights = config.weights
    measured: dict[str, float] = {}
    parts: dict[str, tuple[Reward, float]] = {}
    for name, weight in weights.items():
        if name == "hit":
            parts[name] = (Hit(config.decay), weight)
        elif name == "rank":
            parts[name] = (RankPenalty(), weight)
        elif name == "collaborative":
            parts[name] = (Collaborative(_neighbours(split, catalog, config.neighbours)), weight)
        elif name == "novelty":
            parts[name] = (Novelty(training_counts(split, catalog)), weight)
        elif name == "diversity":
            parts[name] = (Diversity(item_vectors(split, catalog)), weight)
        elif name == "calibration":
            parts[name] = (Calibration(categories(split, catalog)), weight)
        else:
            learned, measured["validation AUC"] = _learned(start, split, catalog, seed)
            parts[name] = (learned, weight)
    return ChosenRewards(WeightedRewards(parts), "learned" in weights, measured)


def _neighbours(split: Split, catalog: Catalog, count: int) -> Neighbours:
    found = find_neighbours(split, catalog, count)
    if found is None:
        raise ConfigInvalid("[rewards] collaborative needs items that people chose together; set its weight to 0")
    return found


def training_counts(split: Split, catalog: Catalog) -> Tensor:
    """Int64 [n]: training events per catalog row."""
    rows = catalog_rows(split.data, catalog)
    return torch.from_numpy(np.bincount(rows[split.data.items[split.train_events()]], minlength=len(catalog)))


def item_vectors(split: Split, catalog: Catalog) -> Tensor:
    """Float32 [n, d] in catalog order: what lists' diversity is measured by, from text and use in training."""
    found = ItemFeatures.fit(split, FeatureConfig()).vectors
    ordered = np.empty_like(found)
    ordered[catalog_rows(split.data, catalog)] = found
    return torch.from_numpy(ordered)


def categories(split: Split, catalog: Catalog) -> Categories:
    """Categories of catalog rows: attributes, or first codes where no item has any."""
    item_of_row = np.argsort(catalog_rows(split.data, catalog))
    attributes = [split.data.attributes[item] for item in item_of_row.tolist()]
    return Categories.of(attributes, torch.from_numpy(catalog.codes.astype(np.int64)))


def _learned(start: Policy, split: Split, catalog: Catalog, seed: int) -> tuple[LearnedReward, float]:
    length = start.model.config.history_length
    with torch.no_grad():
        vectors = start.model.items(start.index.codes, start.features())
    # Every position of a training window but the last input of the last window has its target among training events.
    windows = training_windows(split, catalog, length)
    train = _feedback(start, split, windows, every=True)
    model = train_reward_model(train, vectors, seed)
    valid = _feedback(start, split, history_windows(split, Stage.VALID, catalog, length), every=False)
    return LearnedReward(model, vectors), validation_auc(model, valid, vectors)


@torch.no_grad()
def _feedback(start: Policy, split: Split, windows: Windows, *, every: bool) -> Feedback:
    """Events after every position of windows, or after the last one, that say something, and the states before."""
    states, events = [], []
    for first in range(0, len(windows), _BATCH):
        chosen = np.arange(first, min(first + _BATCH, len(windows)))
        batch = windows.take(chosen)
        width = batch.rows.shape[1]
        targets = windows.stops[chosen, None] - width + np.arange(width) + 1
        wanted = (batch.rows >= 0).numpy() & (every | (np.arange(width) == width - 1))
        wanted &= ~np.isnan(_said(split, targets))
        places = np.stack(np.nonzero(wanted), axis=1)
        if len(places):
            nothing = torch.full((len(places), 1), -1)
            states.append(start.states(PolicyInputs(batch, torch.from_numpy(places), nothing))[0])
            events.append(targets[wanted])
    width = start.model.config.width
    if not events:
        return Feedback(torch.zeros(0, width), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    found = np.concatenate(events)
    return Feedback(torch.cat(states), torch.from_numpy(windows.events[found]), torch.from_numpy(labels(split, found)))


def _said(split: Split, events: NDArray[np.int64]) -> NDArray[np.float32]:
    inside = np.clip(events, 0, len(split.data.items) - 1)
    return labels(split, inside.ravel()).reshape(events.shape)
