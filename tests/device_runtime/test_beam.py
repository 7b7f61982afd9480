"""Beam search against scoring every item, with a random autoregressive model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_runtime import Catalog, ModelFailed, RowFilter, beam_search

WIDTH = 5


class RandomModel:
    """Logits are a fixed random function of the state and the prefix, the same for every batch it stands in."""

    def __init__(self, catalog: Catalog, beam_width: int, seed: int) -> None:
        self._size, self._beam = catalog.codebook_size, beam_width
        rng = np.random.default_rng(seed)
        self._state = rng.normal(size=(1, WIDTH)).astype(np.float32)
        self._tables = rng.normal(size=(catalog.levels, self._size + 1, self._size)).astype(np.float32)

    def logits(self, state: np.ndarray[Any, Any], prefix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        total = np.repeat(self._tables[0, :1], len(prefix), axis=0) + state.sum(axis=1, keepdims=True)
        for level in range(prefix.shape[1]):
            total = total * 0.5 + self._tables[level, prefix[:, level]]
        return (3 * total).astype(np.float32)

    def run(self, method: str, *inputs: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        if method == "encode":
            return self._state, self.logits(self._state, np.zeros((1, 0), np.int64))
        state, prefix = inputs
        assert 2 <= len(state) <= max(2, self._beam)
        assert state.shape == (len(state), WIDTH)
        assert prefix.shape == (len(state), int(method.removeprefix("decode_")))
        assert prefix.dtype == np.int64
        return (self.logits(state, prefix),)

    def exact(self, catalog: Catalog) -> np.ndarray[Any, Any]:
        """Log-probability of every item, one by one in float64."""
        result = np.zeros(len(catalog))
        for row, codes in enumerate(catalog.codes.astype(np.int64)):
            for level in range(catalog.levels):
                logits = self.logits(self._state, codes[None, :level])[0].astype(np.float64)
                siblings = catalog.codes[(catalog.codes[:, :level] == codes[:level]).all(axis=1), level]
                allowed = logits[np.unique(siblings)]
                result[row] += logits[codes[level]] - allowed.max() - np.log(np.exp(allowed - allowed.max()).sum())
        return result


@st.composite
def problems(draw: st.DrawFn) -> tuple[Catalog, np.ndarray[Any, Any], int]:
    levels, size = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, min(30, size**levels)))
    packed = rng.choice(size**levels, size=count, replace=False)
    codes = np.stack(np.unravel_index(packed, (size,) * levels), axis=1)
    allowed = rng.random(count) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    return Catalog.build([str(i) for i in range(count)], codes, size), allowed, draw(st.integers(0, 2**32))


def _search(model: Any, catalog: Catalog, *, allowed: Any = None, **options: int) -> Any:
    chosen = None if allowed is None else RowFilter.of(len(catalog), allowed)
    return beam_search(model, model.run("encode"), catalog, allowed=chosen, **options)


@settings(deadline=None)
@given(problems(), st.booleans())
def test_a_wide_beam_finds_exactly_the_best(problem: tuple[Catalog, Any, int], filtered: bool) -> None:
    catalog, allowed, seed = problem
    model = RandomModel(catalog, len(catalog), seed)
    allowed = allowed if filtered else np.ones(len(catalog), dtype=bool)
    found = _search(
        model,
        catalog,
        k=len(catalog),
        beam_width=len(catalog),
        allowed=allowed if filtered else None,
    )
    exact = model.exact(catalog)
    rows = np.flatnonzero(allowed)
    assert sorted(found.rows.tolist()) == rows.tolist()
    np.testing.assert_allclose(found.log_probs, exact[found.rows], atol=1e-4)
    np.testing.assert_allclose(found.log_probs, np.sort(exact[rows])[::-1], atol=1e-4)
    if not filtered:
        assert np.exp(found.log_probs).sum() == pytest.approx(1.0, abs=1e-4)


@settings(deadline=None)
@given(problems(), st.integers(1, 6), st.data())
def test_a_narrow_beam_gives_k_valid_distinct_sorted_items(
    problem: tuple[Catalog, Any, int], beam_width: int, data: st.DataObject
) -> None:
    catalog, allowed, seed = problem
    k = data.draw(st.integers(1, beam_width))
    model = RandomModel(catalog, beam_width, seed)
    found = _search(model, catalog, k=k, beam_width=beam_width, allowed=allowed)
    assert len(found.rows) == min(k, allowed.sum())
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert allowed[found.rows].all()
    assert (np.diff(found.log_probs) <= 0).all()
    np.testing.assert_allclose(found.log_probs, model.exact(catalog)[found.rows], atol=1e-4)


@settings(deadline=None)
@given(problems())
def test_a_filter_does_not_change_the_probabilities_of_the_others(problem: tuple[Catalog, Any, int]) -> None:
    catalog, allowed, seed = problem
    n = len(catalog)
    model = RandomModel(catalog, n, seed)
    everything = _search(model, catalog, k=n, beam_width=n)
    filtered = _search(model, catalog, k=n, beam_width=n, allowed=allowed)
    kept = allowed[everything.rows]
    np.testing.assert_array_equal(filtered.rows, everything.rows[kept])
    np.testing.assert_array_equal(filtered.log_probs, everything.log_probs[kept])


class Halving:
    """Codes 0, 1, 2 have probability 1/4, 1/2, 1/4; below, every code the same."""

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        if method == "encode":
            return np.zeros((1, WIDTH), np.float32), np.log(np.array([[1, 2, 1]], np.float32))
        return (np.zeros((len(inputs[1]), 3), np.float32),)


@pytest.mark.parametrize("beam_width", [4, 5])
def test_equal_items_come_in_row_order(beam_width: int) -> None:
    """All four items have probability 1/4, the two in the middle through the better prefix."""
    catalog = Catalog.build(list("0123"), [[0, 0], [1, 0], [1, 1], [2, 0]], 3)
    found = _search(Halving(), catalog, k=4, beam_width=beam_width)
    assert len(set(found.log_probs.tolist())) == 1
    assert found.rows.tolist() == [0, 1, 2, 3]
    found = _search(Halving(), catalog, k=3, beam_width=beam_width)
    assert found.rows.tolist() == [0, 1, 2]


class Answering:
    """A model that answers with given arrays."""

    def __init__(self, *answers: Any) -> None:
        self._answers = answers

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        return self._answers if method == "encode" else (np.zeros((2, 4), np.float32),)


TWO = Catalog.build(["0", "1"], [[0, 1], [2, 3]], 4)
GOOD = np.zeros((1, WIDTH), np.float32)


@pytest.mark.parametrize(
    "answers",
    [
        (GOOD, np.full((1, 4), np.nan, np.float32)),
        (GOOD, np.full((1, 4), np.inf, np.float32)),
        (GOOD * np.nan, np.zeros((1, 4), np.float32)),
        (GOOD, np.zeros((1, 5), np.float32)),
        (GOOD, np.zeros((1, 4), np.float64)),
        (GOOD.repeat(2, axis=0), np.zeros((1, 4), np.float32)),
        (GOOD,),
    ],
)
def test_unusable_answers_of_a_model_are_named(answers: Any) -> None:
    with pytest.raises(ModelFailed):
        _search(Answering(*answers), TWO, k=1, beam_width=2)


def test_extreme_logits_stay_numbers() -> None:
    logits = np.array([[3e38, 0, -3e38, 0]], np.float32)
    found = _search(Answering(GOOD, logits), TWO, k=2, beam_width=2)
    assert found.rows.tolist() == [0, 1]
    assert not np.isnan(found.log_probs).any()


@pytest.mark.parametrize("k", [0, 3])
def test_k_is_bounded_by_the_beam(k: int) -> None:
    with pytest.raises(ModelFailed, match="beam width 2"):
        _search(Answering(GOOD, np.zeros((1, 4), np.float32)), TWO, k=k, beam_width=2)


class Fixed(RandomModel):
    """A model whose program takes a full beam only."""

    def run(self, method: str, *inputs: Any) -> Any:
        assert method == "encode" or len(inputs[0]) == self._beam
        return super().run(method, *inputs)


@given(problems())
def test_a_program_of_fixed_width_is_given_full_beams_and_finds_the_same(problem: tuple[Catalog, Any, int]) -> None:
    catalog, _, seed = problem
    varying = _search(RandomModel(catalog, 9, seed), catalog, k=9, beam_width=9)
    fixed = _search(Fixed(catalog, 9, seed), catalog, k=9, beam_width=9, least_width=9)
    np.testing.assert_array_equal(varying.rows, fixed.rows)
    np.testing.assert_allclose(varying.log_probs, fixed.log_probs, rtol=1e-6)
