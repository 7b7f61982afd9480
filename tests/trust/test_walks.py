from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.kernels import ENDED, find_kernels
from trust.rows import WeightedRows, ascending
from trust.walks import visits, walk_items

EDGES = st.dictionaries(
    st.tuples(st.integers(0, 6), st.integers(0, 6)), st.floats(1e-12, 1e12), min_size=1, max_size=25
)


def rows_of(edges: dict[tuple[int, int], float], n_rows: int = 7, n_columns: int = 7) -> WeightedRows:
    pairs = np.array(list(edges), dtype=np.int64)
    weights = np.array(list(edges.values()))
    return WeightedRows.from_edges(pairs[:, 0], pairs[:, 1], weights, n_rows, n_columns)


def test_a_step_follows_the_shares_even_beside_tiny_ones() -> None:
    rows = rows_of({(0, 1): 1e300, (0, 2): 1e-300, (0, 3): 3e300, (1, 4): 1e-300, (1, 5): 1e-300})
    reached = rows.step(np.repeat([0, 1], 20_000), np.random.default_rng(3).random(40_000))
    counts = np.bincount(reached, minlength=7) / 20_000
    assert counts[[1, 2, 3]] == pytest.approx([0.25, 0.0, 0.75], abs=0.016)
    assert counts[[4, 5]] == pytest.approx([0.5, 0.5], abs=0.018)


ALMOST_ONE = np.nextafter(1.0, 0.0)


def test_a_draw_that_rounds_up_stays_in_its_row() -> None:
    last = 300_000
    rows = rows_of({(last - 1, 0): 1.0, (last - 1, 1): 1.0, (last, 2): 1.0}, last + 1)
    assert rows.step(np.array([last - 1]), np.array([ALMOST_ONE])).tolist() == [1]


@given(st.sets(st.integers(0, 2**40), max_size=50), st.sampled_from([2**40 + 1, 2**61]))
def test_places_come_in_the_order_of_their_keys(keys: set[int], bound: int) -> None:
    given_order = np.array(sorted(keys, key=lambda key: key * 0x9E3779B97F4A7C15 % 2**64), dtype=np.int64)
    assert given_order[ascending(given_order, bound)].tolist() == sorted(keys)


@given(EDGES, st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=7, max_size=7))
def test_reweighting_scales_columns_and_drops_zeros(edges, factors) -> None:
    changed = rows_of(edges).reweighted(np.array(factors))
    original = rows_of(edges)
    for row in range(7):
        weights = {
            c: s * factors[c]
            for c, s in zip(original.row(row).tolist(), original.row_shares(row).tolist(), strict=True)
            if s * factors[c] > 0.0
        }
        expected = {c: w / sum(weights.values()) for c, w in weights.items()}
        assert dict(zip(changed.row(row), changed.row_shares(row), strict=True)) == pytest.approx(expected)


@given(st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=6))
def test_first_visits_are_those_of_a_naive_recount(paths) -> None:
    width = max(map(len, paths))
    walks = np.full((len(paths), width), ENDED, dtype=np.int32)
    expected = []
    for w, path in enumerate(paths):
        walks[w, : len(path)] = path
        expected += [(w * width + s, w, node, node not in path[:s]) for s, node in enumerate(path)]
    seen = visits(walks)
    assert list(zip(seen.place, seen.walk, seen.node, seen.first, strict=True)) == expected


def drawn_for(walks: int, max_hops: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hops and draws of a batch; some draws are the smallest and the largest there are."""
    rng = np.random.default_rng(seed)
    hops = np.minimum(rng.geometric(0.1, walks), max_hops)
    return hops, rng.choice([0.0, 0.5, ALMOST_ONE, *rng.random(20)], int(hops.sum()))


@pytest.mark.parametrize("accelerate", [False, True])
@settings(deadline=None, max_examples=60)
@given(EDGES, st.integers(1, 9), st.integers(0, 2**32))
def test_item_hits_are_those_of_a_naive_walk(accelerate: bool, edges, max_hops: int, seed: int) -> None:
    forward = rows_of(edges)
    back = forward.transposed().reweighted(np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]))
    starts = np.resize(np.flatnonzero(forward.has_entries()), 30)
    hops, drawn = drawn_for(len(starts), max_hops, seed)
    at, met, draws = starts.tolist(), [{} for _ in starts], iter(drawn.tolist())

    def stepped(rows: WeightedRows, row: int) -> int:
        return int(rows.step(np.array([row]), np.array([next(draws)]))[0])

    walks = list(range(len(starts)))
    while walks:
        reached = [stepped(forward, at[w]) for w in walks]
        for w, item in zip(walks, reached, strict=True):
            met[w].setdefault(item, at[w])
            hops[w] -= 2
        pairs = [(w, item) for w, item in zip(walks, reached, strict=True) if hops[w] > 0 and len(back.row(item))]
        for w, item in pairs:
            at[w] = stepped(back, item)
        walks = [w for w, _ in pairs]

    hops, drawn = drawn_for(len(starts), max_hops, seed)
    items, peers = find_kernels(accelerate).item_hits(forward, back, starts, hops, drawn)
    assert list(zip(items.tolist(), peers.tolist(), strict=True)) == [pair for walk in met for pair in walk.items()]


@settings(derandomize=True, max_examples=40)
@given(EDGES, st.integers(1, 9), st.integers(0, 2**32))
def test_item_walks_alternate_along_edges(edges, max_hops: int, seed: int) -> None:
    forward = rows_of(edges)
    back = forward.transposed()
    starts = np.resize(np.flatnonzero(forward.has_entries()), 40)
    items, peers = walk_items(forward, back, starts, *drawn_for(len(starts), max_hops, seed))
    assert (items[:, 0] != ENDED).all()
    assert peers[:, 0].tolist() == starts.tolist()
    assert items.shape[1] <= (max_hops + 1) // 2
    assert ((items == ENDED) == (peers == ENDED)).all()
    for path, entered in zip(items.tolist(), peers.tolist(), strict=True):
        steps = [(i, p) for i, p in zip(path, entered, strict=True) if i != ENDED]
        assert all((p, i) in edges for i, p in steps)
        assert all((p, before) in edges for (before, _), (_, p) in pairwise(steps))
