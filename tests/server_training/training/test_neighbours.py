"""Neighbours are the strongest few by training events, and count as much as validation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from device_runtime import Catalog, Neighbours
from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid
from server_training.evaluation.baselines import ItemKnn
from server_training.evaluation.factor_models import Ease
from server_training.evaluation.profile import profile
from server_training.evaluation.scorer import ModelScorer
from server_training.models.config import ModelConfig
from server_training.models.recommender import GenerativeRecommender
from server_training.run_config import RunConfig, changed
from server_training.training import neighbours
from server_training.training.neighbours import find_neighbours, introduced, weighted
from server_training.training.windows import catalog_rows

SIZES = ModelConfig(levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2, own_features=2)


@pytest.fixture
def catalog(made_split: Split) -> Catalog:
    n = made_split.data.n_items
    codes = np.stack(np.unravel_index(np.random.default_rng(0).permutation(64)[:n], (8, 8)), axis=1)
    return Catalog.build(made_split.data.item_ids, codes, 8, None, np.random.default_rng(1).normal(size=(n, 2)))


@pytest.fixture
def model() -> GenerativeRecommender:
    torch.manual_seed(0)
    return GenerativeRecommender(SIZES).eval()


def test_they_are_the_strongest_by_ease(made_split: Split, catalog: Catalog) -> None:
    found = find_neighbours(made_split, catalog, 3)
    assert found is not None
    table = np.maximum(Ease.fit(made_split).weights, 0)
    rows = catalog_rows(made_split.data, catalog)
    item_of_row = np.argsort(rows)
    for item in range(made_split.data.n_items):
        near = item_of_row[found.rows[rows[item]]]
        assert sorted(table[item][near]) == pytest.approx(sorted(table[item])[-3:])
        strengths = found.weights[rows[item]] * found.scale / 1000
        np.testing.assert_allclose(strengths, table[item][near], atol=0.51 * table.max() / 255)
    many = find_neighbours(made_split, catalog, 64)
    assert many is not None
    assert many.rows.shape[1] == made_split.data.n_items - 1


def test_large_catalogs_take_item_knn(made_split: Split, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_LARGEST", 3)
    found = find_neighbours(made_split, catalog, 2)
    assert found is not None
    similar = ItemKnn.fit(made_split).similarity.toarray()
    rows = catalog_rows(made_split.data, catalog)
    near = np.argsort(rows)[found.rows[rows[0]]]
    assert sorted(similar[0][near]) == pytest.approx(sorted(similar[0])[-2:])


def test_the_weight_is_the_best_on_validation(
    made_split: Split, catalog: Catalog, model: GenerativeRecommender
) -> None:
    found = find_neighbours(made_split, catalog, 5)
    assert found is not None
    weights = (0.25, 1.0, 4.0)
    chosen, reached = weighted(catalog, model, made_split, found, weights=weights)
    tried = [catalog, *(catalog.with_neighbours(replace(found, weight=weight)) for weight in weights)]
    each = [
        profile(ModelScorer(model, one, made_split, Stage.VALID), made_split, Stage.VALID).metrics["ndcg@10"]
        for one in tried
    ]
    assert reached == pytest.approx(max(each))
    assert reached > each[0]  # an untrained model knows nothing
    assert chosen.neighbours is not None
    assert chosen.neighbours.weight == (0.0, *weights)[int(np.argmax(each))]


def test_neighbours_that_do_not_help_are_left_out(
    made_split: Split, catalog: Catalog, model: GenerativeRecommender
) -> None:
    n = len(catalog)
    rng = np.random.default_rng(0)
    # Everything that is wanted next is pushed away by lifting everything else.
    wanted = set(catalog_rows(made_split.data, catalog)[made_split.targets(Stage.VALID)].tolist())
    others = np.array([row for row in range(n) if row not in wanted] or [0])
    bad = Neighbours.build(rng.choice(others, (n, 4)), np.full((n, 4), 1000.0), 2.0, 1.0)
    chosen, _ = weighted(catalog, model, made_split, bad, weights=(5.0,))
    if len(others) > 1:
        assert chosen.neighbours is None


def test_the_autoregressive_head_takes_none() -> None:
    with pytest.raises(ConfigInvalid, match="autoregressive"):
        changed(RunConfig(), {"items": {"neighbours": 4}, "model": {"head": "autoregressive"}})
    with pytest.raises(ConfigInvalid, match="0 to 64"):
        changed(RunConfig(), {"items": {"neighbours": 65}})


def test_items_that_nobody_used_stand_beside_those_they_resemble() -> None:
    rows = np.array([[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]])
    found = Neighbours.build(rows, np.array([[4.0, 1], [4, 3], [4, 1], [0, 0], [0, 0]]), 2.0, 0.5)
    content = np.array([[1.0, 0], [0.8, 0.6], [0, 1], [2, 0], [0, 0]])  # item 3 is like item 0, item 4 is unknown
    used = np.array([True, True, True, False, False])
    after = introduced(found, content, used)
    # 4 * 1 beats the 1 of item 0's list; 4 * 0.8 beats the 3 of item 1's; item 2 has nothing in common with item 3.
    np.testing.assert_array_equal(after.rows, [[1, 3], [0, 3], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_array_equal(after.weights, [[255, 255], [255, int(0.8 * 255)], [255, 64], [0, 0], [0, 0]])
    assert (after.scale, after.half_life, after.weight) == (found.scale, found.half_life, found.weight)
    untouched = introduced(found, np.zeros((5, 0)), used)
    np.testing.assert_array_equal(untouched.rows, found.rows)
