"""One author's adjacency list as a checked value, and the age decay of its weights.

Knows nothing of the graph, of signatures, or of how a list travelled here. Peers and items are any hashable
keys.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType

from trust.errors import ConfigError, EdgeTimeError, WeightError

TRUST_HALF_LIFE_DAYS = 180.0
ITEM_HALF_LIFE_DAYS = 30.0
LAST_DAY = 2**31 - 1
DatedWeight = tuple[float, int]
"""A weight and the number of the day it was stated on."""


@dataclass(frozen=True, slots=True)
class AuthorEdges:
    """Everything one author states: whom it trusts and which items it vouches for.

    The mappings are copied and read-only, so a value that exists stays valid. Only the ratios between one
    author's weights matter later: each author's lists are normalised to sum to 1.

    Attributes:
        trust: peer → weight, finite and above zero.
        items: item → weight, finite and above zero.
        item_days: item → day of its edge, for items whose day is known; a ranking tells it as freshness.

    Raises:
        WeightError: A weight is NaN, infinite, zero, negative or no number.
        EdgeTimeError: A day is no number from 0 to 2,147,483,647, or dates an item that is not stated.
    """

    trust: Mapping[Hashable, float]
    items: Mapping[Hashable, float]
    item_days: Mapping[Hashable, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trust", _checked(self.trust, "trust"))
        object.__setattr__(self, "items", _checked(self.items, "item"))
        for item, day in self.item_days.items():
            _check_day(item, day, LAST_DAY)
            if item not in self.items:
                raise EdgeTimeError(f"a day is given for {item!r}, which is not among the items; state its weight too")
        object.__setattr__(self, "item_days", MappingProxyType(dict(self.item_days)))

    @classmethod
    def dated(
        cls,
        trust: Mapping[Hashable, DatedWeight],
        items: Mapping[Hashable, DatedWeight],
        *,
        today: int | None = None,
        trust_half_life: float = TRUST_HALF_LIFE_DAYS,
        item_half_life: float = ITEM_HALF_LIFE_DAYS,
    ) -> AuthorEdges:
        """Weigh edges by age: epoch decay γ, halved once per half-life (see `decay`).

        Age counts from the author's own newest edge of the kind, so idleness changes nothing: all edges of an author
        fade alike, and only ratios inside one author's list matter.

        Args:
            trust: peer → (weight, day number).
            items: item → (weight, day number).
            today: the current day number; edges dated later are refused. Not checked when None.
            trust_half_life: in days.
            item_half_life: in days.

        Raises:
            WeightError: A weight is not a finite number above zero.
            EdgeTimeError: A day is no day number, or lies after `today`.
            ConfigError: A half-life is not a finite number above zero.
        """
        last = LAST_DAY if today is None else today
        days = {item: day for item, (_, day) in items.items()}
        return cls(_decayed(trust, last, trust_half_life), _decayed(items, last, item_half_life), days)


def _decayed(edges: Mapping[Hashable, DatedWeight], last: int, half_life: float) -> dict[Hashable, float]:
    for key, (_, day) in edges.items():
        _check_day(key, day, last)
    days = {day for _, day in edges.values()}
    newest = max(days, default=0)
    left = {day: decay(1.0, newest - day, half_life) for day in days}  # a list has few days and many edges
    return {
        key: max(checked_weight(weight, "decaying", key) * left[day], sys.float_info.min)
        for key, (weight, day) in edges.items()
    }


def _check_day(key: Hashable, day: int, last: int) -> None:
    if type(day) is int and 0 <= day <= last:  # the usual case, a tenth of the time
        return
    if isinstance(day, bool) or not isinstance(day, Integral):
        raise EdgeTimeError(f"the edge to {key!r} needs a whole day number, got {day!r}")
    if not 0 <= day <= last:
        raise EdgeTimeError(f"the edge to {key!r} is dated day {day}, outside 0 … {last}; check the author's clock")


def _checked(weights: Mapping[Hashable, float], kind: str) -> Mapping[Hashable, float]:
    return MappingProxyType({key: checked_weight(weight, kind, key) for key, weight in weights.items()})


def checked_weight(weight: float, kind: str, key: Hashable) -> float:
    """Return a weight as a float.

    Raises:
        WeightError: it is not a finite number above zero.
    """
    if type(weight) is float and 0.0 < weight < math.inf:  # the usual case, a tenth of the time
        return weight
    if isinstance(weight, bool) or not isinstance(weight, Real):
        raise WeightError(
            f"the {kind} edge to {key!r} needs a number as its weight, got {type(weight).__name__}; "
            "state a finite weight above zero"
        )
    try:
        value = float(weight)
    except OverflowError:  # an int beyond the floats
        value = math.inf
    if not math.isfinite(value) or value <= 0.0:
        raise WeightError(
            f"the {kind} edge to {key!r} needs a finite weight above zero, got {value}; "
            "leave an edge out to withdraw it"
        )
    return value


def decay(weight: float, age_days: float, half_life_days: float) -> float:
    """Halve an edge weight once per half-life of its age (the epoch decay γ of MeritRank).

    Decay belongs on the edges, where it only shifts an author's emphasis to newer ones; on scores it can
    raise an attacker's gain. If all edges of an author are equally old, nothing changes. A weight never
    decays to zero: an old edge stays an edge.

    Args:
        weight: The undecayed weight, above zero.
        age_days: Age of the edge in days, zero or more.
        half_life_days: Days after which the weight has halved, above zero.

    Raises:
        ConfigError: The age or the half-life is out of range.
        WeightError: The weight is not a finite number above zero.
    """
    if not (math.isfinite(age_days) and age_days >= 0.0):
        raise ConfigError(f"age_days must be finite and at least 0, got {age_days}; check the edge's date")
    if not (math.isfinite(half_life_days) and half_life_days > 0.0):
        raise ConfigError(f"half_life_days must be finite and above 0, got {half_life_days}")
    remaining = math.exp2(-age_days / half_life_days)
    return max(checked_weight(weight, "decaying", "…") * remaining, sys.float_info.min)
