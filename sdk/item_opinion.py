"""What a history says of each item: a level and a day, kept up to date event by event, so that nobody replays millions.

Repeated good actions raise an item's level, a dislike or a skip takes everything back. An event that is older than one
that was folded in already makes the item's own events, and only those, be read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from device_runtime import Action
from sdk.actions import IMPRESSION, PLAY

DAY_S = 86_400
MAX_LEVEL = 3
# How strongly an action speaks for an item.
LEVEL_OF_ACTION = {Action.VIEW: 1, PLAY: 1, Action.LIKE: 2, Action.SAVE: 2, Action.BUY: 3}
TAKES_BACK = frozenset({Action.DISLIKE, Action.SKIP})


@dataclass(frozen=True, slots=True)
class ItemOpinion:
    """What the history says of one item: level 1..3, the day it last said so, and by which stored actions."""

    item: str
    level: int
    day: int
    actions: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ItemState:
    """What all events of one item come to.

    Attributes:
        level: 0 to 3; 0 for no opinion.
        day: of the last event that spoke for it.
        actions: those that speak for it since the last that took everything back, as bits 1 << action.
        seen: whether the person did anything with it.
        shown: whether it was shown.
        last_at: Unix seconds of the newest event.
    """

    level: int = 0
    day: int = 0
    actions: int = 0
    seen: bool = False
    shown: bool = False
    last_at: int = 0

    def after(self, action: int, at: int) -> ItemState:
        """Return the state after one more event, no older than those before."""
        if action == IMPRESSION:
            return replace(self, shown=True, last_at=at)
        if action in TAKES_BACK:
            return ItemState(seen=True, shown=self.shown, last_at=at)
        own = LEVEL_OF_ACTION[action]
        level = own if self.level == 0 else min(MAX_LEVEL, max(self.level + 1, own))
        return ItemState(level, at // DAY_S, self.actions | 1 << action, True, self.shown, at)


def state_of(events: Iterable[tuple[int, int]]) -> ItemState:
    """Return the state after (action, at) events in time order."""
    state = ItemState()
    for action, at in events:
        state = state.after(action, at)
    return state


def actions_of(bits: int) -> frozenset[int]:
    """Return the actions that a state's bits stand for."""
    return frozenset(number for number in range(bits.bit_length()) if bits >> number & 1)
