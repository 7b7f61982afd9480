"""The compiled tables are those of the gossip protocol, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.reconcile import Difference, cells_of, peel
from sdk.simulation.fast_cells import toggle

pytest.importorskip("numba", reason="without numba the tables are the protocol's own")

id_sets = st.sets(st.integers(0, (1 << 64) - 1), max_size=200)
nonces = st.integers(0, (1 << 64) - 1)


@settings(max_examples=60)
@given(ids=id_sets, nonce=nonces, n_cells=st.integers(1, 400))
def test_a_table_is_the_same(ids: set[int], nonce: int, n_cells: int) -> None:
    array = np.fromiter(ids, np.uint64, len(ids))
    assert cells_of(array, nonce, n_cells, toggle).to_bytes() == cells_of(array, nonce, n_cells).to_bytes()


@settings(max_examples=60)
@given(ours=id_sets, theirs=id_sets, nonce=nonces)
def test_a_difference_is_the_same(ours: set[int], theirs: set[int], nonce: int) -> None:
    one, other = (np.fromiter(ids, np.uint64, len(ids)) for ids in (ours, theirs))
    table = cells_of(one, nonce, 600).minus(cells_of(other, nonce, 600))
    found, expected = peel(table, nonce, toggle), peel(table, nonce)
    assert isinstance(found, Difference)
    assert isinstance(expected, Difference)
    assert found.ours.tolist() == expected.ours.tolist()
    assert found.theirs.tolist() == expected.theirs.tolist()
