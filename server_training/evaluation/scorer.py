"""The trained model as a `Scorer`: exact log-probabilities of the whole catalog, for full-ranking evaluation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import Catalog
from server_training.data.split import Split, Stage
from server_training.models.code_index import CodeIndex
from server_training.models.generative import GenerativeRecommender
from server_training.training.windows import catalog_rows, history_windows


class ModelScorer:
    """Scores `split`'s evaluated users at one stage; build it once per model and stage."""

    def __init__(self, model: GenerativeRecommender, catalog: Catalog, split: Split, stage: Stage) -> None:
        self._model = model
        self._index = CodeIndex(catalog)
        self._rows = torch.from_numpy(catalog_rows(split.data, catalog))
        self._windows = history_windows(split, stage, catalog, model.config.history_length)
        self._place = np.full(split.data.n_users, -1, dtype=np.int64)
        self._place[split.users] = np.arange(len(split.users))

    @torch.no_grad()
    def score(self, user_indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 [B, n_items] in the item order of the data; the model's mode is left as it was."""
        batch = self._windows.take(torch.from_numpy(self._place[user_indices]))
        training = self._model.training
        self._model.eval()
        states = self._model.states(batch.codes, batch.actions, batch.gaps)[:, -1]
        scores = self._index.score_catalog(self._model, states)[:, self._rows]
        self._model.train(training)
        return scores.numpy()
