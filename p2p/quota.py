"""Token buckets: how much one peer or author may ask of this device. The clock is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, then `per_s` per second."""

    burst: float
    per_s: float


class Quota:
    """One bucket per key, at most `max_keys` of them; the key unused longest is forgotten first."""

    def __init__(self, rate: Rate, max_keys: int = 20_000) -> None:
        self._rate = rate
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def _level(self, key: Hashable, now: float) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._rate.burst
        level, at = bucket
        if now > at:  # a clock that ran backwards must not drain or fill a bucket
            level += (now - at) * self._rate.per_s
        return min(self._rate.burst, level)

    def allows(self, key: Hashable, now: float, amount: float = 1.0) -> bool:
        """Return whether `take` would succeed."""
        return amount <= self._level(key, now)

    def take(self, key: Hashable, now: float, amount: float = 1.0) -> bool:
        """Take tokens and return True, or leave the bucket alone and return False."""
        level, count = self._level(key, now), len(self._buckets)
        granted = amount <= level
        self._buckets[key] = (level - amount if granted else level, now)
        if len(self._buckets) == count:
            self._buckets.move_to_end(key)
        elif count >= self._max_keys:
            self._buckets.popitem(last=False)
        return granted
