"""Leave-last-out: which events teach, which validate, which test.

A user with at least three events gives the last one to the test, the one before to validation, the rest to
training; a user with fewer is for training only. "Last" is by time; events of one second count in the order
of the source file (see ``dataset.py``). How many test events share their second with the event before is in
:attr:`Split.tied_targets`: for those the rule, not time, decided. Compare numbers only on the same data and
rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from server_training.data.dataset import SequenceData
from server_training.errors import ConfigInvalid

RULE = "leave-last-out, users with >= 3 events: test last, valid second last; equal times in source file order"
_FEWEST = 3


class Stage(Enum):
    """Which held-out event is predicted: the second last or the last."""

    VALID = "valid"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Split:
    """A division of :class:`SequenceData` into training, validation and test.

    Attributes:
        data: the events divided.
        train_stop: int64 ``[U]``: the training events of user ``u`` are ``data.offsets[u]:train_stop[u]``.
        users: int64 ``[E]``, the users evaluated, ascending.
    """

    data: SequenceData
    train_stop: NDArray[np.int64]
    users: NDArray[np.int64]

    def target_events(self, stage: Stage) -> NDArray[np.int64]:
        """Int64 ``[E]``: the held-out event of each evaluated user."""
        return self.train_stop[self.users] + (stage is Stage.TEST)

    def targets(self, stage: Stage) -> NDArray[np.int32]:
        """Int32 ``[E]``: the item to be predicted for each evaluated user."""
        return self.data.items[self.target_events(stage)]

    def history(self, user: int, stage: Stage) -> slice:
        """The events known when the target of ``user`` is predicted: everything before it.

        A user who is not evaluated has the whole sequence as history.
        """
        events = self.data.events_of(user)
        stop = int(self.train_stop[user])
        return slice(events.start, min(stop + (stage is Stage.TEST), events.stop))

    def train_events(self) -> NDArray[np.int64]:
        """Int64: the indices of all training events, user after user in time order."""
        events = np.arange(len(self.data.items), dtype=np.int64)
        stop_of_owner = np.repeat(self.train_stop, np.diff(self.data.offsets))
        return events[events < stop_of_owner]

    @property
    def tied_targets(self) -> int:
        """How many test events have the same timestamp as the event before."""
        last = self.target_events(Stage.TEST)
        return int(np.sum(self.data.timestamps[last] == self.data.timestamps[last - 1]))


def leave_last_out(data: SequenceData) -> Split:
    """Divide ``data`` by the rule of this module.

    Raises:
        ConfigInvalid: no user has enough events, so nothing could be evaluated.
    """
    lengths = np.diff(data.offsets)
    evaluated = lengths >= _FEWEST
    if not evaluated.any():
        raise ConfigInvalid(f"expected a user with at least {_FEWEST} events, the longest has {lengths.max()}")
    return Split(data, data.offsets[1:] - 2 * evaluated, np.flatnonzero(evaluated))
