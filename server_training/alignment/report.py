"""Before and after: accuracy and everything beyond it, of two models on the same events by the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import Catalog
from server_training.alignment.reward_choice import categories
from server_training.alignment.rewards import Categories, miscalibration
from server_training.data.split import Split, Stage
from server_training.evaluation.metrics import ndcg_at, recall_at
from server_training.evaluation.profile import Profile, profile
from server_training.evaluation.ranking import Ranking
from server_training.evaluation.scorer import ModelScorer
from server_training.evaluation.uncertainty import Difference, paired_difference
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.training.run_folder import Run
from server_training.training.windows import catalog_rows

_GAINS = {"ndcg@10": ndcg_at, "recall@10": recall_at}
_SEED = 0


@dataclass(frozen=True, slots=True)
class Measures:
    """One model on test events.

    Attributes:
        accuracy: seen items removed, by name.
        lists: coverage, novelty, diversity, miscalibration and the like of the top 10, and the share of invalid places:
            no item, one twice, or one of the history.
        neighbour_weight: with which neighbours lift scores.
        ranking: per user.
    """

    accuracy: Mapping[str, float]
    lists: Mapping[str, float]
    neighbour_weight: float
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Both models.

    Attributes:
        before, after: see `Measures`.
        gains: the second minus the first by metric, with 95 % paired bootstrap intervals over users.
        users: evaluated.
    """

    before: Measures
    after: Measures
    gains: Mapping[str, Difference]
    users: int

    def to_dict(self) -> dict[str, object]:
        """Return everything but the rankings as JSON-ready values."""
        both = {
            name: {
                "accuracy": dict(found.accuracy),
                "lists": dict(found.lists),
                "neighbour_weight": found.neighbour_weight,
            }
            for name, found in (("before", self.before), ("after", self.after))
        }
        return {**both, "gains": {name: asdict(gap) for name, gap in self.gains.items()}, "users": self.users}

    def table(self) -> str:
        """Return a text table."""
        rows = [
            *((name, self.before.accuracy[name], self.after.accuracy[name]) for name in self.before.accuracy),
            *((name, self.before.lists[name], self.after.lists[name]) for name in self.before.lists),
            ("neighbours' weight", self.before.neighbour_weight, self.after.neighbour_weight),
        ]
        lines = [f"{'':22}{'before':>10}{'after':>10}{'change':>10}"]
        lines += [f"{name:22}{old:10.4f}{new:10.4f}{new - old:+10.4f}" for name, old, new in rows]
        rule = f"(95 % paired bootstrap over {self.users:,} users)"
        lines += [
            f"{name} {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] {rule}" for name, gap in self.gains.items()
        ]
        return "\n".join(lines)


def before_and_after(
    start: Run, aligned: Run, before: Measures | None = None, stage: Stage = Stage.TEST
) -> BeforeAfter:
    """Evaluate both runs, of the same data and split; of the first, take `before` where it is known already."""
    vectors = ItemFeatures.fit(start.split, FeatureConfig()).vectors
    before = before or measures(start, stage, vectors)
    after = measures(aligned, stage, vectors)
    gains = {
        name: paired_difference(
            [gain(after.ranking.removed, 10)], [gain(before.ranking.removed, 10)], np.random.default_rng(_SEED)
        )
        for name, gain in _GAINS.items()
    }
    return BeforeAfter(before, after, gains, len(start.split.users(stage)))


def measures(run: Run, stage: Stage, vectors: NDArray[np.float32]) -> Measures:
    """Evaluate one run by full ranking, neighbours included, as `meritrec-server evaluate` does.

    Args:
        run: finished.
        stage: validation or test.
        vectors: float32 [n_items, d], in the order of the data, for the diversity of lists.
    """
    found: Profile = profile(ModelScorer(run.model, run.catalog, run.split, stage), run.split, stage, vectors=vectors)
    lists = found.ranking.lists
    beyond = {
        **found.lists,
        "miscalibration@10": list_miscalibration(lists, run.split, stage, run.catalog),
        "invalid@10": invalid_share(lists, run.split, stage),
    }
    accuracy = {name: found.metrics[name] for name in ("recall@10", "ndcg@10", "mrr")}
    weight = run.catalog.neighbours.weight if run.catalog.neighbours is not None else 0.0
    return Measures(accuracy, beyond, weight, found.ranking)


def list_miscalibration(lists: NDArray[np.int64], split: Split, stage: Stage, catalog: Catalog) -> float:
    """Mean miscalibration of lists int64 [E, k] (items of the data, -1 after the end) against histories (Steck, 2018).

    Categories are attributes, or first codes of semantic IDs where no item has attributes.
    """
    rows = catalog_rows(split.data, catalog)
    known: Categories = categories(split, catalog)
    shown = torch.from_numpy(np.where(lists >= 0, rows[np.maximum(lists, 0)], -1))
    values = []
    for row, user in enumerate(split.users(stage).tolist()):
        history = torch.from_numpy(rows[split.data.items[split.history(user, stage)]])
        if len(history):
            values.append(miscalibration(known.shares(history), known.shares(shown[row])))
    return float(torch.stack(values).mean()) if values else 0.0


def invalid_share(lists: NDArray[np.int64], split: Split, stage: Stage) -> float:
    """Share of places of lists int64 [E, k] that hold no catalog item, one that the list has already, or a seen one."""
    bad = 0
    for found, user in zip(lists, split.users(stage).tolist(), strict=True):
        good = np.unique(found[(found >= 0) & (found < split.data.n_items)])
        seen = split.data.items[split.history(user, stage)]
        bad += len(found) - int((~np.isin(good, seen)).sum())
    return bad / max(lists.size, 1)
