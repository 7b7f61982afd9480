from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server_training.items.content import ContentProjection


@given(st.integers(1, 40), st.integers(0, 9), st.integers(0, 12), st.integers(0, 99))
def test_content_features_are_scaled_principal_components(n: int, m: int, size: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, m)).astype(np.float32)
    found = ContentProjection.fit(vectors, size).apply(vectors)
    assert found.shape == (n, size)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    kept = min(size, m)
    assert not found[:, kept:].any()
    if kept and n > 1:
        assert abs(float(found[:, :kept].std()) - 1) < 1e-2
    if kept == m and n > 1:
        # All directions kept: distances are those of the vectors, up to one scale.
        ours = np.linalg.norm(found[:, None] - found, axis=2)
        theirs = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        far = theirs > 1e-3
        ratios = ours[far] / theirs[far]
        assert np.allclose(ratios, ratios.mean(), rtol=1e-2) if far.any() else True


def test_vectors_that_are_all_alike_say_nothing() -> None:
    found = ContentProjection.fit(np.ones((5, 3), np.float32), 2).apply(np.ones((4, 3), np.float32))
    assert found.tolist() == [[0.0, 0.0]] * 4
