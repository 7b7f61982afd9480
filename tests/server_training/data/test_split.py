from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, Stage, leave_last_out
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
    evaluated = iter(range(len(split.users)))
    for user, events in enumerate(sequences):
        ordered = [f"i{item}" for item, _ in sorted(events, key=lambda event: event[1])]
        held = 2 if len(events) >= 3 else 0
        assert [ids[split.data.items[next(train)]] for _ in ordered[held:]] == ordered[: len(ordered) - held]
        if held:
            row = next(evaluated)
            assert split.users[row] == user
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
