from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.numba_kernels import _uniform
from trust.uniforms import stream_key, uniforms


@given(st.integers(-(2**70), 2**70), st.integers(-1, 2**40), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_place_gives_the_same_number_whoever_asks(seed: int, stream: int, places: list[int]) -> None:
    key = stream_key(seed, stream)
    drawn = uniforms(key, np.array(places))
    assert ((drawn >= 0.0) & (drawn < 1.0)).all()
    assert drawn.tolist() == [_uniform(key, place) for place in places]
    assert drawn[::-1].tolist() == uniforms(key, np.array(places[::-1])).tolist()


def test_numbers_are_uniform_and_streams_unrelated() -> None:
    places = np.arange(200_000)
    first, second = (uniforms(stream_key(7, stream), places) for stream in (0, 1))
    counts = np.bincount((first * 100).astype(int), minlength=100)
    chi_squared = ((counts - 2_000) ** 2 / 2_000).sum()
    assert 50 < chi_squared < 160  # 99 degrees of freedom
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.0, abs=0.01)
    assert np.corrcoef(first[1:], first[:-1])[0, 1] == pytest.approx(0.0, abs=0.01)


def test_the_numbers_are_those_of_splitmix64() -> None:
    # Of state 0 the generator's first outputs are published: e220a8397b1dcdaf, 6e789e6aa1b965f4, 06c45d188009454f.
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert uniforms(np.uint64(0), np.arange(3)).tolist() == [(value >> 11) * 2.0**-53 for value in published]
