"""The best weights of a run, with what is needed to use them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from server_training.errors import TrainingError
from server_training.models.config import ModelConfig
from server_training.models.items import FeatureTable
from server_training.models.recommender import GenerativeRecommender
from server_training.training.tensor_file import save_tensors

MODEL_FILE = "model.pt"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model in evaluation mode and the features of the catalog it was trained on, in catalog order."""

    model: GenerativeRecommender
    features: FeatureTable


def save_model(path: Path, config: ModelConfig, weights: Mapping[str, object]) -> None:
    """Write sizes and the weights of a training step."""
    kept = {name: tensor for name, tensor in weights.items() if name.split(".")[0] in ("model", "features")}
    content = {"config": config.to_dict(), "weights": kept}
    save_tensors(path, content)


def save_trained(path: Path, trained: TrainedModel) -> None:
    """Replace the weights of a run by those of `trained`."""
    both = torch.nn.ModuleDict({"model": trained.model, "features": trained.features})
    save_model(path, trained.model.config, both.state_dict())


def load_model(path: Path) -> TrainedModel:
    """Read what `save_model` wrote.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        config = ModelConfig(**content["config"])
        both = torch.nn.ModuleDict({"model": GenerativeRecommender(config), "features": _features(config, content)})
        both.load_state_dict(content["weights"])
    except FileNotFoundError as error:
        raise TrainingError(f"{path} is missing; run `meritrec-server train` first") from error
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        # torch's own message goes on to suggest loading without its safeguard; ours does not repeat it.
        raise TrainingError(f"{path} cannot be read ({type(error).__name__}); train again with --fresh") from error
    both.eval()
    model, features = both["model"], both["features"]
    assert isinstance(model, GenerativeRecommender)
    assert isinstance(features, FeatureTable)
    return TrainedModel(model, features)


def _features(config: ModelConfig, content: dict[str, dict[str, torch.Tensor]]) -> FeatureTable:
    n_items = len(content["weights"]["features.own"])
    return FeatureTable(n_items, config.own_features, torch.zeros(n_items, config.content_features))
