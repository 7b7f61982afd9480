"""Set reconciliation: the difference comes out exactly, costs what it should, and hostile tables end soon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.holdings import Holdings, entry_id, interest_of, names_in, short_name
from p2p.identity import PeerId
from p2p.reconcile import CELL_BYTES, MAX_CELLS, Cells, Difference, Ids, cells_of, peel
from p2p.store import Entry

nonces = st.integers(0, (1 << 64) - 1)
id_sets = st.sets(st.integers(0, (1 << 64) - 1), max_size=60)


def array(ids: set[int]) -> Ids:
    return np.array(sorted(ids), np.uint64)


def first(cells: Cells, count: int) -> Cells:
    return Cells(cells.ids[:count], cells.checks[:count], cells.counts[:count])


def reconciled(ours: set[int], theirs: set[int], nonce: int, n_cells: int) -> Difference | None:
    return peel(cells_of(array(ours), nonce, n_cells).minus(cells_of(array(theirs), nonce, n_cells)), nonce)


@given(common=id_sets, ours=id_sets, theirs=id_sets, nonce=nonces)
def test_whatever_comes_out_is_the_difference(common: set[int], ours: set[int], theirs: set[int], nonce: int) -> None:
    left, right = common | ours, common | theirs
    for n_cells in (1, 16, 64, 1024):
        found = reconciled(left, right, nonce, n_cells)
        if found is not None:
            assert set(found.ours.tolist()) == left - right
            assert set(found.theirs.tolist()) == right - left
    assert found is not None  # with 1024 cells for at most 120 differences


@given(ids=id_sets, nonce=nonces, n_cells=st.integers(1, 200))
def test_a_table_survives_the_round_trip(ids: set[int], nonce: int, n_cells: int) -> None:
    cells = cells_of(array(ids), nonce, n_cells)
    again = Cells.from_bytes(cells.to_bytes())
    assert again.to_bytes() == cells.to_bytes()
    assert len(cells.to_bytes()) == n_cells * CELL_BYTES


@given(ids=id_sets, nonce=nonces)
def test_a_longer_table_begins_with_the_shorter(ids: set[int], nonce: int) -> None:
    assert first(cells_of(array(ids), nonce, 100), 30).to_bytes() == cells_of(array(ids), nonce, 30).to_bytes()


@pytest.mark.parametrize("differences", [1, 10, 100, 1000])
def test_cells_grow_with_the_difference_and_not_with_the_sets(differences: int) -> None:
    rng = np.random.default_rng(differences)
    ids = np.unique(rng.integers(0, 1 << 64, 10_000 + differences, dtype=np.uint64))
    enough = 0
    for nonce in range(10):
        difference = cells_of(ids, nonce, MAX_CELLS).minus(cells_of(ids[differences:], nonce, MAX_CELLS))
        enough += peel(first(difference, 2 * differences + 14), nonce) is not None
    assert enough >= 9


@given(
    table=st.lists(
        st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.integers(-(1 << 31), (1 << 31) - 1)),
        min_size=1,
        max_size=40,
    ),
    nonce=nonces,
)
def test_a_table_that_was_made_up_yields_no_more_ids_than_it_has_cells(
    table: list[tuple[int, int, int]], nonce: int
) -> None:
    ids, checks, counts = zip(*table, strict=True)
    cells = Cells(np.array(ids, np.uint64), np.array(checks, np.uint32), np.array(counts, np.int64))
    found = peel(Cells.from_bytes(cells.to_bytes()), nonce)
    assert found is None or len(found.ours) + len(found.theirs) <= len(cells)


@given(ids=st.sets(st.integers(0, (1 << 64) - 1), min_size=1, max_size=8), nonce=nonces, data=st.data())
def test_a_flipped_bit_never_passes_for_another_difference(ids: set[int], nonce: int, data: st.DataObject) -> None:
    whole = cells_of(array(ids), nonce, 64).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    found = peel(Cells.from_bytes(bytes(flipped)), nonce)
    assert found is None or set(found.ours.tolist()) == ids


@pytest.mark.parametrize("data", [b"", bytes(CELL_BYTES - 1), bytes(CELL_BYTES * (MAX_CELLS + 1))])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no table"):
        Cells.from_bytes(data)


# -- what stands for records -----------------------------------------------------------------------

authors = st.integers(0, 30).map(lambda i: PeerId(bytes([i]) * 32))
changes = st.lists(st.tuples(authors, st.integers(0, 5)), max_size=40)


@given(changes)
def test_holdings_follow_every_change(steps: list[tuple[PeerId, int]]) -> None:
    holdings, model = Holdings([]), dict[PeerId, Entry]()
    for author, version in steps:
        if version:
            model[author] = (author, version, bytes([version]) * 32)
            holdings.put(model[author])
        else:
            model.pop(author, None)
            holdings.drop(author)
        selection = holdings.select()
        entries = selection.at(np.arange(len(selection)))
        assert sorted(entries) == sorted(model.values())
        assert selection.ids.tolist() == [entry_id(entry) for entry in entries]


@given(st.sets(authors), st.sets(authors))
def test_a_selection_holds_the_authors_of_an_interest(held: set[PeerId], wanted: set[PeerId]) -> None:
    holdings = Holdings((author, 1, bytes(32)) for author in held)
    selection = holdings.select(names_in(interest_of(wanted)))
    entries = selection.at(np.arange(len(selection)))
    assert {entry[0] for entry in entries} == held & wanted
    assert selection.named(selection.ids[:1]) == entries[:1]


@given(st.binary(max_size=64))
def test_an_interest_is_sorted_or_refused(data: bytes) -> None:
    try:
        names = names_in(data)
    except ValueError:
        return
    assert names.astype("<u4").tobytes() == data
    assert sorted(set(names.tolist())) == names.tolist()


def test_authors_of_one_store_have_different_short_names() -> None:
    assert len({short_name(PeerId(i.to_bytes(32, "big"))) for i in range(3000)}) == 3000


@given(st.sets(st.integers(0, 2**64 - 1), max_size=40), st.sets(st.integers(0, 2**64 - 1), max_size=2), nonces)
def test_one_cell_tells_equal_sets_and_names_a_single_difference(common: set[int], more: set[int], nonce: int) -> None:
    ours, theirs = array(common | more), array(common)
    one, other = cells_of(ours, nonce, 1), cells_of(theirs, nonce, 1)
    assert np.array_equal(one.ids, cells_of(ours, nonce, 8).ids[:1])  # it is the first cell of every larger table
    assert np.array_equal(one.checks, cells_of(ours, nonce, 8).checks[:1])
    difference = peel(one.minus(other), nonce)
    extra = more - common
    if len(extra) < 2:
        assert difference is not None
        assert set(difference.ours.tolist()) == extra
        assert not len(difference.theirs)
    else:
        assert difference is None
