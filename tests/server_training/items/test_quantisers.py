"""What every way to learn codebooks owes its users, and what is special to some."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from server_training.errors import TokenizerError
from server_training.items.balance import Balance
from server_training.items.code_places import quantise
from server_training.items.fsq import grid
from server_training.items.kmeans import squared_distances
from server_training.items.quantisers import Effort, Quantiser, learner
from server_training.items.rq_vae import _RqVae
from server_training.items.tokenizer import ItemTokenizer, Tokenizer

QUICK = Effort(iterations=10, steps=300)
every_quantiser = pytest.mark.parametrize("quantiser", get_args(Quantiser))


def groups(seed: int = 0, of: int = 12, each: int = 20) -> np.ndarray:
    """Vectors in a few tight groups, group after group."""
    rng = np.random.default_rng(seed)
    return (np.repeat(rng.normal(size=(of, 10)), each, axis=0) + 0.05 * rng.normal(size=(of * each, 10))).astype("f4")


@every_quantiser
def test_codes_are_unique_repeatable_and_say_where_a_vector_lies(quantiser: Quantiser) -> None:
    vectors = groups()
    tokenizer = Tokenizer(quantiser, 3, 16, effort=QUICK).fit(vectors)
    np.testing.assert_array_equal(Tokenizer(quantiser, 3, 16, effort=QUICK).fit(vectors).codes, tokenizer.codes)
    assert len(np.unique(tokenizer.codes, axis=0)) == len(vectors)
    rebuilt = tokenizer.decode(tokenizer.codes)
    assert rebuilt.shape == vectors.shape
    left = float(np.square(vectors - rebuilt).sum() / np.square(vectors - vectors.mean(axis=0)).sum())
    assert tokenizer.report.unexplained == pytest.approx(left, rel=1e-4)
    assert left < 0.6  # the mean alone leaves 1


@every_quantiser
def test_torch_keeps_its_random_state(quantiser: Quantiser) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Tokenizer(quantiser, 2, 16, effort=Effort(2, 5)).fit(groups())
    assert torch.equal(torch.rand(3), expected)


@every_quantiser
def test_a_new_item_gets_a_free_code_near_what_it_resembles(quantiser: Quantiser) -> None:
    vectors = groups(each=10)
    tokenizer = Tokenizer(quantiser, 3, 16, effort=QUICK).fit(vectors)
    new = groups(each=11)[10::11]  # one more member of each group
    codes = tokenizer.encode(new)
    assert len(np.unique(np.concatenate([tokenizer.codes, codes]), axis=0)) == len(vectors) + len(new)
    rebuilt = tokenizer.decode(codes)
    middles = vectors.reshape(12, 10, 10).mean(axis=1)
    nearest = squared_distances(rebuilt, middles).argmin(axis=1)
    assert (nearest == np.arange(12)).mean() >= 0.4  # chance: 1 of 12


@every_quantiser
def test_what_is_saved_encodes_and_decodes_the_same(quantiser: Quantiser, tmp_path: Path) -> None:
    vectors = groups()
    tokenizer = Tokenizer(quantiser, 2, 32, effort=Effort(5, 20)).fit(vectors)
    tokenizer.save(tmp_path / "t.npz")
    loaded = ItemTokenizer.load(tmp_path / "t.npz")
    assert (loaded.quantiser, loaded.report) == (quantiser, tokenizer.report)
    np.testing.assert_array_equal(loaded.decode(loaded.codes), tokenizer.decode(tokenizer.codes))
    np.testing.assert_array_equal(loaded.encode(vectors[:9] + 0.01), tokenizer.encode(vectors[:9] + 0.01))


@every_quantiser
def test_few_alike_or_narrow_vectors_are_no_trouble(quantiser: Quantiser) -> None:
    for vectors in (np.ones((1, 1)), np.ones((9, 2)), np.zeros((5, 1)), np.arange(4.0)[:, None] * 1e6):
        tokenizer = Tokenizer(quantiser, 3, 8, effort=Effort(3, 20)).fit(vectors.astype(np.float32))
        assert len(np.unique(tokenizer.codes, axis=0)) == len(vectors)
        assert np.isfinite(tokenizer.decode(tokenizer.codes)).all()
        assert np.isfinite(tokenizer.report.unexplained)


def test_codes_that_do_not_exist_are_not_decoded() -> None:
    tokenizer = Tokenizer(codebook_size=8).fit(groups())
    for codes in (np.zeros((2, 2)), np.full((1, 3), 8), np.zeros(3)):
        with pytest.raises(TokenizerError, match="expected codes"):
            tokenizer.decode(codes.astype(np.uint16))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_no_centre_gets_more_than_its_share(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, centres = (rng.normal(size=(count, 3)).astype(np.float32) for count in (n, k))
    balance = Balance(k)
    for _ in range(2):  # with fresh prices and with those of the call before
        owner = balance.assign(points, centres)
        assert np.bincount(owner, minlength=k).max() <= -(-n // k)


def test_balance_costs_little_more_than_the_best_dealing() -> None:
    rng = np.random.default_rng(3)
    points, centres = rng.normal(size=(120, 2)).astype("f4"), rng.normal(size=(6, 2)).astype("f4")
    cost = squared_distances(points, centres)
    rows, columns = linear_sum_assignment(np.repeat(cost, 20, axis=1))
    best = cost[rows, columns // 20].sum()
    ours = cost[np.arange(120), Balance(6).assign(points, centres)].sum()
    assert best - 1e-3 <= ours <= 1.15 * best


def test_balanced_codes_are_used_alike() -> None:
    rng = np.random.default_rng(0)
    # Most items lie in one place, where plain k-means would leave most codes to the rest.
    vectors = np.concatenate([0.01 * rng.normal(size=(400, 6)), rng.normal(size=(40, 6))]).astype(np.float32)
    plain, balanced = (
        Tokenizer(quantiser, 3, 16, effort=QUICK).fit(vectors).report
        for quantiser in ("residual-kmeans", "balanced-kmeans")
    )
    assert balanced.perplexity[0] > 15.5 > plain.perplexity[0]
    assert balanced.collision_rate < plain.collision_rate


def test_unordered_codebooks_and_grids_use_numbers_of_their_own() -> None:
    vectors = groups()
    for name in ("parallel", "fsq"):
        books = learner(name)(vectors, 3, 16, 0, Effort(3, 5)).codebooks
        used = (books != 0).any(axis=1)
        assert (used.sum(axis=0) <= 1).all()
        # The nearest row level by level is the nearest of all sums.
        points = np.random.default_rng(1).normal(size=(20, books.shape[2])).astype(np.float32)
        every = (books[0][:, None, None] + books[1][None, :, None] + books[2][None, None]).reshape(-1, books.shape[2])
        greedy = books[np.arange(3), quantise(points, books).astype(int)].sum(axis=1)
        distances = squared_distances(points, every).min(axis=1)
        np.testing.assert_allclose(np.square(points - greedy).sum(axis=1), distances, rtol=1e-4)


@given(st.integers(2, 4096))
def test_a_grid_has_at_most_as_many_codes_and_not_many_fewer(size: int) -> None:
    values = grid(size)
    assert size / 2 < np.prod(values) <= size
    assert min(values) >= 2


def test_a_code_nothing_chooses_moves_to_what_is_badly_served() -> None:
    model = _RqVae(4, 1, 3)
    with torch.no_grad():
        model.codebooks[0] = torch.zeros(3, 32)
        model.codebooks[0, 1:] = 100.0
    left = torch.zeros(5, 32)
    left[3] = 7.0
    _, _, before = model.quantise(left)
    model.restart_dead(before)
    books = model.codebooks[0].detach()
    assert torch.equal(books[0], torch.zeros(32))
    assert any(torch.equal(book, torch.full((32,), 7.0)) for book in books[1:])
    assert model.chosen.sum() == 0
