"""Events to model inputs: the single path and the batch path are one, and the gaps are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    N_ACTIONS,
    N_GAPS,
    Action,
    Catalog,
    HistoryEvent,
    HistoryInvalid,
    Reading,
    encode_batch,
    encode_history,
    gap_buckets,
)

FEATURES = [[n, -n, 0.5] for n in range(9)]
CATALOG = Catalog.build([f"i{n}" for n in range(9)], [[n // 3, n % 3] for n in range(9)], 4, None, FEATURES)
NOW = 2_000_000_000
events = st.lists(
    st.builds(
        HistoryEvent,
        item=st.sampled_from([*CATALOG.ids, "unknown"]),
        action=st.sampled_from([a for a in Action if a is not Action.PAD]),
        at=st.integers(0, NOW),
    ),
    max_size=12,
).map(lambda found: sorted(found, key=lambda event: event.at))


readings = st.integers(1, 8).flatmap(
    lambda longest: st.builds(Reading, st.just(longest), shortest=st.integers(1, longest), step=st.integers(1, longest))
)


@given(st.integers(0, 1000), readings)
def test_a_window_moves_in_steps_and_holds_the_newest(events: int, reading: Reading) -> None:
    start = reading.start(events)
    assert start % reading.step == 0
    assert min(events, reading.longest - reading.step + 1) <= events - start <= reading.longest
    assert reading.start(events + 1) in (start, start + reading.step)


@given(events, readings, st.integers(0, 20))
def test_events_that_are_not_given_count_as_if_they_were(
    history: list[HistoryEvent], reading: Reading, cut: int
) -> None:
    known = [e for e in history if e.item in CATALOG]
    earlier = max(0, min(cut, len(known) - reading.longest))
    whole = encode_history(known, CATALOG, reading, NOW)
    part = encode_history(known[earlier:], CATALOG, reading, NOW, earlier=earlier)
    for one, other in zip(whole.arrays(), part.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@given(events, readings)
def test_positions_say_what_happened(history: list[HistoryEvent], reading: Reading) -> None:
    inputs = encode_history(history, CATALOG, reading, NOW)
    known = [e for e in history if e.item in CATALOG]
    kept = known[reading.start(len(known)) :]
    length = max(reading.shortest, len(kept))
    assert inputs.dropped == len(history) - len(known)
    assert inputs.codes.shape == (1, length, 2)
    assert inputs.codes.dtype == inputs.actions.dtype == inputs.gaps.dtype == inputs.ages.dtype == np.int64
    assert inputs.features.shape == (1, length, 3)
    assert inputs.features.dtype == np.float32
    pad = length - len(kept)
    assert (inputs.codes[0, :pad] == CATALOG.codebook_size).all()
    assert not inputs.actions[0, :pad].any()
    assert not inputs.gaps[0, :pad].any()
    assert not inputs.ages[0, :pad].any()
    assert not inputs.features[0, :pad].any()
    for i, event in enumerate(kept):
        following = kept[i + 1].at if i + 1 < len(kept) else NOW
        assert inputs.codes[0, pad + i].tolist() == CATALOG.codes[CATALOG.index_of(event.item)].tolist()
        assert inputs.actions[0, pad + i] == event.action
        expected = 1 + min(math.floor(math.log2(max(1, following - event.at))), 30)
        assert inputs.gaps[0, pad + i] == expected
        assert inputs.ages[0, pad + i] == NOW - event.at
        row = CATALOG.index_of(event.item)
        np.testing.assert_allclose(inputs.features[0, pad + i], FEATURES[row], atol=8 / 127)


@given(st.lists(events, min_size=1, max_size=4), st.integers(1, 8))
def test_a_batch_is_its_rows(histories: list[list[HistoryEvent]], length: int) -> None:
    rows = np.full((len(histories), length), -1, dtype=np.int64)
    actions = np.full((len(histories), length), 99, dtype=np.int64)  # ignored where padded
    at = np.full((len(histories), length), -5, dtype=np.int64)
    for n, history in enumerate(histories):
        kept = [e for e in history if e.item in CATALOG][-length:]
        for i, event in enumerate(kept, start=length - len(kept)):
            rows[n, i], actions[n, i], at[n, i] = CATALOG.index_of(event.item), event.action, event.at
    batch = encode_batch(rows, actions, at, np.full(len(histories), NOW), CATALOG)
    for n, history in enumerate(histories):
        single = encode_history(history, CATALOG, Reading(length, length), NOW)
        for together, alone in zip(batch.arrays(), single.arrays(), strict=True):
            np.testing.assert_array_equal(together[n : n + 1], alone)


@given(st.integers(0, 45))
def test_gap_buckets_change_exactly_at_powers_of_two(power: int) -> None:
    edge = 1 << power
    below, at, above = gap_buckets(np.array([max(edge - 1, 0), edge, edge + 1], dtype=np.int64))
    assert at == min(power, 30) + 1
    assert below == min(max(power - 1, 0), 30) + 1
    assert above == (1 + min(1, 30) if power == 0 else at)


def test_gap_buckets_stay_in_the_embedding_table() -> None:
    extremes = gap_buckets(np.array([-(1 << 40), -1, 0, 1, 1 << 40], dtype=np.int64))
    assert extremes.tolist() == [1, 1, 1, 1, N_GAPS - 1]
    assert N_GAPS == 32
    assert N_ACTIONS == 7


def _encode(rows: list[int], actions: list[int]) -> None:
    times = np.zeros((1, len(rows)), np.int64)
    encode_batch(np.array([rows]), np.array([actions]), times, np.array([NOW]), CATALOG)


@pytest.mark.parametrize(
    ("rows", "actions"),
    [([9], [1]), ([-2], [1]), ([0, -1], [1, 1]), ([0], [0]), ([0], [7]), ([0], [-1]), ([0], [1, 1])],
)
def test_rows_and_actions_out_of_range_are_refused(rows: list[int], actions: list[int]) -> None:
    with pytest.raises(HistoryInvalid):
        _encode(rows, actions)


@pytest.mark.parametrize("at", [-1, 1 << 41, 1 << 70])
def test_times_that_are_not_unix_seconds_are_refused(at: int) -> None:
    with pytest.raises(HistoryInvalid, match="Unix seconds"):
        encode_history([HistoryEvent("i1", Action.VIEW, at)], CATALOG, Reading(4), NOW)
    with pytest.raises(HistoryInvalid, match="Unix seconds"):
        encode_history([], CATALOG, Reading(4), at)


@pytest.mark.parametrize("numbers", [(0, 0, 1), (3, 4, 1), (3, 0, 1), (3, 2, 0), (3, 2, 4)])
def test_a_reading_has_sensible_numbers(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(HistoryInvalid, match="shortest"):
        Reading(*numbers)
