"""What a device counts and times of itself. Nothing of it leaves the device."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_KEPT = 1024  # of the latest calls, per operation


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls of one kind took.

    Attributes:
        calls: since the device was opened, those that raised included.
        failed: how many of them raised.
        p50_ms, p99_ms: of the latest 1024 calls; 0 before the first.
    """

    calls: int
    failed: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """A device at one moment.

    Attributes:
        uptime_s: since it was opened.
        latencies: by method; waiting for other threads is part of it.
        events: in the private store.
        records: of peers, held on this device.
        model_version: of the model in use.
        model_expired: whether its time is over.
        rollbacks: how often a model that failed was replaced by the one before, since the device was opened.
        peak_rss_bytes: the most memory the process has had, 0 where the system does not say.
        network: counts of peers and traffic as in `NodeStatus`, None while not connected.
    """

    uptime_s: float
    latencies: Mapping[str, Latency]
    events: int
    records: int
    model_version: int
    model_expired: bool
    rollbacks: int
    peak_rss_bytes: int
    network: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


class Timings:
    """Durations of calls by name. Thread-safe."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._began = timer()
        self._durations: dict[str, deque[float]] = {}
        self._calls: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def uptime_s(self) -> float:
        """Seconds since this was made."""
        return self._timer() - self._began

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began, failed = self._timer(), True
        try:
            yield
            failed = False
        finally:
            took = self._timer() - began
            with self._lock:
                self._durations.setdefault(name, deque(maxlen=_KEPT)).append(took)
                self._calls[name] += 1
                self._failed[name] += failed

    def latencies(self) -> dict[str, Latency]:
        """Return what was measured, by name."""
        with self._lock:
            found = {name: np.array(list(durations)) * 1e3 for name, durations in self._durations.items()}
            return {
                name: Latency(
                    self._calls[name],
                    self._failed[name],
                    round(float(np.percentile(ms, 50)), 3),
                    round(float(np.percentile(ms, 99)), 3),
                )
                for name, ms in sorted(found.items())
            }


def peak_rss_bytes() -> int:
    """Return the most resident memory that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
