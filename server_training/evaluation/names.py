"""Names and numbers that commands offer before anything heavy is imported."""

from __future__ import annotations

from typing import Literal, get_args

Baseline = Literal["popularity", "item-kNN", "EASE", "iALS"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
CUTOFFS = (1, 5, 10, 20, 50)
