"""What leaves the device, and only after the person or the app chose it: the policy.

`PRIVATE` shares nothing. `ITEMS` shares the strongest liked items. `NETWORK` shares those and the strongest vouches.
What is shared is coarse: three levels instead of counts, whole days or weeks instead of times. With `epsilon` set,
items are told by randomised response (`sdk.randomised_response`): some that the person likes are left out, some that
the person never touched are told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, ClassVar

from p2p import MAX_ITEM_EDGES, MAX_TRUST_EDGES
from sdk.actions import action_name, action_number
from sdk.errors import InvalidInput
from sdk.item_opinion import LEVEL_OF_ACTION

MAX_EPSILON = 16.0
SPEAKING_ACTIONS = frozenset(action_name(number) for number in LEVEL_OF_ACTION)
"""Names of the actions that can speak for an item."""
_LISTED = {"actions", "categories", "deny_categories", "deny_items"}


class SharingLevel(Enum):
    """How much a device tells its peers: nothing, items, or items and vouches."""

    PRIVATE = "private"
    ITEMS = "items"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class SharingPolicy:
    """What a device tells its peers.

    Attributes:
        level: nothing, items, or items and vouches.
        actions: which actions let an item out; a dislike or skip always takes it back. Whatever was done raises the
            level of an item that is told.
        categories: only items of one of these; None for all.
        deny_categories: never an item of one of these.
        deny_items: never these.
        max_items: most items in one record, up to 64.
        max_vouches: most vouches in one record, up to 32.
        new_per_epoch: most items that may be new in one epoch.
        epoch_days: length of an epoch: days are told rounded down to it (1: days, 7: weeks).
        epsilon: the ε of the randomised answer that is given about each item; None tells items as they are.
        truth: with ε, the share of liked items that are told.
        made_up: with ε, how many items are told, on average, that the person never liked. Together with ε it decides
            about how many items answers are given: the `made_up / q` most popular ones that the policy allows, where
            q = truth · e^−ε is the chance of one made-up answer.
        renew_days: with ε, days after which an item is asked about again; each answer costs its ε.

    Raises:
        InvalidInput: with everything that is wrong.
    """

    level: SharingLevel = SharingLevel.PRIVATE
    actions: frozenset[str] = SPEAKING_ACTIONS - {"view", "play"}
    categories: frozenset[str] | None = None
    deny_categories: frozenset[str] = frozenset()
    deny_items: frozenset[str] = frozenset()
    max_items: int = MAX_ITEM_EDGES
    max_vouches: int = MAX_TRUST_EDGES
    new_per_epoch: int = MAX_ITEM_EDGES
    epoch_days: int = 1
    epsilon: float | None = None
    truth: float = 0.5
    made_up: float = 16.0
    renew_days: int = 365

    PRIVATE: ClassVar[SharingPolicy]
    ITEMS: ClassVar[SharingPolicy]
    NETWORK: ClassVar[SharingPolicy]

    def __post_init__(self) -> None:
        """Check every field."""
        wrong = list(_faults(self))
        if wrong:
            raise InvalidInput("the sharing policy is invalid: " + "; ".join(wrong))

    @property
    def shares_items(self) -> bool:
        """Whether any item may be told."""
        return self.level is not SharingLevel.PRIVATE

    @property
    def shares_vouches(self) -> bool:
        """Whether any vouch may be told."""
        return self.level is SharingLevel.NETWORK

    @property
    def action_numbers(self) -> frozenset[int]:
        """The numbers of `actions` in the store."""
        return frozenset(action_number(name) for name in self.actions)

    def epoch_of(self, day: int) -> int:
        """Return the first day of the epoch that a day (days since 1970) lies in."""
        return max(0, day) // self.epoch_days * self.epoch_days

    def as_json(self) -> dict[str, Any]:
        """Return the policy as JSON values; `from_json` takes them back."""
        content: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            content[name] = sorted(value) if isinstance(value, frozenset) else value
        return content | {"level": self.level.value}

    @classmethod
    def from_json(cls, content: object) -> SharingPolicy:
        """Read a policy; what is left out has its default, and a text is the name of a preset.

        Raises:
            InvalidInput: with everything that is wrong.
        """
        known = {field.name for field in fields(cls)}
        if isinstance(content, str):
            content = {"level": content}
        if not isinstance(content, Mapping):
            raise InvalidInput("a sharing policy is a JSON object")
        if unknown := sorted(str(name) for name in content if name not in known):
            raise InvalidInput(f"a sharing policy has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        values: dict[str, Any] = {name: _listed(v) if name in _LISTED else v for name, v in content.items()}
        if "level" in values:
            values["level"] = _level(values["level"])
        if isinstance(values.get("actions"), frozenset):
            values["actions"] = frozenset(map(_canonical, values["actions"]))
        return cls(**values)

    def changed(self, settings: Iterable[str]) -> SharingPolicy:
        """Return the policy after `name=value` settings, as the command line gives them.

        Lists are separated by commas; `none` stands for no value.

        Raises:
            InvalidInput: a setting is not of that form, or the policy that results is invalid.
        """
        content = self.as_json()
        for setting in settings:
            name, separator, text = setting.partition("=")
            if not separator or name not in content:
                raise InvalidInput(f"{setting!r} is not NAME=VALUE; names are {', '.join(sorted(content))}")
            content[name] = _parsed(name, text.strip())
        return self.from_json(content)


def _faults(policy: SharingPolicy) -> Iterable[str]:
    if not isinstance(policy.level, SharingLevel):
        yield f"level must be private, items or network, got {policy.level!r}"
    for name in sorted(_LISTED):
        value = getattr(policy, name)
        if not (isinstance(value, frozenset) and all(isinstance(text, str) for text in value)) and not (
            name == "categories" and value is None
        ):
            yield f"{name} must be a set of texts"
    if isinstance(policy.actions, frozenset) and (unknown := policy.actions - SPEAKING_ACTIONS):
        yield f"actions may be {', '.join(sorted(SPEAKING_ACTIONS))}, got {', '.join(sorted(map(str, unknown)))}"
    yield from _faulty_counts(policy)
    if policy.epsilon is not None and not _is_within(policy.epsilon, 0.01, MAX_EPSILON):
        yield f"epsilon must be between 0.01 and {MAX_EPSILON:g}, or none, got {policy.epsilon!r}"
    if not _is_within(policy.truth, 0.05, 0.95):
        yield f"truth must be between 0.05 and 0.95, got {policy.truth!r}"
    if not _is_within(policy.made_up, 1, MAX_ITEM_EDGES):
        yield f"made_up must be between 1 and {MAX_ITEM_EDGES}, got {policy.made_up!r}"


def _faulty_counts(policy: SharingPolicy) -> Iterable[str]:
    bounds = {
        "max_items": (0, MAX_ITEM_EDGES),
        "max_vouches": (0, MAX_TRUST_EDGES),
        "new_per_epoch": (1, MAX_ITEM_EDGES),
        "epoch_days": (1, 366),
        "renew_days": (30, 36_500),
    }
    for name, (least, most) in bounds.items():
        value = getattr(policy, name)
        if type(value) is not int or not least <= value <= most:
            yield f"{name} must be a whole number between {least} and {most}, got {value!r}"


def _is_within(value: object, least: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and least <= value <= most


def _listed(value: object) -> object:
    """Make a JSON list of texts a set; anything else is left for the check to refuse."""
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return frozenset(map(str, value))
    return value


def _canonical(action: str) -> str:
    try:
        return action_name(action_number(action))
    except InvalidInput:
        return action  # left for the check to refuse


def _level(value: object) -> object:
    try:
        return SharingLevel(value)
    except ValueError:
        return value


def _parsed(name: str, text: str) -> object:
    if text.lower() == "none":
        return [] if name in _LISTED - {"categories"} else None
    if name == "level":
        return text
    if name in _LISTED:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


POLICY_FIELDS = tuple(field.name for field in fields(SharingPolicy))
SharingPolicy.PRIVATE = SharingPolicy()
SharingPolicy.ITEMS = replace(SharingPolicy.PRIVATE, level=SharingLevel.ITEMS)
SharingPolicy.NETWORK = replace(SharingPolicy.PRIVATE, level=SharingLevel.NETWORK)
