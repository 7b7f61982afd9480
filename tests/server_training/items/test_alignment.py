"""Text and use in one space, and vectors smoothed over who used what."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from server_training.data.split import Split
from server_training.items.alignment import Alignment
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.items.smoothing import smoothed
from server_training.items.text import ItemText, unit


def test_alignment_places_an_item_by_its_text_where_its_use_would() -> None:
    """Use is a turn of the text; held-out items must find their own use vector by text alone."""
    rng = np.random.default_rng(0)
    text = unit(rng.normal(size=(300, 12)))
    use = unit(text @ np.linalg.qr(rng.normal(size=(12, 12)))[0])
    known = np.arange(300) < 250
    chain = sparse.coo_array((np.ones(249), (np.arange(249), np.arange(1, 250))), shape=(300, 300)).tocsr()
    counts = sparse.csr_array(chain + chain.T)
    fit = lambda steps: Alignment.fit(text, use, known, counts, steps=steps, seed=1)  # noqa: E731
    found = {}
    for steps in (1, 300):
        alignment = fit(steps)
        by_text = alignment.apply(text[250:], use[250:], np.zeros(50, bool))
        whole = alignment.apply(text[250:], use[250:], np.ones(50, bool))
        found[steps] = float(((by_text @ whole.T).argmax(axis=1) == np.arange(50)).mean())
    assert found[300] >= 0.9
    np.testing.assert_array_equal(fit(20).apply(text, use, known), fit(20).apply(text, use, known))


def test_alignment_without_use_or_text_still_gives_vectors(made_split: Split) -> None:
    nothing = sparse.csr_array((4, 4))
    for text, use in ((np.eye(4), np.zeros((4, 0))), (np.zeros((4, 0)), np.eye(4)), (np.eye(4), np.zeros((4, 3)))):
        known = np.zeros(4, np.bool_)
        vectors = Alignment.fit(text.astype("f4"), use.astype("f4"), known, nothing, steps=5, seed=0).apply(
            text.astype("f4"), use.astype("f4"), known
        )
        assert vectors.shape == (4, 64)
        assert np.isfinite(vectors).all()
    features = ItemFeatures.fit(made_split, FeatureConfig(aligned=True, alignment_steps=20))
    assert features.vectors.shape == (made_split.data.n_items, 64)
    assert features.place([ItemText("something new"), ItemText("")]).shape == (2, 64)


def test_smoothing_matches_the_definition(made_split: Split) -> None:
    data = made_split.data
    vectors = np.random.default_rng(0).normal(size=(data.n_items, 5)).astype(np.float32)
    used = np.zeros((data.n_items, data.n_users))
    for user in range(data.n_users):
        used[data.items[data.offsets[user] : made_split.train_stop[user]], user] = 1
    by_item, by_user = used.sum(axis=1), used.sum(axis=0)
    layers = [vectors.astype(float)]
    for _ in range(2):
        after = np.zeros_like(layers[0])
        for item in range(data.n_items):
            if not by_item[item]:
                after[item] = layers[-1][item]
            for user in np.flatnonzero(used[item]):
                for other in np.flatnonzero(used[:, user]):
                    weight = np.sqrt(by_item[item] * by_item[other]) * by_user[user]
                    after[item] += layers[-1][other] / weight
        layers.append(after)
    np.testing.assert_allclose(smoothed(vectors, made_split, 2), np.mean(layers, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(smoothed(vectors, made_split, 0), vectors)
