"""Categories against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import CatalogInvalid, Categories, UnknownCategory


@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=80))
def test_rows_of_a_category(per_item: list[set[int]]) -> None:
    found = Categories.build(list("abcde"), per_item)
    for number, name in enumerate("abcde"):
        assert np.flatnonzero(found.rows(name).mask()).tolist() == [
            r for r, own in enumerate(per_item) if number in own
        ]
    for row, own in enumerate(per_item):
        assert found.of_row(row) == tuple("abcde"[number] for number in sorted(own))
    assert found.per_item() == [sorted(own) for own in per_item]


def test_an_unknown_category_is_named_with_those_there_are() -> None:
    found = Categories.build(["drama", "comedy"], [[0], [1]])
    with pytest.raises(UnknownCategory, match=r"no category 'horror'; it has drama, comedy"):
        found.rows("horror")


@pytest.mark.parametrize("names", [[], ["a", "a"], ["x" * 129], [""], [f"n{i}" for i in range(1025)]])
def test_names_are_few_distinct_and_short(names: list[str]) -> None:
    with pytest.raises(CatalogInvalid):
        Categories.build(names, [[]])
