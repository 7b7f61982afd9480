"""What every training event would have been the answer to: asks by hindsight, as levels.

For the event t of a person, r_t its value, rows of the paper TADT-CSA in its notation:

===========  ===========================================================================================================
engagement   return-to-go RTG_t = sum_{k >= t} gamma^(k-t) r_k, divided by sum gamma^(k-t) over the same events
advantage    TA_t = sum_{i <= t} gamma^(t-i) (RTG_i - RTG_{i-1}), with RTG_{-1} = RTG_0
novelty      self-information -log2 p(item), p its share of all training events (after Castells, Hurley, Vargas 2015)
diversity    1 - the mean cosine to the `RECENT` items before it, none for a person's first event
===========  ===========================================================================================================

r_t = log(1 + weight), and 0 for a dislike or a skip. The division makes a return the mean of what is to come: plain
sums shrink towards the end of a history and would tell the model that it ends, which no request can know. Sums stop
where gamma^k falls below `_NEGLIGIBLE`. Only training events count, those held out have no ask. Values become levels by
their places among all, so that a request asks by its place among people, 0 to 1, and no unit travels with the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from device_runtime import Action
from server_training.data.split import Split
from server_training.errors import ConfigInvalid

RECENT = 5
_NEGLIGIBLE = 0.01
_AT_ONCE = 1 << 16
_Floats = NDArray[np.float64]


def ask_levels_of(
    split: Split, asks: tuple[str, ...], levels: int, discount: float, vectors: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Return int64 [E, A]: the level of every event of the data, 1 to `levels`, 0 where it has none.

    Args:
        split: whose training events count.
        asks: a selection of `device_runtime.ASKS`.
        levels: of each.
        discount: gamma.
        vectors: [n_items, m], by item index of the data: what `diversity` compares.

    Raises:
        ConfigInvalid: an ask has the same value everywhere, so nothing can be learned of it.
    """
    known = np.zeros(len(split.data.items), bool)
    known[split.train_events()] = True
    first = np.zeros(len(known), bool)
    first[split.data.offsets[:-1][np.diff(split.data.offsets) > 0]] = True
    values: dict[str, Callable[[], _Floats]] = {
        "engagement": lambda: returns_to_go(event_values(split), known, first, discount),
        "advantage": lambda: advantages(returns_to_go(event_values(split), known, first, discount), first, discount),
        "novelty": lambda: _self_information(split)[split.data.items],
        "diversity": lambda: _distances(split, vectors, first),
    }
    found = np.zeros((len(known), len(asks)), np.int64)
    for place, name in enumerate(asks):
        of_event = values[name]()
        usable = known & np.isfinite(of_event)
        if not usable.any() or np.ptp(of_event[usable]) <= 0:
            raise ConfigInvalid(f"every event of this data has the same {name}; leave it out of [model] asks")
        found[usable, place] = 1 + (_places(of_event[usable]) * levels).astype(np.int64)
    return found


def _places(values: _Floats) -> _Floats:
    """Each value's place among all, above 0 and below 1; equal values share the middle of theirs."""
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(values))


def event_values(split: Split) -> _Floats:
    """Float64 [E]: r of every event."""
    disliked = np.isin(split.data.actions, (int(Action.DISLIKE), int(Action.SKIP)))
    values: _Floats = np.where(disliked, 0.0, np.log1p(split.data.weights.astype(np.float64)))
    return values


def returns_to_go(values: _Floats, known: NDArray[np.bool_], first: NDArray[np.bool_], discount: float) -> _Floats:
    """Float64 [E]: the discounted mean of each event's value and of those after it.

    Args:
        values: r of every event, person after person in time order.
        known: bool [E], the events that count.
        first: bool [E], each person's first event.
        discount: gamma.
    """
    total, mass = np.zeros_like(values), np.zeros_like(values)
    person = np.cumsum(first)
    for later in range(min(_horizon(discount), len(total))):
        here = slice(0, len(values) - later)
        counts = known[later:] & (person[later:] == person[here])
        total[here] += np.where(counts, discount**later * values[later:], 0.0)
        mass[here] += np.where(counts, discount**later, 0.0)
    return total / np.where(mass > 0, mass, 1.0)


def advantages(returns: _Floats, first: NDArray[np.bool_], discount: float) -> _Floats:
    """Float64 [E]: how the returns of each person have risen up to each event, the latest rise counting most."""
    rises = np.diff(returns, prepend=returns[:1])
    rises[first] = 0.0
    total, person = np.zeros_like(returns), np.cumsum(first)
    for earlier in range(min(_horizon(discount), len(total))):
        here = slice(earlier, None)
        before = slice(0, len(returns) - earlier)
        total[here] += np.where(person[here] == person[before], discount**earlier * rises[before], 0.0)
    return total


def _horizon(discount: float) -> int:
    """How many events a discounted sum looks at."""
    return 1 if discount == 0 else max(1, math.ceil(math.log(_NEGLIGIBLE) / math.log(discount)))


def _self_information(split: Split) -> _Floats:
    """Float64 [n_items], in bits; an item without training events counts as if it had one."""
    counts = np.bincount(split.data.items[split.train_events()], minlength=split.data.n_items)
    found: _Floats = -np.log2(np.maximum(counts, 1) / max(1, counts.sum()))
    return found


def _distances(split: Split, vectors: NDArray[np.floating], first: NDArray[np.bool_]) -> _Floats:
    """Float64 [E]: 1 - the mean cosine of each event's item to those of the `RECENT` events before; NaN without any."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    items, person = split.data.items, np.cumsum(first)
    total, count = np.zeros(len(items)), np.zeros(len(items))
    for earlier in range(1, RECENT + 1):
        together = earlier + np.flatnonzero(person[earlier:] == person[: len(items) - earlier])
        for start in range(0, len(together), _AT_ONCE):
            here = together[start : start + _AT_ONCE]
            total[here] += np.einsum("em,em->e", unit[items[here]], unit[items[here - earlier]])
            count[here] += 1
    with np.errstate(invalid="ignore"):
        return 1.0 - total / count
