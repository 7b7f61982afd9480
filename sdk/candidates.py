"""The two lists that a request blends, and the reasons they give: what the model proposes, what trusted peers like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from device_runtime import Ask, HistoryEvent, RowFilter
from p2p import item_key
from sdk.actions import model_action
from sdk.blending import Blended, Evidence, blend
from sdk.opened import OpenDevice
from sdk.reasons import history_reason, peer_reason
from sdk.recommendation import Reason
from sdk.social import SocialView

_AHEAD_S = 86_400  # events later than a day from now wait until their time has come
_BATCHES = 8  # of events that are read to find enough that the catalog knows
Ranked = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is the same for all steps of one request.

    Attributes:
        now: Unix seconds.
        history: the newest events that the model can read, in time order.
        earlier: how many came before.
        view: what the walks say.
        ask, priors: how the model is steered, see `Ranking.recommend`.
    """

    now: int
    history: Sequence[HistoryEvent]
    earlier: int
    view: SocialView
    ask: Ask | None = None
    priors: Mapping[str, float] | None = None


def request_at(
    device: OpenDevice, now: int | None, ask: Ask | None = None, priors: Mapping[str, float] | None = None
) -> Request:
    """Read what a request needs, which is little however long the history is."""
    asked = device.now() if now is None else now
    history = newest_known(device, asked)
    earlier = max(0, device.store.count_read_events() - len(history))
    return Request(asked, history, earlier, device.view(), ask, priors)


def newest_known(device: OpenDevice, now: int) -> list[HistoryEvent]:
    """Return the newest events whose items the catalog holds, in time order: as many as the model reads.

    A new catalog may lack items of the history; their events are passed over, up to eight times as many.
    """
    wanted, catalog = device.model.ranker.history_length, device.model.catalog
    found: list[HistoryEvent] = []
    for batch in range(_BATCHES):
        events = device.store.read_events(wanted, until=now + _AHEAD_S, skip=batch * wanted)
        known = [event for event in events if event.item in catalog]
        read = ((event, model_action(event.action)) for event in known)
        found = [HistoryEvent(e.item, action, e.at) for e, action in read if action is not None] + found
        if len(found) >= wanted or len(events) < wanted:
            break
    return found[-wanted:]


def model_list(device: OpenDevice, request: Request, k: int, allowed: RowFilter) -> Ranked:
    """Return up to `k` (row, log-probability) of the model's choice."""
    return device.model.ranker.rank_rows(
        request.history,
        k,
        now=request.now,
        allowed=allowed,
        earlier=request.earlier,
        ask=request.ask,
        priors=request.priors,
    )


def peer_list(device: OpenDevice, view: SocialView, k: int, allowed: RowFilter) -> Ranked:
    """Return up to `k` (row, hit score) of what trusted peers like and the catalog holds."""
    scores = {key: score.score for key, score in view.item_scores.items() if score.n_supporters}
    if not scores:
        return []
    found = [(device.model.row_of_key.get(key), score) for key, score in scores.items()]
    rows = [(row, score) for row, score in found if row is not None]
    kept = allowed.has(np.array([row for row, _ in rows], np.int64))
    return [pair for pair, keep in zip(rows, kept.tolist(), strict=True) if keep][:k]


def blended(device: OpenDevice, request: Request, source: str, depth: int, allowed: RowFilter) -> list[Blended]:
    """Return both lists as one, or one of them alone."""
    model = model_list(device, request, depth, allowed) if source != "peers" else []
    peers = peer_list(device, request.view, depth, allowed) if source != "model" else []
    known = request.earlier + len(request.history)
    evidence = Evidence(n_events=known, n_peers=len(request.view.trusted), n_hits=request.view.items.peer_hits)
    return blend(model, peers, evidence, device.config.blend)


def peer_reasons(device: OpenDevice, row: int, view: SocialView) -> list[Reason]:
    """Return who of the trusted peers likes an item, nothing if nobody does."""
    score = view.item_scores.get(item_key(device.model.namespace, device.model.catalog.ids[row]))
    if score is None or score.n_supporters == 0:
        return []
    return [peer_reason(score, view.trusted, lambda peer: peer.hex()[:8])]


def reasons_for(device: OpenDevice, b: Blended, request: Request) -> tuple[Reason, ...]:
    """Return why an item stands in a ranking."""
    reasons = peer_reasons(device, b.item, request.view) if b.peer_rank is not None else []
    if b.model_rank is not None:
        catalog = device.model.catalog
        reasons.append(history_reason(catalog, b.item, request.history, catalog.title_of))
    return tuple(reasons)
