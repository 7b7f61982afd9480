"""The evaluation a user reads: models beside baselines on one split, by one rule, with how sure each difference is.

Runs that differ in their seed only are one system; their per-user gains are averaged before systems are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from server_training.data.columns import REPORT_FILE
from server_training.data.split import Split, Stage
from server_training.errors import ConfigInvalid, EvaluationInvalid
from server_training.evaluation.baselines import ItemKnn, Popularity
from server_training.evaluation.factor_models import LARGEST_EASE, Ease, Ials
from server_training.evaluation.full_ranking import SCORED_TIES, SEEN_KEPT, SEEN_REMOVED, Scorer
from server_training.evaluation.metrics import ndcg_at, recall_at
from server_training.evaluation.names import BASELINES, Baseline
from server_training.evaluation.profile import Group, Profile, profile
from server_training.evaluation.scorer import ModelScorer
from server_training.evaluation.uncertainty import Difference, Spread, paired_difference, spread
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.training.run_folder import Run

MODEL = "meritrec"
_SEED = 0
_COLD = ("no training event", "1 to 5")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class System:
    """One recommender, over its seeds.

    Attributes:
        profiles: one per seed.
        recall_at_10, ndcg_at_10: over seeds and users, seen items removed.
    """

    profiles: tuple[Profile, ...]
    recall_at_10: Spread
    ndcg_at_10: Spread

    @classmethod
    def of(cls, profiles: Sequence[Profile], rng: np.random.Generator) -> System:
        """Summarise the profiles of one system."""
        recall, ndcg = (spread([gain(p.ranking.removed, 10) for p in profiles], rng) for gain in (recall_at, ndcg_at))
        return cls(tuple(profiles), recall, ndcg)

    def metrics(self, *, seen_removed: bool = True) -> dict[str, float]:
        """Accuracy, averaged over seeds."""
        return _mean([p.metrics if seen_removed else p.metrics_kept for p in self.profiles])

    def lists(self) -> dict[str, float]:
        """Coverage, novelty and the like of the top 10, averaged over seeds."""
        return _mean([p.lists for p in self.profiles])

    def groups(self) -> dict[str, dict[str, Group]]:
        """Cold items and cold users, of the first seed."""
        return {"by_item": self.profiles[0].cold_items, "by_user": self.profiles[0].cold_users}


@dataclass(frozen=True, slots=True)
class Rules:
    """All one must know to compare these numbers with others.

    Attributes:
        data_sha256: of users, items and events.
        files_sha256: of the files the data was prepared from, by name; empty when it is not known.
        stage: which held-out event was the target.
        split_rule, tie_rule: how events were divided, how ties count.
        n_users, n_items: users evaluated; items in the catalog, all of them ranked.
        repeated_targets: users whose target is in their own history; with seen items removed, a sure miss.
        tied_targets: users whose test event shares its second with the one before.
    """

    data_sha256: str
    files_sha256: Mapping[str, str]
    stage: str
    split_rule: str
    tie_rule: str
    n_users: int
    n_items: int
    repeated_targets: int
    tied_targets: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Systems by name, in the order they are shown."""

    rules: Rules
    systems: Mapping[str, System]

    def difference(self, first: str, second: str) -> Difference:
        """How much better the first system's NDCG@10 is, user by user, seen items removed."""
        mine, theirs = (
            [ndcg_at(p.ranking.removed, 10) for p in self.systems[name].profiles] for name in (first, second)
        )
        return paired_difference(mine, theirs, np.random.default_rng(_SEED))

    def best_baseline(self) -> str | None:
        """The baseline with the highest NDCG@10."""
        rivals = [name for name in self.systems if name in BASELINES]
        return max(rivals, key=lambda name: self.systems[name].ndcg_at_10.mean, default=None)

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON-ready values."""
        rival = self.best_baseline()
        return {
            "rules": asdict(self.rules),
            "systems": {
                name: {
                    "seen removed": system.metrics(),
                    "seen kept": system.metrics(seen_removed=False),
                    "recall@10": asdict(system.recall_at_10),
                    "ndcg@10": asdict(system.ndcg_at_10),
                    "lists": system.lists(),
                    **{key: {k: asdict(g) for k, g in groups.items()} for key, groups in system.groups().items()},
                    **({"over " + rival: asdict(self.difference(name, rival))} if rival and name != rival else {}),
                }
                for name, system in self.systems.items()
            },
        }

    def table(self, cutoffs: Sequence[int] = (10,)) -> str:
        """Return text tables: accuracy, lists, cold items; what the model gains over the best baseline; the rules."""
        names = [f"{metric}@{k}" for k in cutoffs for metric in ("recall", "ndcg")]
        rows: dict[str, list[float]] = {}
        for name, system in self.systems.items():
            removed, kept = system.metrics(), system.metrics(seen_removed=False)
            rows[name] = [*(removed[m] for m in names), removed["mrr"], *(kept[m] for m in names)]
        parts = [_table([*names, "mrr", *(f"{m} kept" for m in names)], rows)]
        lists = {name: list(system.lists().values()) for name, system in self.systems.items()}
        parts.append(_table(list(next(iter(self.systems.values())).lists()), lists))
        cold = {
            name: [system.groups()["by_item"][group].recall_at_10 for group in _COLD]
            for name, system in self.systems.items()
        }
        users = next(iter(self.systems.values())).groups()["by_item"]
        parts.append(_table([f"recall@10, target with {group} ({users[group].users})" for group in _COLD], cold))
        parts += [*self._gains(), self._small_print()]
        return "\n\n".join(parts)

    def _gains(self) -> list[str]:
        rival = self.best_baseline()
        ours = [name for name in self.systems if name not in BASELINES]
        lines = []
        for name in ours if rival else []:
            gap, over = self.difference(name, str(rival)), self.systems[name].ndcg_at_10
            lines.append(
                f"{name} over {rival}: NDCG@10 {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] (95 % paired "
                f"bootstrap), p {'<' if gap.p_value <= 1e-3 else '='} {max(gap.p_value, 1e-3):.3f}; {over.seeds} "
                f"seed{'s' * (over.seeds > 1)}, deviation {over.deviation:.4f}"
            )
        return ["\n".join(lines)] if lines else []

    def _small_print(self) -> str:
        r = self.rules
        return (
            f"{r.n_users:,} users, all {r.n_items:,} items ranked, on {r.stage} events; {r.split_rule}\n"
            f"seen: {SEEN_REMOVED} ({r.repeated_targets:,} are); kept: {SEEN_KEPT}\n"
            f"ties: {r.tie_rule}; data sha256 {r.data_sha256[:16]}"
        )


def baselines(split: Split, stage: Stage, names: Sequence[Baseline] | None = None) -> Iterator[tuple[str, Scorer]]:
    """Fit baselines on the training events, one at a time.

    Args:
        split: training events and histories.
        stage: histories as known then.
        names: which; popularity, item-kNN, and EASE or for large catalogs iALS when None.
    """
    strong: Baseline = "EASE" if split.data.n_items <= LARGEST_EASE else "iALS"
    for name in names if names is not None else ("popularity", "item-kNN", strong):
        if name == "popularity":
            yield name, Popularity.fit(split)
        elif name == "item-kNN":
            yield name, ItemKnn.fit(split, stage)
        elif name == "EASE":
            yield name, Ease.fit(split, stage, half_life=2.0)
        elif name == "iALS":
            yield name, Ials.fit(split, stage)
        else:
            raise ConfigInvalid(f"expected baselines of {', '.join(BASELINES)}, got {name!r}")


def compare(
    runs: Sequence[Run],
    *,
    stage: Stage = Stage.TEST,
    names: Sequence[Baseline] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Evaluate finished runs and the baselines on the same events.

    Args:
        runs: of the same data and split; those that differ in the seed only are averaged.
        stage: validation or test.
        names: baselines, see :func:`baselines`.
        progress: told (system, users done, users).

    Raises:
        EvaluationInvalid: no run, or runs on different data or splits.
    """
    if not runs or len({(run.split.data.sha256, run.split.rule) for run in runs}) > 1:
        raise EvaluationInvalid("expected runs of the same data and split; evaluate others on their own")
    split = runs[0].split
    vectors = ItemFeatures.fit(split, FeatureConfig()).vectors
    rng = np.random.default_rng(_SEED)

    def one(name: str, scorer: Scorer) -> Profile:
        told = (lambda done, total: progress(name, done, total)) if progress else None
        return profile(scorer, split, stage, vectors=vectors, progress=told)

    systems = {name: System.of([one(name, scorer)], rng) for name, scorer in baselines(split, stage, names)}
    for name, members in _by_system(runs):
        found = [one(name, ModelScorer(run.model, run.catalog, split, stage)) for run in members]
        systems[name] = System.of(found, rng)
    return Comparison(_rules(split, stage, runs[0].data_folder), systems)


def _by_system(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """Runs whose settings differ by the seed only, together; named by their folders where there are several."""
    keyed = sorted(((json.dumps(run.settings_without_seed(), sort_keys=True), place) for place, run in enumerate(runs)))
    groups = [[runs[place] for _, place in members] for _, members in groupby(keyed, key=lambda pair: pair[0])]
    for members in sorted(groups, key=lambda members: runs.index(members[0])):
        yield MODEL if len(groups) == 1 else f"{MODEL} {members[0].folder.name}", members


def _rules(split: Split, stage: Stage, data_folder: Path) -> Rules:
    targets = split.targets(stage)
    repeated = sum(
        int(target in split.data.items[split.history(user, stage)])
        for user, target in zip(split.users(stage).tolist(), targets.tolist(), strict=True)
    )
    try:
        files = json.loads((data_folder / REPORT_FILE).read_text())["inputs"]
    except (OSError, ValueError, KeyError):
        files = {}
    return Rules(
        split.data.sha256,
        files,
        stage.value,
        split.rule,
        SCORED_TIES,
        len(targets),
        split.data.n_items,
        repeated,
        split.tied_targets,
    )


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _table(columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    width = max(len(name) for name in rows)
    widths = [max(len(column), 8) + 2 for column in columns]
    lines = [" " * width + "".join(f"{column:>{w}}" for column, w in zip(columns, widths, strict=True))]
    for name, values in rows.items():
        cells = "".join(f"{value:{w}.4f}" for value, w in zip(values, widths, strict=True))
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)
