"""The trained model as a `Scorer`: exact scores of the whole catalog, for full-ranking evaluation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from device_runtime import TAXONOMY, Catalog, Neighbours
from server_training.data.split import Split, Stage
from server_training.models.adapters import Encoded, category_members
from server_training.models.code_index import CodeIndex
from server_training.models.heads import AutoregressiveHead, Items, RetrievalHead, RetrieveRankHead
from server_training.models.heads.ranker import CANDIDATES
from server_training.models.items import FeatureTable
from server_training.models.recommender import GenerativeRecommender
from server_training.training.windows import catalog_rows, history_windows

_BELOW = 1e4  # farther apart than any two logits


class ModelScorer:
    """Scores `split`'s evaluated users at one stage; build it once per model and stage.

    Args:
        model: its mode is left as it was.
        catalog: the items.
        split: the users.
        stage: which event is predicted.
        features: those being trained; the catalog's own, rounded as on the device, when None.
        candidates: how many a model that re-ranks re-ranks: all others stay behind them, as on the device.
    """

    def __init__(
        self,
        model: GenerativeRecommender,
        catalog: Catalog,
        split: Split,
        stage: Stage,
        features: FeatureTable | None = None,
        *,
        candidates: int = CANDIDATES,
    ) -> None:
        self._model = model
        self._index = CodeIndex(catalog)
        self._features = features
        self._rounded = torch.from_numpy(catalog.features_of(np.arange(len(catalog))))
        self._rows = torch.from_numpy(catalog_rows(split.data, catalog))
        self._windows = history_windows(split, stage, catalog, model.config.history_length)
        self._place = np.full(split.data.n_users, -1, dtype=np.int64)
        self._place[split.users(stage)] = np.arange(len(split.users(stage)))
        self._candidates = candidates
        self._members = category_members(catalog) if TAXONOMY in model.config.adapters else None
        # As on the device: where items are searched for, not all scored, neighbours have no say.
        self._neighbours = None if isinstance(model.head, AutoregressiveHead) else catalog.neighbours

    @torch.no_grad()
    def score(self, user_indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 [B, n_items] in the item order of the data."""
        model = self._model
        encoded, items, rows = self._read(user_indices)
        scores = model.head.scores(encoded.states[:, -1], items)
        if model.adapters is not None and bool(model.adapters.weights.any()):
            heads = self._heads(encoded, items)
            scores = scores + torch.einsum("h,bhn->bn", model.adapters.weights.to(heads.device), heads)
        if self._neighbours is not None:
            scores = scores + torch.from_numpy(self._neighbours.prior(rows.cpu().numpy())).to(scores.device)
        if isinstance(model.head, RetrieveRankHead):
            scores = self._reranked(model.head, scores, encoded.states, rows >= 0, items)
        return self._in_data_order(scores)

    @torch.no_grad()
    def parts(self, user_indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return float32 [B, n_items] of the main head alone and [B, heads, n_items] of each adapter alone."""
        encoded, items, _ = self._read(user_indices)
        base = self._model.head.scores(encoded.states[:, -1], items)
        return self._in_data_order(base), self._in_data_order(self._heads(encoded, items))

    def _read(self, user_indices: NDArray[np.int64]) -> tuple[Encoded, Items, Tensor]:
        """What the model makes of the histories, the items, and the histories' rows [B, T]."""
        training = self._model.training
        self._model.eval()
        device = next(self._model.parameters()).device
        features = self._rounded if self._features is None else self._features()
        index = self._index.to(device)
        members = None if self._members is None else self._members.to(device)
        items = Items(index, self._model.items(index.codes, features.to(device)), members)
        batch = self._windows.take(self._place[user_indices]).to(device)
        encoded = self._model.read(batch, items.vectors)
        self._model.train(training)
        return encoded, items, batch.rows

    def _heads(self, encoded: Encoded, items: Items) -> Tensor:
        assert self._model.adapters is not None
        assert isinstance(self._model.head, RetrievalHead)
        return self._model.adapters.scores(self._model.head, encoded, items)

    def _in_data_order(self, scores: Tensor) -> NDArray[np.float32]:
        found: NDArray[np.float32] = scores[..., self._rows.to(scores.device)].float().cpu().numpy()
        return found

    def prior(self, user_indices: NDArray[np.int64], neighbours: Neighbours) -> NDArray[np.float32]:
        """Return float32 [B, n_items], in the item order of the data: what neighbours would add to the scores."""
        rows = self._windows.take(self._place[user_indices]).rows.numpy()
        found: NDArray[np.float32] = neighbours.prior(rows)[:, self._rows.numpy()]
        return found

    def _reranked(self, head: RetrieveRankHead, scores: Tensor, states: Tensor, real: Tensor, items: Items) -> Tensor:
        count = min(self._candidates, scores.shape[1])
        candidates = scores.topk(count, dim=1).indices
        ranked = head.rerank(states, real, states[:, -1], candidates, items)
        return (scores - _BELOW).scatter(1, candidates, ranked)
