"""Recall@10 and NDCG@10 over the whole catalog, and how sure a difference is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.blend_people import REGULAR, Case, Ints
from server_training.evaluation.uncertainty import paired_difference

Floats = NDArray[np.float64]
TOP = 10
MEASURES = ("Recall@10", "NDCG@10")
DISCOUNT = 1.0 / np.log2(np.arange(2, TOP + 2))


def gains(lists: Sequence[Ints], cases: Sequence[Case]) -> Floats:
    """Both measures of every case, float64 [cases, 2].

    Recall@10 is the wanted items among the first ten, of as many as could be: a newcomer wants dozens. NDCG@10 is over
    the same, with the ideal order of as many.
    """
    found = np.zeros((len(cases), 2))
    for at, (items, case) in enumerate(zip(lists, cases, strict=True)):
        hit = np.isin(items[:TOP], case.wanted)
        most = min(TOP, len(case.wanted))
        found[at] = hit.sum() / most, (DISCOUNT[: len(hit)] * hit).sum() / DISCOUNT[:most].sum()
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One class of people under one measure.

    Attributes:
        kind: events known, or `REGULAR`.
        measure: which.
        people: how many.
        means: of each system.
        best_part: the better of the parts that were blended.
        gap, low, high: blended minus that part, with its 95 % paired bootstrap interval.
    """

    kind: int
    measure: str
    people: int
    means: dict[str, float]
    best_part: str
    gap: float
    low: float
    high: float


def compared(
    systems: Mapping[str, Floats], cases: Sequence[Case], ours: str, parts: Sequence[str], seed: int
) -> list[Row]:
    """One row per measure and class."""
    kinds = np.array([case.kind for case in cases])
    rows = []
    for column, measure in enumerate(MEASURES):
        for kind in dict.fromkeys(kinds.tolist()):
            mine = kinds == kind
            means = {name: float(found[mine, column].mean()) for name, found in systems.items()}
            best = max(parts, key=means.__getitem__)
            gap = paired_difference(
                [systems[ours][mine, column]], [systems[best][mine, column]], np.random.default_rng(seed)
            )
            rows.append(Row(kind, measure, int(mine.sum()), means, best, gap.mean, gap.low, gap.high))
    return rows


def class_name(kind: int) -> str:
    """How a class is called in tables."""
    return "regular" if kind == REGULAR else f"{kind} event" + "s" * (kind != 1)
