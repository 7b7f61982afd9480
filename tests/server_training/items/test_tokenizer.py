from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_training.errors import ConfigInvalid, TokenizerError
from server_training.items.code_places import free_codes, nearest_prefixes, quantise, unique_codes
from server_training.items.kmeans import kmeans, nearest, squared_distances
from server_training.items.quantisers import Effort
from server_training.items.tokenizer import ItemTokenizer, Tokenizer


def cloud(n: int, d: int, seed: int, spread: int = 1000) -> np.ndarray:
    """Vectors with few distinct values when ``spread`` is small, so that collisions are the rule."""
    return np.random.default_rng(seed).integers(-spread, spread + 1, (n, d)).astype(np.float32) / spread


def test_distances_match_the_definition() -> None:
    points, centres = cloud(30, 4, 0), cloud(7, 4, 1)
    naive = ((points[:, None] - centres) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(points, centres), naive, atol=1e-5)
    found, distance = nearest(points, centres)
    np.testing.assert_array_equal(found, naive.argmin(axis=1))
    np.testing.assert_allclose(distance, naive.min(axis=1), atol=1e-5)


def test_kmeans_finds_clusters_that_are_far_apart() -> None:
    middles = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], np.float32)
    points = np.repeat(middles, 25, axis=0) + cloud(100, 2, 3)
    centres = kmeans(points, 4, np.random.default_rng(0))
    owner, _ = nearest(middles, centres)
    assert sorted(owner) == [0, 1, 2, 3]
    for place, middle in zip(owner, range(4), strict=True):
        np.testing.assert_allclose(centres[place], points[25 * middle : 25 * middle + 25].mean(axis=0), rtol=1e-4)


def test_kmeans_leaves_no_centre_without_points_when_there_are_enough() -> None:
    points = np.concatenate([np.zeros((50, 2)), cloud(14, 2, 0) + 5]).astype(np.float32)
    owner, _ = nearest(points, kmeans(points, 12, np.random.default_rng(1)))
    assert len(set(owner.tolist())) == 12


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_codes_are_unique_in_bounds_and_repeatable(data: st.DataObject) -> None:
    levels, size = data.draw(st.integers(2, 4)), data.draw(st.integers(2, 5))
    n = data.draw(st.integers(1, min(size**levels, 60)))
    vectors = cloud(n, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 99)), data.draw(st.integers(1, 3)))
    config = Tokenizer("residual-kmeans", levels, size, data.draw(st.integers(0, 9)), Effort(iterations=5))
    tokenizer = config.fit(vectors)
    codes = tokenizer.codes
    assert codes.shape == (n, levels)
    assert codes.dtype == np.uint16
    assert codes.max() < size
    assert len(np.unique(codes, axis=0)) == n
    np.testing.assert_array_equal(config.fit(vectors).codes, codes)
    report = tokenizer.report
    assert report.items == n
    assert 0 <= report.collision_rate < 1
    assert all(1 <= p <= used + 1e-9 <= size + 1e-9 for p, used in zip(report.perplexity, report.used, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_new_items_take_free_codes(data: st.DataObject) -> None:
    levels, size = data.draw(st.integers(2, 3)), data.draw(st.integers(2, 5))
    room = size**levels
    n = data.draw(st.integers(1, min(room, 30)))
    extra = data.draw(st.integers(1, 30))
    vectors = cloud(n + extra, 3, data.draw(st.integers(0, 99)), data.draw(st.integers(1, 3)))
    tokenizer = Tokenizer(levels=levels, codebook_size=size, effort=Effort(iterations=5)).fit(vectors[:n])
    if n + extra > room:
        with pytest.raises(TokenizerError, match="raise the codebook size"):
            tokenizer.encode(vectors[n:])
        return
    both = np.concatenate([tokenizer.codes, tokenizer.encode(vectors[n:])])
    assert both.dtype == np.uint16
    assert both.max() < size
    assert len(np.unique(both, axis=0)) == n + extra


def test_equal_vectors_fill_every_code() -> None:
    codes, moved = unique_codes(np.ones((27, 2), np.float32), cloud(9, 2, 0).reshape(3, 3, 2))
    assert len(np.unique(codes, axis=0)) == 27
    assert moved == 24


def test_codes_stay_as_quantised_where_nothing_collides() -> None:
    books = np.stack([np.diag([8.0, 8.0, 8.0]), np.eye(3)]).astype(np.float32)
    wanted = np.array([[0, 1], [0, 2], [2, 0], [1, 1]], np.uint16)
    vectors = books[0][wanted[:, 0]] + books[1][wanted[:, 1]]
    np.testing.assert_array_equal(quantise(vectors, books), wanted)
    codes, moved = unique_codes(vectors, books)
    np.testing.assert_array_equal(codes, wanted)
    assert moved == 0
    np.testing.assert_array_equal(free_codes(vectors, books, np.zeros((0, 2), np.uint16)), wanted)


def test_a_collision_costs_the_least_total_distance() -> None:
    books = np.array([[[0.0], [100.0]], [[0.0], [2.0]]], np.float32)
    codes, _ = unique_codes(np.array([[0.9], [0.0]], np.float32), books)
    np.testing.assert_array_equal(codes, [[0, 1], [0, 0]])


def test_prefixes_come_nearest_and_deepest_first() -> None:
    books = np.array([[[0.0], [10.0]], [[0.0], [3.0]]], np.float32)
    vector = np.array([2.5], np.float32)
    assert list(nearest_prefixes(vector, books)) == [(0, 1), (0, 0), (1, 0), (1, 1)]
    wide = np.zeros((3, 65_000, 1), np.float32)
    assert list(islice(nearest_prefixes(vector, wide), 2)) == [(0, 0, 0), (0, 0, 1)]


def test_alike_items_share_a_prefix() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(8, 6)) * 10
    vectors = (np.repeat(middles, 10, axis=0) + rng.normal(size=(80, 6)) * 0.1).astype(np.float32)
    first = Tokenizer(codebook_size=16, effort=Effort(iterations=50)).fit(vectors).codes[:, 0].reshape(8, 10)
    own = [set(group.tolist()) for group in first]
    assert all(a.isdisjoint(b) for place, a in enumerate(own) for b in own[:place])


def test_save_and_load(tmp_path: Path) -> None:
    tokenizer = Tokenizer(codebook_size=4).fit(cloud(30, 5, 0, 2))
    tokenizer.save(tmp_path / "tokenizer.npz")
    loaded = ItemTokenizer.load(tmp_path / "tokenizer.npz")
    np.testing.assert_array_equal(loaded.codebooks, tokenizer.codebooks)
    np.testing.assert_array_equal(loaded.codes, tokenizer.codes)
    assert loaded.report == tokenizer.report
    assert (loaded.levels, loaded.codebook_size) == (3, 4)
    before = (tmp_path / "tokenizer.npz").read_bytes()
    loaded.save(tmp_path / "tokenizer.npz")
    assert (tmp_path / "tokenizer.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": np.uint16(1)}, "format is 1"),
        ({"codes": np.zeros((2, 2), np.uint16)}, "two items the same codes"),
        ({"codes": np.full((1, 2), 4, np.uint16)}, "outside its codebooks"),
        ({"codes": np.zeros((1, 3), np.uint16)}, "codes that are not"),
        ({"codebooks": np.full((2, 4, 5), np.nan, np.float32)}, "codebooks that are not finite"),
        ({"encoder_weight_0": np.zeros((5, 3), np.float32), "encoder_bias_0": np.zeros(3, np.float32)}, "do not fit"),
        ({"decoder_weight_0": np.zeros((5, 3), np.float32), "decoder_bias_0": np.zeros(2, np.float32)}, "do not fit"),
        ({"encoder_weight_0": np.zeros(3, np.float32), "encoder_bias_0": np.zeros(3, np.float32)}, "2 dimensions"),
        ({"quantiser": np.frombuffer(b"magic", np.uint8)}, "names the quantiser"),
        ({"report": np.frombuffer(b"{}", np.uint8)}, "expected a tokenizer file"),
        ({"codes": np.array([[None, 1]])}, "expected a tokenizer file"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, np.ndarray], expected: str) -> None:
    path = tmp_path / "t.npz"
    Tokenizer(levels=2, codebook_size=4).fit(cloud(9, 5, 0)).save(path)
    with np.load(path) as file:
        fields = dict(file)
    np.savez(path, **fields | change)
    with pytest.raises(TokenizerError, match=expected):
        ItemTokenizer.load(path)


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 200))
def test_a_file_cut_short_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "t.npz"
    Tokenizer(levels=2, codebook_size=4, effort=Effort(iterations=1)).fit(cloud(9, 5, 0)).save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TokenizerError, match="fit the tokenizer again"):
        ItemTokenizer.load(path)


def test_bad_vectors_and_settings_are_refused() -> None:
    for vectors in (np.zeros((0, 3)), np.zeros(3), np.array([[np.nan]])):
        with pytest.raises(TokenizerError):
            Tokenizer(levels=2, codebook_size=4).fit(vectors.astype(np.float32))
    with pytest.raises(TokenizerError, match=r"2\^2 = 4 items, got 5"):
        Tokenizer(levels=2, codebook_size=2).fit(cloud(5, 2, 0))
    with pytest.raises(TokenizerError, match="width 2 as fitted, got 3"):
        Tokenizer(levels=2, codebook_size=4).fit(cloud(5, 2, 0)).encode(cloud(1, 3, 0))
    for wrong in (
        {"levels": 1},
        {"codebook_size": 1},
        {"levels": 9},
        {"codebook_size": 4097},
        {"effort": Effort(iterations=0)},
        {"effort": Effort(steps=0)},
        {"quantiser": "k-means"},
    ):
        with pytest.raises(ConfigInvalid):
            Tokenizer(**wrong)
