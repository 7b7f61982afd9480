"""Batches of item walks that advance together, and which visits of a walk are first ones.

Knows nothing of scores and of chance: lengths and draws are handed in. The only Python loop is over the steps of the
longest walk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trust.kernels import ENDED
from trust.rows import Bools, Floats, Ints, WeightedRows

Walks = npt.NDArray[np.int32]
"""int32 [walks, steps]: the node visited at each step, −1 where the walk has ended."""


def walk_items(
    forward: WeightedRows, back: WeightedRows, starts: Ints, hops: Ints, drawn: Floats
) -> tuple[Walks, Walks]:
    """Walk from peer to item to peer to item and so on; arguments as for `Kernels.item_hits`.

    Returns:
        Two int32 [walks, rounds]: the items visited, and for each the peer it was entered from.
    """
    shape = (len(starts), (int(hops.max(initial=1)) + 1) // 2)
    items = np.full(shape, ENDED, dtype=np.int32)
    peers = np.full(shape, ENDED, dtype=np.int32)
    leavable = back.has_entries()
    walker = np.arange(len(starts))
    at_peer, used = starts, 0
    for turn in range(shape[1]):
        at_item = forward.step(at_peer, drawn[used : used + len(at_peer)])
        used += len(at_peer)
        items[walker, turn] = at_item
        peers[walker, turn] = at_peer
        # To another item takes two more hops; a walk with one left ends at a peer, which nobody counts.
        going = np.flatnonzero((hops[walker] >= 2 * turn + 3) & leavable[at_item])
        if not going.size:
            break
        walker = walker[going]
        at_peer = back.step(at_item[going], drawn[used : used + len(going)])
        used += len(going)
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
    bits = len(node).bit_length()
    packed = ((walk * (int(node.max(initial=0)) + 1) + node) << bits) + np.arange(len(node))
    packed.sort()
    places: Ints = packed[np.diff(packed >> bits, prepend=-1) != 0] & ((1 << bits) - 1)
    return places
