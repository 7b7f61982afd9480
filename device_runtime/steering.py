"""What one request may steer: asks, which condition the model's answer, and priors, which weigh its adapter heads.

An ask is a place among what people of the training data did, 0 to 1: `Ask(novelty=0.9)` asks for items as uncommon as
those that one in ten of them took up. It is given to the program as one of a few levels, 0 where nothing is asked.

A prior is the weight of one adapter head, added to the score of every item: a weight of 1 counts the head as much as
the model itself. `taxonomy:NAME` is not a head but a slider: it adds its weight, in natural log-odds, to the items of
one category.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_runtime.errors import NotSteerable
from device_runtime.sequence import Action

ASKS = ("engagement", "advantage", "novelty", "diversity")
TAXONOMY = "taxonomy"
INTERESTS = ("long", "short")
ACTIONS = tuple(action.name.lower() for action in Action if action is not Action.PAD)
ADAPTERS = (*INTERESTS, *ACTIONS, TAXONOMY)
MAX_ASK_LEVELS = 32
MAX_WEIGHT = 100.0
_SLIDER = TAXONOMY + ":"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks of the model, each from 0 (as little as people had) to 1 (as much); None asks nothing.

    Attributes:
        engagement: how much people were to like what came, from here on (return-to-go).
        advantage: how much more they were to like it than what came before (temporal advantage).
        novelty: how uncommon the item is.
        diversity: how far the item is from the last few of the history.
    """

    engagement: float | None = None
    advantage: float | None = None
    novelty: float | None = None
    diversity: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            NotSteerable: one is not from 0 to 1.
        """
        for name, value in self.given().items():
            if not _is_number(value) or not 0 <= value <= 1:
                raise NotSteerable(f"{name} is asked for by a number from 0 to 1, got {value!r}")

    def given(self) -> dict[str, float]:
        """Return what is asked, by name."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Steered:
    """A request's wishes in the model's terms.

    Attributes:
        asks: int64 [1, A], 0 where nothing is asked.
        queries: float32 [H], weights of the adapter heads that give queries.
        taxonomy: weight of the head that gives a logit per category.
        sliders: float32 [C], added to the logits of the categories.
    """

    asks: NDArray[np.int64]
    queries: NDArray[np.float32]
    taxonomy: float
    sliders: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Steering:
    """What the requests to one model may steer.

    Attributes:
        asks: names, a selection of `ASKS`.
        ask_levels: levels of each.
        adapters: names, a selection of `ADAPTERS`.
        weights: of the adapters where a request says nothing.
        categories: names of the catalog's, in its order; empty for a model without the taxonomy head.
    """

    asks: tuple[str, ...] = ()
    ask_levels: int = 1
    adapters: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    categories: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what a request may name, and the weights that priors have where it says nothing, as JSON values."""
        return {"asks": list(self.asks), "priors": dict(self.weights), "categories": list(self.categories)}

    def steered(self, ask: Ask | None = None, priors: Mapping[str, float] | None = None) -> Steered:
        """Return a request's wishes in the model's terms.

        Args:
            ask: what it asks of the model.
            priors: weights by name; adapters that it does not name keep theirs.

        Raises:
            NotSteerable: the model cannot be asked so or has no such head or category, or a weight is not usable.
        """
        weights = dict.fromkeys(self.adapters, 0.0) | dict(self.weights)
        sliders = np.zeros(len(self.categories), np.float32)
        for name, weight in (priors or {}).items():
            if not _is_number(weight) or abs(weight) > MAX_WEIGHT:
                raise NotSteerable(f"the weight of {name!r} must be -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, got {weight!r}")
            if name in self.adapters:
                weights[name] = float(weight)
            else:
                sliders[self._category(name)] = weight
        queries = [weights[name] for name in self.adapters if name != TAXONOMY]
        return Steered(self._levels(ask), np.array(queries, np.float32), weights.get(TAXONOMY, 0.0), sliders)

    def _levels(self, ask: Ask | None) -> NDArray[np.int64]:
        levels = np.zeros((1, len(self.asks)), np.int64)
        for name, value in ({} if ask is None else ask.given()).items():
            if name not in self.asks:
                known = f"it can for {', '.join(self.asks)}" if self.asks else "it was not trained for any asks"
                raise NotSteerable(f"this model cannot be asked for {name}; {known}")
            levels[0, self.asks.index(name)] = ask_level(value, self.ask_levels)
        return levels

    def _category(self, name: object) -> int:
        if isinstance(name, str) and name.startswith(_SLIDER) and self.categories:
            category = name.removeprefix(_SLIDER)
            if category in self.categories:
                return self.categories.index(category)
            known = ", ".join(self.categories[:20])
            raise NotSteerable(f"the catalog has no category {category!r}; it has {known}")
        known = ", ".join((*self.adapters, *([f"{_SLIDER}NAME"] if self.categories else [])))
        raise NotSteerable(f"this model has no prior {name!r}; it has {known or 'none'}")


def ask_level(value: float, levels: int) -> int:
    """Return the level, 1 to `levels`, of a place from 0 to 1."""
    return 1 + min(levels - 1, int(value * levels))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
