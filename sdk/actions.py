"""What a person can do with an item: names for apps, numbers for the store, and what of it the model reads.

Models know view, like, dislike, save, buy and skip (`device_runtime.Action`). The store knows two more:

* `play` (heard or watched through). The model reads it as a view: no published model has an input for it.
* `impression` (it was shown, and nothing came of it). It is kept and exported, but it is no model input, no opinion,
  and does not make an item seen, unless `RecommenderConfig.hide_shown` asks for that: what was merely shown would
  otherwise push everything else out of a short history.
"""

from __future__ import annotations

from device_runtime import Action
from sdk.errors import InvalidInput

PLAY = 16  # far above the model's numbers, which may grow
IMPRESSION = 17

_NUMBERS = {action.name.lower(): int(action) for action in Action if action is not Action.PAD} | {
    "play": PLAY,
    "impression": IMPRESSION,
}
_ALIASES = {"purchase": int(Action.BUY)}
_NAMES = {number: name for name, number in _NUMBERS.items()}
ACTION_NAMES = tuple(_NUMBERS)
ACTION_NUMBERS = frozenset(_NAMES)


def action_number(name: str) -> int:
    """Return the number that the store keeps for an action.

    Raises:
        InvalidInput: there is no such action.
    """
    known = _NUMBERS | _ALIASES
    number = known.get(name.lower()) if isinstance(name, str) else None
    if number is None:
        raise InvalidInput(f"action must be one of {', '.join(known)}; got {name!r}")
    return number


def action_name(number: int) -> str:
    """Return the name of a stored action."""
    return _NAMES[number]


def model_action(number: int) -> Action | None:
    """Return what the model reads for a stored action, None where it reads nothing."""
    if number == IMPRESSION:
        return None
    return Action.VIEW if number == PLAY else Action(number)
