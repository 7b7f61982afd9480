"""Batches of item walks that advance together, and which visits of a walk are first ones.

Knows nothing of scores. The only Python loop is over the steps of the longest walk. A walk's length is drawn
before it starts (stopping with probability alpha before each hop is a geometric number of hops).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trust.kernels import ENDED
from trust.rows import Bools, Ints, WeightedRows

Walks = npt.NDArray[np.int32]
"""int32 [walks, steps]: the node visited at each step, −1 where the walk has ended."""


def walk_items(
    forward: WeightedRows,
    back: WeightedRows,
    starts: Ints,
    alpha: float,
    max_hops: int,
    rng: np.random.Generator,
) -> tuple[Walks, Walks]:
    """Walk from peer to item to peer to item and so on.

    The first hop is certain; before each later one a walk stops with probability alpha.

    Args:
        forward: Peer → item.
        back: Item → peer.
        starts: int64 [walks], the peer that each walk starts from; each has an item.
        alpha: Stopping probability per hop, in (0, 1).
        max_hops: Most hops of a walk.
        rng: Source of randomness.

    Returns:
        Two int32 [walks, rounds]: the items visited, and for each the peer it was entered from.
    """
    budget = np.minimum(rng.geometric(alpha, len(starts)), max_hops)
    shape = (len(starts), (int(budget.max(initial=1)) + 1) // 2)
    items = np.full(shape, ENDED, dtype=np.int32)
    peers = np.full(shape, ENDED, dtype=np.int32)
    leavable = back.has_entries()
    walker = np.arange(len(starts))
    at_peer = starts
    for turn in range(shape[1]):
        at_item = forward.step(at_peer, rng)
        items[walker, turn] = at_item
        peers[walker, turn] = at_peer
        # To another item takes two more hops; a walk with one left ends at a peer, which nobody counts.
        going = np.flatnonzero((budget[walker] >= 2 * turn + 3) & leavable[at_item])
        if not going.size:
            break
        walker = walker[going]
        at_peer = back.step(at_item[going], rng)
    return items, peers


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """The visits of a batch, walk after walk, in the order they happened.

    Attributes:
        place: int64 [visits], flat place in the walk matrix.
        walk: int64 [visits], which walk.
        node: int64 [visits], which node.
        first: bool [visits], whether it is its walk's first visit of the node: a unit hit.
    """

    place: Ints
    walk: Ints
    node: Ints
    first: Bools


def visits(walks: Walks) -> Visits:
    """List the visits of a batch and mark the first of each walk to each node."""
    flat = walks.ravel()
    place = np.flatnonzero(flat != ENDED)
    node = flat[place].astype(np.int64)
    walk = place // max(walks.shape[1], 1)
    first = np.zeros(len(place), dtype=np.bool_)
    first[first_visits(walk, node)] = True
    return Visits(place, walk, node, first)


def first_visits(walk: Ints, node: Ints) -> Ints:
    """Places of the first visit of each walk to each node, in no particular order.

    Args:
        walk: int64 [visits], which walk; visits of a walk in the order they happened.
        node: int64 [visits], which node.
    """
    # One sort of (walk, node, order) packed into an integer: each (walk, node) run begins with the unit hit.
    count = max(len(node), 1)
    packed = (walk * (int(node.max(initial=0)) + 1) + node) * count + np.arange(len(node))
    packed.sort()
    places: Ints = packed[np.diff(packed // count, prepend=-1) != 0] % count
    return places
