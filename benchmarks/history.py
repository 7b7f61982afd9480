"""What a long history costs: a device whose private store holds ten million events, beside one that holds a thousand.

`python -m benchmarks.history [--events 10000000] [--bundle FOLDER --key HEX]`

Without a bundle it takes the small one that the tests keep. Most events are about items that this catalog lacks, as
after years of changing catalogs; every tenth is an impression. Replaying the whole history, as recommending did before
the store kept what events come to, stands beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_runtime import Action
from sdk import Recommender
from sdk.actions import IMPRESSION
from sdk.store import EventStore, StoredEvent

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "bundle"
GOLDEN_KEY = Ed25519PrivateKey.from_private_bytes(bytes([6]) * 32).public_key().public_bytes_raw()
NOW = 1_760_000_000
FORMER_ITEMS = 100_000
_BATCH = 1_000_000
_CALLS = 200


def fill(store: EventStore, events: int, known: list[str]) -> float:
    """Store events of the years before `NOW`, and return how many a second."""
    rng = np.random.default_rng(0)
    actions = [int(a) for a in Action if a is not Action.PAD]
    began = time.perf_counter()
    for first in range(0, events, _BATCH):
        count = min(_BATCH, events - first)
        chosen = rng.integers(0, FORMER_ITEMS + len(known), count)
        said = np.where(rng.random(count) < 0.1, IMPRESSION, rng.choice(actions, count))
        at = NOW - 2 * (events - first) + 2 * np.arange(count)
        store.add_events(
            StoredEvent(known[item] if item < len(known) else f"former-{item}", action, second)
            for item, action, second in zip(chosen.tolist(), said.tolist(), at.tolist(), strict=True)
        )
    return events / (time.perf_counter() - began)


def percentiles(call: Callable[[int], object], calls: int = _CALLS) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds, after one call to warm up."""
    call(0)
    taken = []
    for number in range(1, calls + 1):
        began = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - began) * 1e3)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def measure(folder: Path, events: int, bundle: Path, key: bytes) -> dict[str, str]:
    """Fill a device and use it; return what was found, by name."""

    def opened() -> Recommender:
        return Recommender.open(folder, bundle=bundle, trusted_keys=[key], clock=lambda: float(NOW))

    with opened() as device:
        known = list(device._device.model.catalog.ids)
    path = folder / "events.db"
    store = EventStore(path)
    rate = fill(store, events, known)
    store.close()
    began = time.perf_counter()
    with opened() as device:
        opening = (time.perf_counter() - began) * 1e3
        began = time.perf_counter()
        device.recommend(10)
        first = (time.perf_counter() - began) * 1e3
        found = {
            "stored, events/s": f"{rate:,.0f}",
            "file, MB": f"{path.stat().st_size / 1e6:,.1f}",
            "open, ms": f"{opening:,.0f}",
            "first recommend, ms": f"{first:,.1f}",
        }

        def record(number: int) -> None:
            device.record(known[number % len(known)], "view")

        def both(number: int) -> None:
            record(number)
            device.recommend(10)

        calls = {
            "recommend": lambda _: device.recommend(10),
            "record": record,
            "record and recommend": both,
            "record an older event": lambda n: device.record(known[n % len(known)], "view", at=NOW - 2 * events),
            "explain": lambda n: device.explain(known[n % len(known)]),
        }
        for name, call in calls.items():
            median, tail = percentiles(call)
            found[f"{name}, ms (p50 / p99)"] = f"{median:.2f} / {tail:.2f}"
        replay, _ = percentiles(lambda _: device._device.store.events(), calls=1)
        found["replaying the history, ms"] = f"{replay:,.0f}"
    return found


def main() -> None:
    """Print both devices side by side."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--bundle", type=Path, default=GOLDEN)
    parser.add_argument("--key", type=bytes.fromhex, default=GOLDEN_KEY, metavar="HEX")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        columns = {
            events: measure(Path(folder) / str(events), events, arguments.bundle, arguments.key)
            for events in (min(1000, arguments.events), arguments.events)
        }
    width = max(len(name) for name in next(iter(columns.values())))
    print(" " * width, *(f"{f'{events:,} events':>24}" for events in columns))
    for name in next(iter(columns.values())):
        print(f"{name:<{width}}", *(f"{column[name]:>24}" for column in columns.values()))


if __name__ == "__main__":
    main()
