"""What leaves the device, and only after the person or the app chose it.

`private` shares nothing. `items` shares the strongest liked items. `network` shares those and the strongest vouches.
What is shared is coarse: three levels instead of counts, whole days instead of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from device_runtime import Action
from p2p import MAX_ITEM_EDGES, MAX_TRUST_EDGES, ItemEdge, PeerId, TrustEdge, item_key
from sdk.store import Opinion, StoredEvent

DAY_S = 86_400
# How strongly an action speaks for an item; absent actions are never shared.
_LEVEL_OF_ACTION = {Action.VIEW: 1, Action.LIKE: 2, Action.SAVE: 2, Action.BUY: 3}
_TAKES_BACK = {Action.DISLIKE, Action.SKIP}


class SharingPolicy(Enum):
    """How much a device tells its peers."""

    PRIVATE = "private"
    ITEMS = "items"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class ItemOpinion:
    """What the history says of one item: level 1..3 and the day it last said so."""

    item: str
    level: int
    day: int


def item_opinions(events: Sequence[StoredEvent]) -> list[ItemOpinion]:
    """Sum up a history (time order): repeated good actions raise an item's level, a dislike or skip removes it.

    Returns:
        The strongest first; equal levels, the latest first; then by id.
    """
    opinions: dict[str, ItemOpinion] = {}
    for event in events:
        action = Action(event.action)
        if action in _TAKES_BACK:
            opinions.pop(event.item, None)
            continue
        before = opinions.get(event.item)
        level = _LEVEL_OF_ACTION[action] if before is None else min(3, max(before.level + 1, _LEVEL_OF_ACTION[action]))
        opinions[event.item] = ItemOpinion(event.item, level, event.at // DAY_S)
    return sorted(opinions.values(), key=lambda o: (-o.level, -o.day, o.item))


def shared_items(policy: SharingPolicy, events: Sequence[StoredEvent], namespace: str) -> tuple[ItemEdge, ...]:
    """Return the item edges that `policy` publishes; views alone are never shared."""
    if policy is SharingPolicy.PRIVATE:
        return ()
    liked = [o for o in item_opinions(events) if o.level >= 2][:MAX_ITEM_EDGES]
    edges = (ItemEdge(item_key(namespace, o.item), o.level, max(0, o.day)) for o in liked)
    return tuple(sorted(edges, key=lambda edge: edge.key))


def shared_vouches(policy: SharingPolicy, opinions: Sequence[Opinion]) -> tuple[TrustEdge, ...]:
    """Return the trust edges that `policy` publishes. Whom the person blocked is never told."""
    if policy is not SharingPolicy.NETWORK:
        return ()
    vouches = sorted((o for o in opinions if o.level > 0), key=lambda o: (-o.level, -o.at, o.peer))
    edges = (TrustEdge(PeerId(o.peer), o.level) for o in vouches[:MAX_TRUST_EDGES])
    return tuple(sorted(edges, key=lambda edge: edge.peer))
