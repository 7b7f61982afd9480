from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, SplitConfig, Stage, leave_last_out, make_split
from server_training.errors import ConfigInvalid


def data_of(sequences: list[list[tuple[int, int]]]) -> SequenceData:
    """Users ``u000``… with (item, timestamp) events in file order."""
    rows = [
        (f"u{user:03}", f"i{item}", at, "view", 1.0) for user, events in enumerate(sequences) for item, at in events
    ]
    frame = pl.DataFrame(rows, schema=c.INTERACTIONS_SCHEMA, orient="row")
    items = [(item, "", "", []) for item in sorted(set(frame[c.ITEM]))]
    return SequenceData.from_frames(frame, pl.DataFrame(items, schema=c.ITEMS_SCHEMA, orient="row"))


SEQUENCES = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=8), min_size=1, max_size=8
)


@given(SEQUENCES)
def test_the_last_event_tests_and_the_one_before_validates(sequences: list[list[tuple[int, int]]]) -> None:
    sequences.append([(0, 1), (1, 2), (2, 3)])
    split = leave_last_out(data_of(sequences))
    ids = split.data.item_ids
    train = iter(split.train_events().tolist())
    evaluated = iter(range(len(split.users(Stage.TEST))))
    for user, events in enumerate(sequences):
        ordered = [f"i{item}" for item, _ in sorted(events, key=lambda event: event[1])]
        held = 2 if len(events) >= 3 else 0
        assert [ids[split.data.items[next(train)]] for _ in ordered[held:]] == ordered[: len(ordered) - held]
        if held:
            row = next(evaluated)
            assert split.users(Stage.TEST)[row] == user
            assert ids[split.targets(Stage.VALID)[row]] == ordered[-2]
            assert ids[split.targets(Stage.TEST)[row]] == ordered[-1]
            for stage, known in ((Stage.VALID, ordered[:-2]), (Stage.TEST, ordered[:-1])):
                assert [ids[item] for item in split.data.items[split.history(user, stage)]] == known
                assert split.history(user, stage).stop == split.target_events(stage)[row]
    assert next(train, None) is None
    assert next(evaluated, None) is None


def test_ties_in_time_keep_the_order_of_the_file_and_are_counted() -> None:
    split = leave_last_out(data_of([[(3, 7), (1, 7), (2, 7)], [(1, 1), (2, 2), (3, 3)]]))
    assert [split.data.item_ids[item] for item in split.targets(Stage.TEST)] == ["i2", "i3"]
    assert split.tied_targets == 1


def test_a_split_without_anyone_to_evaluate_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="at least 3 events, the longest has 2"):
        leave_last_out(data_of([[(1, 1), (2, 2)]]))


def test_all_events_of_a_short_user_teach() -> None:
    split = leave_last_out(data_of([[(1, 1), (2, 2)], [(1, 1), (2, 2), (3, 3)]]))
    assert np.array_equal(split.train_events(), [0, 1, 2])
    assert split.history(0, Stage.TEST) == slice(0, 2)
    assert isinstance(split, Split)


@given(SEQUENCES, st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_two_moments_divide_everyone(sequences: list[list[tuple[int, int]]], valid: float, test: float) -> None:
    data = data_of(sequences)
    times = sorted(at for events in sequences for _, at in events)
    first, second = times[int(len(times) * (1 - (valid + test)))], times[int(len(times) * (1 - test))]
    try:
        split = make_split(data, SplitConfig("temporal", valid, test))
    except ConfigInvalid:
        split = None
    expected: dict[Stage, dict[int, tuple[list[str], str]]] = {Stage.VALID: {}, Stage.TEST: {}}
    teaching = 0
    for user, events in enumerate(sequences):
        ordered = sorted(events, key=lambda event: event[1])
        teaching += sum(at < first for _, at in ordered)
        for stage, start, stop in ((Stage.VALID, first, second), (Stage.TEST, second, np.inf)):
            known = [f"i{item}" for item, at in ordered if at < start]
            later = [f"i{item}" for item, at in ordered if start <= at < stop]
            if known and later:
                expected[stage][user] = (known, later[0])
    if split is None:
        assert not all(expected.values())
        return
    assert len(split.train_events()) == teaching
    ids = data.item_ids
    for stage, wanted in expected.items():
        assert split.users(stage).tolist() == list(wanted)
        for user, target in zip(split.users(stage).tolist(), split.targets(stage), strict=True):
            assert ([ids[item] for item in data.items[split.history(user, stage)]], ids[target]) == wanted[user]


def test_settings_of_a_split_are_checked() -> None:
    for wrong in ({"rule": "random"}, {"valid_share": 0.0}, {"test_share": 1.0}, {"test_share": float("nan")}):
        with pytest.raises(ConfigInvalid):
            SplitConfig(**wrong)  # type: ignore[arg-type]


def test_fewer_people_may_be_validated_and_nothing_else_changes() -> None:
    split = leave_last_out(data_of([[(item, 10 * item) for item in range(4)] for _ in range(50)]))
    fewer = split.with_fewer_validated(7, seed=1)
    assert len(set(fewer.users(Stage.VALID).tolist())) == 7
    assert set(fewer.users(Stage.VALID).tolist()) <= set(split.users(Stage.VALID).tolist())
    assert (np.diff(fewer.users(Stage.VALID)) > 0).all()
    assert fewer.users(Stage.VALID).tolist() == split.with_fewer_validated(7, seed=1).users(Stage.VALID).tolist()
    assert fewer.users(Stage.VALID).tolist() != split.with_fewer_validated(7, seed=2).users(Stage.VALID).tolist()
    assert fewer.targets(Stage.VALID).shape == (7,)
    assert fewer.users(Stage.TEST).tolist() == split.users(Stage.TEST).tolist()
    assert fewer.train_events().tolist() == split.train_events().tolist()
    for most in (0, 50, 51):
        assert split.with_fewer_validated(most, seed=1) is split
