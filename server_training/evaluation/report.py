"""The evaluation a user reads: the model beside its baselines, on the same split, by the same rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from server_training.data.split import Split, Stage
from server_training.evaluation.baselines import ItemKnn, Popularity
from server_training.evaluation.full_ranking import EvalResult, Scorer, evaluate_scores
from server_training.evaluation.scorer import ModelScorer
from server_training.training.run_folder import Run

MODEL = "meritrec"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results by name, in the order they are shown; the rules they share are those of any of them."""

    results: Mapping[str, EvalResult]

    def to_dict(self) -> dict[str, object]:
        """Return the results as JSON-ready values."""
        return {name: asdict(result) for name, result in self.results.items()}

    def table(self) -> str:
        """Return a text table of the metrics, with the rules under it."""
        names = list(next(iter(self.results.values())).metrics)
        width = max(len(name) for name in self.results)
        lines = [" " * width + "".join(f"{name:>12}" for name in names)]
        for name, result in self.results.items():
            lines.append(f"{name:<{width}}" + "".join(f"{result.metrics[m]:12.4f}" for m in names))
        any_result = next(iter(self.results.values()))
        lines.append(f"{any_result.n_users} users, all {any_result.n_items} items ranked; {any_result.seen_rule}")
        lines.append(any_result.split_rule)
        return "\n".join(lines)


def baselines(split: Split) -> dict[str, Scorer]:
    """Fit popularity and item-kNN on the training events of `split`."""
    return {"popularity": Popularity.fit(split), "item-kNN": ItemKnn.fit(split)}


def compare(run: Run, ks: tuple[int, ...] = (10,), *, seen_removed: bool = True) -> Comparison:
    """Evaluate a finished run and the baselines on its test events."""
    scorers: dict[str, Scorer] = baselines(run.split)
    scorers[MODEL] = ModelScorer(run.model, run.catalog, run.split, Stage.TEST)
    return Comparison({name: evaluate_scores(scorer, run.split, ks, seen_removed) for name, scorer in scorers.items()})
