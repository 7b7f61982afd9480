"""What leaves the device, and only after the person or the app chose it.

`private` shares nothing. `items` shares the strongest liked items. `network` shares those and the strongest vouches.
What is shared is coarse: three levels instead of counts, whole days instead of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from p2p import MAX_ITEM_EDGES, MAX_TRUST_EDGES, ItemEdge, PeerId, TrustEdge, item_key
from sdk.item_opinion import ItemOpinion
from sdk.store import Opinion


class SharingPolicy(Enum):
    """How much a device tells its peers."""

    PRIVATE = "private"
    ITEMS = "items"
    NETWORK = "network"


def shared_items(policy: SharingPolicy, opinions: Sequence[ItemOpinion], namespace: str) -> tuple[ItemEdge, ...]:
    """Return the item edges that `policy` publishes of opinions, the strongest first; views alone are never shared."""
    if policy is SharingPolicy.PRIVATE:
        return ()
    liked = [o for o in opinions if o.level >= 2][:MAX_ITEM_EDGES]
    edges = (ItemEdge(item_key(namespace, o.item), o.level, max(0, o.day)) for o in liked)
    return tuple(sorted(edges, key=lambda edge: edge.key))


def shared_vouches(policy: SharingPolicy, opinions: Sequence[Opinion]) -> tuple[TrustEdge, ...]:
    """Return the trust edges that `policy` publishes. Whom the person blocked is never told."""
    if policy is not SharingPolicy.NETWORK:
        return ()
    vouches = sorted((o for o in opinions if o.level > 0), key=lambda o: (-o.level, -o.at, o.peer))
    edges = (TrustEdge(PeerId(o.peer), o.level) for o in vouches[:MAX_TRUST_EDGES])
    return tuple(sorted(edges, key=lambda edge: edge.peer))
