"""Sentences that say why an item stands in a ranking, each from something that really moved it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from device_runtime import Action, Catalog, HistoryEvent
from p2p import PeerId
from sdk.recommendation import Reason, ReasonKind
from sdk.social import as_key
from trust import ItemScore, PeerScore

FAINT = 0.05  # peers with less than this share of the most trusted peer's score are not called trusted
_SHOWN = 2
_GOOD = {Action.VIEW, Action.LIKE, Action.SAVE, Action.BUY}


def history_reason(catalog: Catalog, item: int, events: Sequence[HistoryEvent], title: Callable[[int], str]) -> Reason:
    """Say which liked or viewed items stand nearest to `item` (catalog row) in the model's semantic IDs.

    Nearness is the length of the shared code prefix; of equally near items the latest are named.
    """
    liked: dict[int, None] = {}
    for event in reversed(events):
        if event.action in _GOOD and event.item in catalog:
            liked.setdefault(catalog.index_of(event.item))
    rows = np.fromiter((row for row in liked if row != item), dtype=np.int64)
    if len(rows) == 0:
        return Reason(ReasonKind.HISTORY, "the model's guess before it knows you")
    same = np.cumprod(catalog.codes_of(rows) == catalog.codes_of(np.array(item)), axis=1).sum(axis=1)
    near = rows[same == same.max()][:_SHOWN] if same.max() > 0 else rows[:0]
    if len(near) == 0:
        return Reason(ReasonKind.HISTORY, f"fits the sequence of your last {len(events)} events")
    names = " and ".join(title(int(row)) for row in near)
    return Reason(
        ReasonKind.HISTORY,
        f"close to {names} in your history",
        items=tuple(catalog.ids[int(row)] for row in near),
    )


def peer_reason(score: ItemScore, trusted: Mapping[PeerId, PeerScore], name: Callable[[PeerId], str]) -> Reason:
    """Say how many trusted peers list an item and through whom they are known.

    Only peers with a real share of the person's trust are counted: a crowd of faint identities is not a reason.

    Args:
        score: the item as the walk saw it.
        trusted: peers with a score, the most trusted first.
        name: how to call a peer.
    """
    best = next(iter(trusted.values())).score
    supporters = [PeerId(as_key(peer)) for peer, _ in score.supporters]
    known = [p for p in supporters if p in trusted and trusted[p].score >= FAINT * best]
    friends = [peer for peer in known if trusted[peer].direct]
    if len(known) == 1 and friends:
        return Reason(ReasonKind.PEERS, f"your friend {name(friends[0])} likes this", peers=tuple(known))
    if not known:
        text = "only peers far from you like this"
    else:
        text = "1 peer you trust likes this" if len(known) == 1 else f"{len(known)} peers you trust like this"
    if friends:
        text += f", among them your friend {name(friends[0])}"
    elif score.friends:
        text += f", known through {name(PeerId(as_key(score.friends[0][0])))}"
    return Reason(ReasonKind.PEERS, text, peers=tuple(known))
