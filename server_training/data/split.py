"""Which events teach, which validate, which test.

Leave-last-out: a user with at least three events gives the last one to the test, the one before to validation, the
rest to training; a user with fewer is for training only. "Last" is by time; events of one second count in the order of
the source file (see ``dataset.py``). How many test events share their second with the event before is in
:attr:`Split.tied_targets`: for those the rule, not time, decided.

Temporal: two moments divide everyone's events alike, as in service, where nobody's future teaches. Predicted is each
user's first event in the period after, from what the user did before it.

Compare numbers only on the same data and rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from server_training.data.dataset import SequenceData
from server_training.errors import ConfigInvalid

_LAST_OUT = "leave-last-out, users with >= 3 events: test last, valid second last; equal times in source file order"
_FEWEST = 3

Rule = Literal["leave-last-out", "temporal"]


class Stage(Enum):
    """Which held-out events are predicted."""

    VALID = "valid"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How events are divided.

    Attributes:
        rule: by each user's last events, or by time for all.
        valid_share, test_share: of all events, for ``temporal``.
    """

    rule: Rule = "leave-last-out"
    valid_share: float = 0.1
    test_share: float = 0.1

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ConfigInvalid(f"rule must be one of {', '.join(get_args(Rule))}, got {self.rule!r}")
        if not (self.valid_share > 0 and self.test_share > 0 and self.valid_share + self.test_share < 1):
            raise ConfigInvalid(f"expected shares above 0, together below 1, got {self.valid_share}, {self.test_share}")


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """What is predicted at one stage.

    Attributes:
        stops: int64 ``[U]``: user ``u``'s events before ``stops[u]`` are known.
        users: int64 ``[E]``, the users evaluated, ascending; each one's target is the event at its stop.
    """

    stops: NDArray[np.int64]
    users: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """A division of :class:`SequenceData` into training, validation and test.

    Attributes:
        data: the events divided.
        rule: how, in words.
        train_stop: int64 ``[U]``: the training events of user ``u`` are ``data.offsets[u]:train_stop[u]``.
    """

    data: SequenceData
    rule: str
    train_stop: NDArray[np.int64]
    _valid: _HeldOut
    _test: _HeldOut

    def users(self, stage: Stage) -> NDArray[np.int64]:
        """Int64 ``[E]``: the users evaluated at a stage, ascending."""
        return self._held(stage).users

    def target_events(self, stage: Stage) -> NDArray[np.int64]:
        """Int64 ``[E]``: the held-out event of each evaluated user."""
        held = self._held(stage)
        return held.stops[held.users]

    def targets(self, stage: Stage) -> NDArray[np.int32]:
        """Int32 ``[E]``: the item to be predicted for each evaluated user."""
        return self.data.items[self.target_events(stage)]

    def history(self, user: int, stage: Stage) -> slice:
        """The events of a user, evaluated or not, that are known at a stage."""
        return slice(int(self.data.offsets[user]), int(self._held(stage).stops[user]))

    def with_fewer_validated(self, most: int, seed: int) -> Split:
        """The same division with at most `most` of its validation users, drawn by `seed`; all where `most` is 0."""
        users = self._valid.users
        if not 0 < most < len(users):
            return self
        kept = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
        return replace(self, _valid=_HeldOut(self._valid.stops, kept))

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

    def _held(self, stage: Stage) -> _HeldOut:
        return self._valid if stage is Stage.VALID else self._test


def make_split(data: SequenceData, config: SplitConfig | None = None) -> Split:
    """Divide ``data``.

    Raises:
        ConfigInvalid: nobody could be evaluated.
    """
    config = config or SplitConfig()
    if config.rule == "leave-last-out":
        return leave_last_out(data)
    return temporal(data, config.valid_share, config.test_share)


def leave_last_out(data: SequenceData) -> Split:
    """Divide ``data`` by each user's last two events.

    Raises:
        ConfigInvalid: no user has enough events, so nothing could be evaluated.
    """
    lengths = np.diff(data.offsets)
    evaluated = lengths >= _FEWEST
    if not evaluated.any():
        raise ConfigInvalid(f"expected a user with at least {_FEWEST} events, the longest has {lengths.max()}")
    users = np.flatnonzero(evaluated)
    train_stop = data.offsets[1:] - 2 * evaluated
    valid, test = _HeldOut(train_stop, users), _HeldOut(train_stop + evaluated, users)
    return Split(data, _LAST_OUT, train_stop, valid, test)


def temporal(data: SequenceData, valid_share: float, test_share: float) -> Split:
    """Divide ``data`` at two moments, the last ``valid_share + test_share`` of all events after the first of them.

    Raises:
        ConfigInvalid: a period in which no user with a history has an event.
    """
    times = np.sort(data.timestamps)
    first, second = (int(times[int(len(times) * (1.0 - share))]) for share in (valid_share + test_share, test_share))
    train_stop, test_stop = _stops(data, first), _stops(data, second)
    has_history = train_stop > data.offsets[:-1]
    valid = _HeldOut(train_stop, np.flatnonzero(has_history & (test_stop > train_stop)))
    known = test_stop > data.offsets[:-1]
    test = _HeldOut(test_stop, np.flatnonzero(known & (data.offsets[1:] > test_stop)))
    for name, held in (("validation", valid), ("test", test)):
        if not len(held.users):
            raise ConfigInvalid(
                f"nobody with earlier events has one in the {name} period; use larger shares, or leave-last-out"
            )
    rule = (
        f"temporal: training before {first}, validation from then, test from {second} (unix seconds; {valid_share:g} "
        f"and {test_share:g} of all events); each user's first event of a period, after at least one earlier event"
    )
    return Split(data, rule, train_stop, valid, test)


def _stops(data: SequenceData, moment: int) -> NDArray[np.int64]:
    """Int64 ``[U]``: where each user's events before a moment end."""
    before = np.concatenate([[0], np.cumsum(data.timestamps < moment)])
    stops: NDArray[np.int64] = data.offsets[:-1] + np.diff(before[data.offsets])
    return stops
