"""Asks the golden bundle, with what a device has: no torch, no server.

`python -m tests.golden.ask` compares the answers with those on file and prints how it went; it needs nothing installed
but meritrec and its runtime.
"""

from __future__ import annotations

import json
import platform
import sys
import time

from device_runtime import Bundle, Delta, ModelRanker
from tests.golden.facts import ANSWERS, DELTA, FOLDER, NOW, PINNED, history

#: How far a score may be from the one on file: kernels for other processors round otherwise.
TOLERANCE = 2e-3

Answers = dict[str, list[tuple[str, float]]]


def answers() -> Answers:
    """What the bundle answers to histories of some lengths, and after the update."""
    bundle = Bundle.open(FOLDER, trusted_keys=[PINNED.public], now=NOW)
    updated = Delta.open(DELTA, bundle, trusted=bundle.publishers, now=NOW).applied_to(bundle)
    found = {}
    for name, opened in (("bundle", bundle), ("updated", updated)):
        ranker = ModelRanker.open(opened)
        for length in (0, 1, 5, 8, 30):
            ranked = ranker.rank(history(length), 5, now=NOW)
            found[f"{name}, {length} events"] = [(item, round(score, 4)) for item, score in ranked]
        ranker.close()
    return found


def largest_difference(found: Answers, expected: Answers) -> float:
    """The largest difference of a score; infinite where other items, or in another order, were answered."""
    if {name: [item for item, _ in ranked] for name, ranked in found.items()} != {
        name: [item for item, _ in ranked] for name, ranked in expected.items()
    }:
        return float("inf")
    return max(
        abs(score - other)
        for name, ranked in found.items()
        for (_, score), (_, other) in zip(ranked, expected[name], strict=True)
    )


def main() -> int:
    """Ask, compare and report."""
    began = time.perf_counter()
    bundle = Bundle.open(FOLDER, trusted_keys=[PINNED.public], now=NOW)
    ranker = ModelRanker.open(bundle)
    opened = time.perf_counter()
    ranker.rank(history(8), 5, now=NOW)
    answered = time.perf_counter()
    difference = largest_difference(answers(), json.loads(ANSWERS.read_text()))
    facts = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        **ranker.report.as_json(),
        "open_ms": round((opened - began) * 1e3, 1),
        "answer_ms": round((answered - opened) * 1e3, 1),
        "largest_difference": difference,
        "heavy_imports": sorted({"torch", "torchao", "executorch", "pandas"} & sys.modules.keys()),
    }
    print(json.dumps(facts, indent=2))
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
