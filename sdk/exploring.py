"""Places of a list that are kept for trying: without them nobody ever learns whether something else would be liked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_runtime import RowFilter
from p2p import PeerId
from sdk.blending import Blended
from sdk.candidates import Request
from sdk.opened import OpenDevice
from sdk.recommendation import Reason, ReasonKind
from sdk.social import as_key


def explored(
    device: OpenDevice,
    request: Request,
    ranked: Sequence[Blended],
    shown: Sequence[Blended],
    count: int,
    allowed: RowFilter,
) -> list[tuple[Blended, Reason]]:
    """Draw items for the places that are kept for trying.

    Every other place goes to an item that trusted peers list and no walk hit, drawn by trust × affinity, so strangers
    get none and Sybils no more than their bounded share of trust. The rest, and what that leaves, is drawn from further
    down the ranking by score.

    Args:
        device: whose ranking this is.
        request: its history and trust.
        ranked: the whole blended list.
        shown: those of it that have their places.
        count: how many to draw.
        allowed: rows that may be returned.
    """
    if count == 0:
        return []
    seed = [device.config.social.seed, request.now, request.earlier + len(request.history)]
    rng = np.random.default_rng(seed)
    taken = {b.item for b in shown}
    drawn = _from_peers(device, request, (count + 1) // 2, int(rng.integers(1 << 31)), allowed, taken)
    taken |= {b.item for b, _ in drawn}
    left = [b for b in ranked if b.item not in taken]
    places = _weighted_order(np.array([b.score for b in left]), rng)[: count - len(drawn)]
    reason = Reason(ReasonKind.EXPLORED, "tried out: it stands further down your list")
    return drawn + [(left[place], reason) for place in places]


def _from_peers(
    device: OpenDevice, request: Request, count: int, seed: int, allowed: RowFilter, taken: set[int]
) -> list[tuple[Blended, Reason]]:
    drawn: list[tuple[Blended, Reason]] = []
    pairs = request.view.items.explore(8 * count, seed)  # more than are needed: some are not in the catalog, or seen
    for key, peer in pairs:
        row = device.model.row_of_key.get(as_key(key))
        if row is None or row in taken or not allowed.has(np.array([row]))[0]:
            continue
        known = PeerId(as_key(peer))
        text = f"tried out: {known.hex()[:8]}, whom you trust through others or yourself, lists it"
        reason = Reason(ReasonKind.EXPLORED, text, peers=(known,))
        drawn.append((Blended(row, 0.0, None, None, 0.0), reason))
        if len(drawn) == count:
            break
    return drawn


def _weighted_order(scores: np.ndarray[tuple[int], np.dtype[np.float64]], rng: np.random.Generator) -> list[int]:
    """A draw without replacement by score: exponential races (Efraimidis and Spirakis, 2006)."""
    if not len(scores):
        return []
    weights = scores - scores.min() + 1e-3 * (float(np.ptp(scores)) or 1.0)
    order: list[int] = np.argsort(rng.exponential(size=len(weights)) / weights, kind="stable").tolist()
    return order
