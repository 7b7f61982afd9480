"""Recommendations, items that resemble one, and why an item stands where it does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from device_runtime import Ask, RowFilter, Steering
from sdk.blending import Blended
from sdk.candidates import blended, model_list, peer_reasons, reasons_for, request_at
from sdk.diversity import diversify
from sdk.errors import InvalidInput
from sdk.exploring import explored
from sdk.filters import Filters
from sdk.opened import OpenDevice
from sdk.reasons import history_reason
from sdk.recommendation import Filtered, Reason, ReasonKind, Recommendation, Source
from sdk.withheld import kept_out

MAX_K = 1000
_DEPTH = 50  # how far down each list the blend looks, at least


class Ranking:
    """A part of `Recommender`: what the person gets."""

    _device: OpenDevice

    def recommend(
        self,
        k: int = 10,
        *,
        source: Source = "blend",
        exclude_seen: bool = True,
        filters: Filters | None = None,
        diversity: float = 0.0,
        explore: float = 0.0,
        ask: Ask | None = None,
        priors: Mapping[str, float] | None = None,
        now: int | None = None,
    ) -> list[Recommendation]:
        """Return up to `k` items, the best first, each with its reasons.

        Args:
            k: how many, 1 to 1000.
            source: `blend`, or one of its two parts alone.
            exclude_seen: leave out items that the person did anything with. Blocked items are always left out.
            filters: which items may be returned.
            diversity: 0 to 1, how much an item's difference from those above it counts against its score.
            explore: 0 to 1, the share of the places, the last ones, that are given to items further down the lists
                and to what trusted peers list and no walk hit. The draw is the same for the same history and `now`.
            ask: more or less engagement, novelty or diversity than the model would give; see `steerable`. It changes
                the model's list, not what peers like.
            priors: weights of the model's adapter heads by name, and `taxonomy:NAME` to lift the items of a category;
                heads that are not named keep the weight that the bundle gives them.
            now: Unix seconds of the request, the clock's when None.

        Raises:
            InvalidInput: an argument is out of range.
            device_runtime.UnknownCategory: `filters` name a category that the catalog lacks.
            device_runtime.NotSteerable: the model cannot be asked for that, or has no such head or category.
        """
        _check_k(k)
        if source not in ("blend", "model", "peers"):
            raise InvalidInput(f"source must be blend, model or peers, got {source!r}")
        for name, share in (("diversity", diversity), ("explore", explore)):
            if not 0 <= share <= 1:
                raise InvalidInput(f"{name} must be between 0 and 1, got {share!r}")
        device = self._device

        def answer() -> list[Recommendation]:
            device.model.ranker.steering.steered(ask, priors)  # a wrong wish is told whatever the source
            request = request_at(device, now, ask, priors)
            allowed = self._allowed(filters, exclude_seen)
            depth = max(_DEPTH, 2 * k if diversity == 0 else 4 * k)
            ranked = blended(device, request, source, depth, allowed)
            tried = round(explore * k)
            first = self._diversified(ranked, k - tried, diversity)
            picks = [self._recommendation(b, reasons_for(device, b, request)) for b in first]
            return picks + [
                self._recommendation(b, (reason, *reasons_for(device, b, request)))
                for b, reason in explored(device, request, ranked, first, tried, allowed)
            ]

        return device.answered("recommend", answer)

    def steerable(self) -> Steering:
        """Return what requests to the model of now may steer: names for `ask` and `priors`, and the usual weights."""
        with self._device.locked():
            return self._device.model.ranker.steering

    def _diversified(self, ranked: list[Blended], k: int, strength: float) -> list[Blended]:
        if strength == 0 or not ranked:
            return ranked[:k]
        rows = np.array([b.item for b in ranked], np.int64)
        return diversify(ranked, self._device.model.vectors(rows), k, strength)

    def similar(self, item: str, k: int = 10, *, filters: Filters | None = None) -> list[Recommendation]:
        """Return up to `k` items that resemble one, the most alike first.

        Blocked items are left out, seen ones are not. Items are compared by the model's own vectors where it has them,
        and else by the semantic IDs that they begin with in common and the features beside those. The score is a cosine
        or a share of codes: 1 at most.

        Raises:
            UnknownItem: the catalog does not hold the item.
            InvalidInput: `k` is out of range.
        """
        _check_k(k)
        device = self._device
        with device.locked("similar"):
            row = device.row_of(item)
            catalog = device.model.catalog
            allowed = self._allowed(filters, exclude_seen=False, but=row).rows()
            scores = device.model.resemblance(row)[allowed]
            best = np.lexsort((allowed, -scores))[:k]
            reason = Reason(ReasonKind.SIMILAR, f"resembles {catalog.title_of(row)}", items=(item,))
            return [
                Recommendation(catalog.ids[r], catalog.title_of(r), float(score), (reason,))
                for r, score in zip(allowed[best].tolist(), scores[best].tolist(), strict=True)
            ]

    def explain(self, item: str) -> list[Reason]:
        """Return the reasons for one item, recommended or not.

        Raises:
            UnknownItem: the catalog does not hold the item.
        """
        device = self._device

        def answer() -> list[Reason]:
            row = device.row_of(item)
            request = request_at(device, None)
            reasons = []
            if device.store.has_seen(item):
                reasons.append(Reason(ReasonKind.SEEN, "it is in your history", items=(item,)))
            if item in device.store.blocked_items():
                reasons.append(Reason(ReasonKind.BLOCKED, "you do not want to see it", items=(item,)))
            catalog = device.model.catalog
            everything = RowFilter.of(len(catalog))
            if row in {found for found, _ in model_list(device, request, _DEPTH, everything)}:
                reasons.append(history_reason(catalog, row, request.history, catalog.title_of))
            reasons += peer_reasons(device, row, request.view)
            nothing = Reason(ReasonKind.NONE, "neither your history nor a peer you trust points to it")
            return reasons or [nothing]

        return device.answered("explain", answer)

    def filtered(self, k: int = 20, *, filters: Filters | None = None) -> list[Filtered]:
        """Return what would have been shown and was not, each item with why, the best of each kind first.

        Args:
            k: how many of each kind at most: seen, blocked, of another category, not available, withdrawn from the
                catalog, and liked only by peers whom nobody this person trusts vouches for.
            filters: those of the ranking that is asked about.
        """
        _check_k(k)
        device = self._device
        return device.answered("filtered", lambda: kept_out(device, request_at(device, None), k, filters))

    def _allowed(self, filters: Filters | None, exclude_seen: bool, but: int | None = None) -> RowFilter:
        device = self._device
        excluded: list[NDArray[np.int64]] = [device.model.rows(device.store.blocked_items())]
        if exclude_seen:
            excluded.append(device.seen_rows())
        if but is not None:
            excluded.append(np.array([but], np.int64))
        return device.model.allowed(filters, np.concatenate(excluded))

    def _recommendation(self, b: Blended, reasons: tuple[Reason, ...]) -> Recommendation:
        catalog = self._device.model.catalog
        return Recommendation(
            item=catalog.ids[b.item],
            title=catalog.title_of(b.item),
            score=b.score,
            reasons=reasons,
            model_rank=b.model_rank,
            peer_rank=b.peer_rank,
            model_share=b.model_share,
        )


def _check_k(k: int) -> None:
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise InvalidInput(f"k must be between 1 and {MAX_K}, got {k!r}")
