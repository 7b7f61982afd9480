"""One author's adjacency list as a checked value, and the age decay of its weights.

Knows nothing of the graph, of signatures, or of how a list travelled here. Peers and items are any hashable
keys.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType

from trust.errors import ConfigError, WeightError


@dataclass(frozen=True, slots=True)
class AuthorEdges:
    """Everything one author states: whom it trusts and which items it vouches for.

    The mappings are copied and read-only, so a value that exists stays valid. Only the ratios between one
    author's weights matter later: each author's lists are normalised to sum to 1.

    Attributes:
        trust: peer → weight, finite and above zero.
        items: item → weight, finite and above zero.

    Raises:
        WeightError: A weight is NaN, infinite, zero, negative or no number.
    """

    trust: Mapping[Hashable, float]
    items: Mapping[Hashable, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "trust", _checked(self.trust, "trust"))
        object.__setattr__(self, "items", _checked(self.items, "item"))


def _checked(weights: Mapping[Hashable, float], kind: str) -> Mapping[Hashable, float]:
    return MappingProxyType({key: _checked_weight(weight, kind, key) for key, weight in weights.items()})


def _checked_weight(weight: float, kind: str, key: Hashable) -> float:
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
    return max(_checked_weight(weight, "decaying", "…") * remaining, sys.float_info.min)
