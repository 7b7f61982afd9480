"""What a ranking would have shown but for the person's own choices, the app's filters, and the trust it asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from device_runtime import RowFilter
from p2p import PeerId, item_key
from sdk.candidates import Request, blended
from sdk.filters import Filters
from sdk.opened import OpenDevice
from sdk.recommendation import Filtered, FilterKind

_DEPTH = 50
_NAMED = 20


def kept_out(device: OpenDevice, request: Request, k: int, filters: Filters | None) -> list[Filtered]:
    """Return up to `k` items of each kind that were kept out, in the order in which they would have stood."""
    return [*_of_the_ranking(device, request, k, filters), *_withdrawn(device, k), *_untrusted(device, request, k)]


def _of_the_ranking(device: OpenDevice, request: Request, k: int, filters: Filters | None) -> Iterator[Filtered]:
    """What the same blend puts into its lists once nothing is excluded."""
    model = device.model
    everything = RowFilter.of(len(model.catalog))
    ranked = blended(device, request, "blend", max(_DEPTH, 4 * k), everything)
    why = _reason_of(device, filters)
    counts: Counter[FilterKind] = Counter()
    for b in ranked:
        kind = why(b.item)
        if kind is None or counts[kind] >= k:
            continue
        counts[kind] += 1
        yield Filtered(model.catalog.ids[b.item], model.catalog.title_of(b.item), kind, _TEXT[kind])


_TEXT = {
    FilterKind.SEEN: "you have seen it",
    FilterKind.BLOCKED: "you do not want to see it",
    FilterKind.CATEGORY: "it is not of the categories that were asked for",
    FilterKind.UNAVAILABLE: "it is not among what can be had now",
}


def _reason_of(device: OpenDevice, filters: Filters | None) -> Callable[[int], FilterKind | None]:
    model, none = device.model, np.array([], np.int64)
    blocked = set(model.rows(device.store.blocked_items()).tolist())
    seen = set(device.seen_rows().tolist())
    by_category = by_item = None
    if filters is not None:
        by_category = model.allowed(Filters(filters.categories, filters.not_categories), none)
        by_item = model.allowed(Filters(None, (), filters.items, filters.not_items, filters.available), none)

    def reason(row: int) -> FilterKind | None:
        if row in blocked:
            return FilterKind.BLOCKED
        if row in seen:
            return FilterKind.SEEN
        if by_category is not None and not by_category.has(np.array([row]))[0]:
            return FilterKind.CATEGORY
        if by_item is not None and not by_item.has(np.array([row]))[0]:
            return FilterKind.UNAVAILABLE
        return None

    return reason


def _withdrawn(device: OpenDevice, k: int) -> list[Filtered]:
    """Items that an update took out of the catalog, or that the history knows and this catalog does not."""
    catalog = device.model.catalog
    liked = (opinion.item for opinion in device.store.item_opinions(least=2) if opinion.item not in catalog)
    gone = dict.fromkeys([*liked, *device.model.bundle.withdrawn])
    text = "the publisher took it out of the catalog"
    return [Filtered(item, item, FilterKind.WITHDRAWN, text) for item in list(gone)[:k]]


def _untrusted(device: OpenDevice, request: Request, k: int) -> list[Filtered]:
    """Items that only peers without trust list, those that most of them list first."""
    model, trusted = device.model, request.view.trusted
    listing: dict[int, list[PeerId]] = {}
    for signed in device.network.store.records():
        if signed.record.author in trusted or signed.record.author == device.identity.peer_id:
            continue
        for edge in signed.record.items:
            row = model.row_of_key.get(edge.key)
            if row is not None:
                listing.setdefault(row, []).append(signed.record.author)
    reached = request.view.item_scores
    found = []
    for row, peers in sorted(listing.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        item = model.catalog.ids[row]
        score = reached.get(item_key(model.namespace, item))
        if score is None or score.n_supporters == 0:
            title = model.catalog.title_of(row)
            found.append(Filtered(item, title, FilterKind.UNTRUSTED, _who(len(peers)), tuple(peers[:_NAMED])))
            if len(found) == k:
                break
    return found


def _who(peers: int) -> str:
    return f"only {'1 peer' if peers == 1 else f'{peers} peers'} without your trust listed it"
