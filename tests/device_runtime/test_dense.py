"""Scoring the whole catalog at once, against sorting everything by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    Action,
    Catalog,
    HistoryEvent,
    ItemVectors,
    ModelFailed,
    ModelInputs,
    Reading,
    RowFilter,
    encode_history,
    search_by_codes,
    search_by_vectors,
)

WIDTH, LENGTH, SIZE, CANDIDATES = 4, 3, 5, 6


def _catalog(n: int) -> Catalog:
    codes = np.stack(np.unravel_index(np.arange(n) * 7 % SIZE**3, (SIZE,) * 3), axis=1)
    return Catalog.build([f"i{i}" for i in range(n)], codes, SIZE, None, np.arange(n)[:, None] / n)


def _inputs(catalog: Catalog) -> ModelInputs:
    return encode_history([HistoryEvent("i0", Action.VIEW, 5)], catalog, Reading(LENGTH, LENGTH), 9)


class Model:
    """Answers from tables: a linear map of codes and features as vectors, a fixed query, fixed code probabilities."""

    def __init__(self, seed: int, *, ranked: bool = False, coarse: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.ranked = ranked

        def draw(*shape: int) -> Any:  # coarse numbers tie
            return (rng.integers(-1, 2, shape) if coarse else rng.normal(size=shape)).astype(np.float32)

        self.tables, self.query, self.codes = draw(3, SIZE, WIDTH), draw(1, WIDTH), draw(1, 3, SIZE)

    def vectors(self, codes: Any, features: Any) -> Any:
        return sum(self.tables[level][codes[:, level]] for level in range(3)) + features

    def correction(self, vectors: Any) -> Any:
        return np.sin(3 * vectors.sum(axis=-1, dtype=np.float32)).astype(np.float32)

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        if method == "items":
            vectors = self.vectors(*inputs)
            return (vectors, 2 * vectors) if self.ranked else (vectors,)
        if method == "rank":
            states, actions, vectors = inputs
            assert states.shape == (1, LENGTH, WIDTH)
            assert actions.shape == (1, LENGTH)
            return (self.correction(vectors),)
        return (self.query, np.zeros((1, LENGTH, WIDTH), np.float32)) if self.ranked else (self.query,)


class Codes(Model):
    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        return (self.codes,)


def _log_softmax(scores: Any) -> Any:
    scores = scores.astype(np.float64)
    return scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())


def _expected(log_probs: Any, k: int, allowed: Any) -> tuple[list[int], list[float]]:
    rows = sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-np.float32(log_probs[row]), row))[:k]
    return rows, [log_probs[row] for row in rows]


drawn = (st.integers(0, 50), st.integers(1, 60), st.integers(1, 70), st.booleans(), st.data())


@given(*drawn)
def test_dot_products_give_the_best_allowed_items(seed: int, n: int, k: int, coarse: bool, data: st.DataObject) -> None:
    catalog, model = _catalog(n), Model(seed, coarse=coarse)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    items = ItemVectors(model, catalog, WIDTH, ranked=False)
    found = search_by_vectors(
        model,
        model.run("encode"),
        _inputs(catalog),
        items,
        catalog,
        k=k,
        candidates=9,
        allowed=RowFilter.of(n, allowed),
    )
    exact = _log_softmax(items.keys @ model.query[0])
    assert len(found.rows) == min(k, allowed.sum())
    assert set(found.rows) <= set(np.flatnonzero(allowed))
    best = _expected(exact, k, allowed)[1]
    np.testing.assert_allclose(found.log_probs, best, atol=1e-5)
    np.testing.assert_allclose(exact[found.rows], best, atol=1e-5)


@given(*drawn)
def test_codes_give_the_best_allowed_items(seed: int, n: int, k: int, coarse: bool, data: st.DataObject) -> None:
    catalog, model = _catalog(n), Codes(seed, coarse=coarse)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    found = search_by_codes(model.run("encode"), _inputs(catalog), catalog, k=k, allowed=RowFilter.of(n, allowed))
    exact = _log_softmax(
        np.array([sum(model.codes[0, level, c] for level, c in enumerate(row)) for row in catalog.codes])
    )
    best = _expected(exact, k, allowed)[1]
    np.testing.assert_allclose(found.log_probs, best, atol=1e-5)
    np.testing.assert_allclose(exact[found.rows], best, atol=1e-5)


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, CANDIDATES))
def test_a_ranker_reorders_the_candidates_and_keeps_their_probability(seed: int, n: int, k: int) -> None:
    catalog, model = _catalog(n), Model(seed, ranked=True)
    items = ItemVectors(model, catalog, WIDTH, ranked=True)
    found = search_by_vectors(model, model.run("encode"), _inputs(catalog), items, catalog, k=k, candidates=CANDIDATES)
    retrieved = _log_softmax(items.keys @ model.query[0])
    rows = np.argsort(-retrieved, kind="stable")[:CANDIDATES]
    corrected = retrieved[rows] + model.correction(items.vectors[rows])
    expected = _log_softmax(corrected) + np.log(np.exp(retrieved[rows]).sum())
    np.testing.assert_allclose(found.log_probs, np.sort(expected)[::-1][:k], atol=1e-4)


def test_more_items_than_one_block_are_all_there() -> None:
    codes = np.stack(np.unravel_index(np.arange(600), (9,) * 3), axis=1)
    catalog = Catalog.build([f"i{i}" for i in range(600)], codes, 9)
    model = Model(0)
    model.tables = np.random.default_rng(0).normal(size=(3, 9, WIDTH)).astype(np.float32)
    items = ItemVectors(model, catalog, WIDTH, ranked=False)
    np.testing.assert_allclose(items.keys, model.vectors(catalog.codes, np.zeros((600, 1))), rtol=1e-6)


@pytest.mark.parametrize("k", [0, -1])
def test_no_items_cannot_be_asked_for(k: int) -> None:
    catalog = _catalog(10)
    with pytest.raises(ModelFailed, match="at least 1"):
        search_by_codes(Codes(0).run("encode"), _inputs(catalog), catalog, k=k)


def test_a_ranker_cannot_give_more_than_its_candidates() -> None:
    catalog, model = _catalog(10), Model(0, ranked=True)
    items = ItemVectors(model, catalog, WIDTH, ranked=True)
    with pytest.raises(ModelFailed, match="6 candidates"):
        search_by_vectors(model, model.run("encode"), _inputs(catalog), items, catalog, k=7, candidates=6)
    nothing = RowFilter.of(10, np.zeros(10, bool))
    assert not len(
        search_by_vectors(
            model, model.run("encode"), _inputs(catalog), items, catalog, k=2, candidates=6, allowed=nothing
        ).rows
    )


@pytest.mark.parametrize("answer", [(), (np.zeros((1, 3, SIZE)),), (np.full((1, 3, SIZE), np.nan, np.float32),)])
def test_nonsense_from_the_model_is_refused(answer: tuple[Any, ...]) -> None:
    class Broken(Model):
        def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
            return answer

    catalog = _catalog(10)
    with pytest.raises(ModelFailed):
        search_by_codes(Broken(0).run("encode"), _inputs(catalog), catalog, k=2)
    with pytest.raises(ModelFailed):
        ItemVectors(Broken(0), catalog, WIDTH, ranked=True)
