from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid
from server_training.items.co_use import co_occurrence
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.items.text import ItemText

SMALL = FeatureConfig(text_size=8, use_size=6, text_weight=0.5, use_weight=2.0)


@pytest.fixture(scope="module")
def features(made_split: Split) -> ItemFeatures:
    return ItemFeatures.fit(made_split, SMALL)


def test_blocks_have_the_length_of_their_weight(features: ItemFeatures, made_split: Split) -> None:
    assert features.vectors.shape == (made_split.data.n_items, 14)
    assert features.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features.vectors[:, :8], axis=1), 0.5, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features.vectors[:, 8:], axis=1), 2.0, rtol=1e-5)


def test_co_occurrence_matches_a_naive_count(made_split: Split) -> None:
    data = made_split.data
    naive = np.zeros((data.n_items, data.n_items))
    for user in range(data.n_users):
        items = data.items[data.offsets[user] : made_split.train_stop[user]]
        for place, left in enumerate(items):
            for right in items[place + 1 : place + 3]:
                if left != right:
                    naive[left, right] += 1
                    naive[right, left] += 1
    np.testing.assert_array_equal(co_occurrence(made_split, 2).toarray(), naive)


def test_an_unused_item_lies_with_what_it_resembles(features: ItemFeatures, made_split: Split) -> None:
    cold = made_split.data.item_ids.index("cold")
    assert not features.known[cold]
    use = features.vectors[:, 8:]
    genre = np.array(["Opera" in names for names in made_split.data.attributes])
    near = use @ use[cold]
    assert near[genre & features.known].mean() > near[~genre & features.known].mean() + 1


def test_a_new_item_is_placed_by_its_text(features: ItemFeatures, made_split: Split) -> None:
    data = made_split.data
    texts = [ItemText(*parts) for parts in zip(data.titles, data.texts, data.attributes, strict=True)]
    cold = data.item_ids.index("cold")
    placed = features.place([texts[cold], ItemText("", "", ())])
    np.testing.assert_allclose(placed[0], features.vectors[cold], atol=1e-5)
    assert not placed[1].any()


def test_equal_seeds_give_equal_vectors(features: ItemFeatures, made_split: Split) -> None:
    np.testing.assert_array_equal(ItemFeatures.fit(made_split, SMALL).vectors, features.vectors)


def test_the_held_out_events_do_not_enter(made_split: Split) -> None:
    data = made_split.data
    stop = made_split.train_stop
    shuffled = data.items.copy()
    for user in made_split.users(Stage.TEST):
        shuffled[stop[user] : stop[user] + 2] = 0
    other = replace(made_split, data=replace(data, items=shuffled))
    np.testing.assert_array_equal(ItemFeatures.fit(other, SMALL).vectors, ItemFeatures.fit(made_split, SMALL).vectors)


def test_a_catalog_without_text_has_use_only(made_split: Split) -> None:
    data = made_split.data
    blank = ("",) * data.n_items
    bare = replace(data, titles=blank, texts=blank, attributes=((),) * data.n_items)
    vectors = ItemFeatures.fit(replace(made_split, data=bare), SMALL).vectors
    assert vectors.shape == (data.n_items, 6)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("wrong", [{"text_size": 0}, {"text_weight": -1.0}, {"text_weight": 0.0, "use_weight": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigInvalid):
        FeatureConfig(**wrong)  # type: ignore[arg-type]
