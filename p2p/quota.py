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
        self._burst, self._per_s = rate.burst, rate.per_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable, now: float, amount: float = 1.0) -> bool:
        """Return whether `take` would succeed."""
        bucket = self._buckets.get(key)
        return amount <= (self._burst if bucket is None else self._level(bucket, now))

    def take(self, key: Hashable, now: float, amount: float = 1.0) -> bool:
        """Take tokens and return True, or leave the bucket alone and return False."""
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            level = self._burst
            if len(buckets) >= self._max_keys:
                buckets.popitem(last=False)
        else:
            level = self._level(bucket, now)
            buckets.move_to_end(key)
        granted = amount <= level
        buckets[key] = (level - amount if granted else level, now)
        return granted

    def _level(self, bucket: tuple[float, float], now: float) -> float:
        """Return what is in a bucket now; a clock that ran backwards neither drains nor fills one."""
        level, at = bucket
        if now > at:
            level += (now - at) * self._per_s
        return min(self._burst, level)
