"""What asks and priors do to the lists of people: how much more of what was asked, and what it costs.

`python -m benchmarks.asks [--data FOLDER] [--out FOLDER]`

Trains the configurations movielens-100k and movielens-100k-steered on MovieLens-100K, exports the second, and lets the
device's runtime answer for every test user, once per wish. Per wish it prints, over the lists of ten:

- NDCG@10, with a 95% interval of its difference from asking nothing (paired bootstrap over people);
- novelty: mean self-information of the items, in bits, by training events;
- distance: 1 - mean cosine of the items to the last five of the history, in the vectors that semantic IDs are made of;
- within: mean Jaccard distance of two items' genres in one list, which no ask was trained on;
- rating: mean rating, 1 to 5, that training events gave the items; and of the hits, by the person.

A run that is there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Action,
    Ask,
    Catalog,
    HistoryEvent,
    Manifest,
    ModelRanker,
    RowFilter,
    open_session,
    read_files,
)
from server_training.console import console, counting_bar, training_bar
from server_training.data.columns import REPORT_FILE
from server_training.data.prepare import prepare
from server_training.data.split import Split, Stage
from server_training.evaluation.metrics import ndcg_at, ranks_from_lists
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import exact_lists
from server_training.run_config import load_config
from server_training.training.returns import RECENT
from server_training.training.run_folder import RUN_FILE, Run, describe_items, train_run

PLAIN, STEERED = "movielens-100k", "movielens-100k-steered"
TOP = 10
_BEST_RATING = 5
_RESAMPLES = 1000
_ENDS = (0.1, 0.9)


@dataclass(frozen=True)
class Wish:
    """What one row asks for."""

    name: str
    ask: Ask | None = None
    priors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the lists of one wish are like; see the module.

    Attributes:
        change: of NDCG@10 against asking nothing, and its 95% interval.
    """

    wish: str
    ndcg_at_10: float
    change: tuple[float, float, float]
    novelty: float
    distance: float
    within: float
    rating: float
    hit_rating: float
    hits: int


def wishes(run: Run) -> Iterator[Wish]:
    """Nothing, each ask at both ends, each adapter alone, and one category lifted."""
    names = run.model.config.adapters
    silent = dict.fromkeys(names, 0.0)
    yield Wish("nothing")
    yield Wish("no adapters", None, silent)
    for ask in run.model.config.asks:
        for end in _ENDS:
            yield Wish(f"{ask} {end:g}", Ask(**{ask: end}))
    yield Wish("novelty 0.9, engagement 0.9", Ask(novelty=0.9, engagement=0.9))
    for name in names:
        for weight in (0.5, 2.0):
            yield Wish(f"{name} {weight:g}, no other", None, silent | {name: weight})
    for lift in (1.0, 3.0):
        yield Wish(f"taxonomy:Horror {lift:g}", None, {"taxonomy:Horror": lift})


class Ruler:
    """Measures lists of item indices [people, 10]."""

    def __init__(self, split: Split, vectors: NDArray[np.floating]) -> None:
        data, train = split.data, split.train_events()
        self.split = split
        counts = np.bincount(data.items[train], minlength=data.n_items)
        self._bits = -np.log2(np.maximum(counts, 1) / counts.sum())
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._unit = vectors / np.where(lengths > 0, lengths, 1)
        sums = np.bincount(data.items[train], data.weights[train], data.n_items)
        mean = float(data.weights[train].mean())
        self._rating = _BEST_RATING * (sums + mean) / (counts + 1)  # an item rated once or never is near the mean
        self._genres = [{name for name in names if ":" not in name} for names in data.attributes]
        users = split.users(Stage.TEST)
        self._recent = [data.items[split.history(int(user), Stage.TEST)][-RECENT:] for user in users]

    def gains(self, lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """NDCG@10 of everyone."""
        return ndcg_at(ranks_from_lists(lists, self.split.targets(Stage.TEST)), TOP)

    def effect(self, wish: str, lists: NDArray[np.int64], base: NDArray[np.float64]) -> Effect:
        """What the lists are like, beside the gains of lists for which nothing was asked."""
        gains, targets = self.gains(lists), self.split.targets(Stage.TEST)
        hit = (lists == targets[:, None]).any(axis=1)
        weights = self.split.data.weights[self.split.target_events(Stage.TEST)]
        return Effect(
            wish,
            float(gains.mean()),
            _change(gains - base),
            float(self._bits[lists].mean()),
            float(np.mean([1 - (self._unit[a] @ self._unit[b].T).mean() for a, b in self._pairs(lists)])),
            float(np.mean([self._within(row) for row in lists.tolist()])),
            float(self._rating[lists].mean()),
            float(_BEST_RATING * weights[hit].mean()) if hit.any() else float("nan"),
            int(hit.sum()),
        )

    def _pairs(self, lists: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        return zip(lists, self._recent, strict=True)

    def _within(self, row: Sequence[int]) -> float:
        sets = [self._genres[item] for item in row]
        return float(np.mean([1 - len(a & b) / max(1, len(a | b)) for a, b in combinations(sets, 2)]))

    def share_of(self, genre: str, lists: NDArray[np.int64]) -> float:
        """The share of listed items that are of a genre."""
        owned = np.array([genre in names for names in self._genres])
        return float(owned[lists].mean())


def _change(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    means = [differences[rng.integers(len(differences), size=len(differences))].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(differences.mean()), float(low), float(high)


def answered(ranker: ModelRanker, split: Split, wish: Wish) -> NDArray[np.int64]:
    """Everyone's ten items for a wish, as indices of the data, by the device's runtime; items seen are left out."""
    data, catalog = split.data, ranker.catalog
    index = {item: number for number, item in enumerate(data.item_ids)}
    lists = []
    for user in split.users(Stage.TEST).tolist():
        past = split.history(user, Stage.TEST)
        history = [
            HistoryEvent(data.item_ids[item], Action(action), at)
            for item, action, at in zip(
                data.items[past].tolist(), data.actions[past].tolist(), data.timestamps[past].tolist(), strict=True
            )
        ]
        seen = np.array([catalog.index_of(event.item) for event in history])
        found = ranker.rank_rows(
            history,
            TOP,
            now=int(data.timestamps[past.stop]),
            allowed=RowFilter.of(len(catalog), excluded=seen),
            ask=wish.ask,
            priors=wish.priors,
        )
        lists.append([index[catalog.ids[row]] for row, _ in found])
    return np.array(lists, np.int64)


def main() -> None:
    """Train what is missing, answer, print."""
    arguments = _parser().parse_args()
    out, data = arguments.out, arguments.out / "data"
    if not (data / REPORT_FILE).exists():
        source = arguments.data or Path(os.environ.get("MERITREC_DATA", ""), "ml-100k")
        if not source.exists():
            raise SystemExit(f"no data at {source}; name its folder with --data, or its parent in MERITREC_DATA")
        prepare(source, data)
    plain, steered = (_trained(out, name) for name in (PLAIN, STEERED))
    ranker = _ranker(steered, out / "bundle")
    described = describe_items(steered.split, load_config(STEERED))
    ruler = Ruler(steered.split, described.vectors)
    base = answered(ranker, steered.split, Wish("nothing"))
    gains = ruler.gains(base)
    effects = [ruler.effect("a model without asks", exact_lists(plain.model, plain.catalog, plain.split)[0], gains)]
    shares: dict[str, float] = {}
    for wish in wishes(steered):
        lists = answered(ranker, steered.split, wish)
        effects.append(ruler.effect(wish.name, lists, gains))
        shares[wish.name] = ruler.share_of("Horror", lists)
        console.print(_line(effects[-1]), highlight=False)
    ranker.close()
    _print(effects, shares, dict(ranker.steering.weights))
    results = {"effects": [asdict(effect) for effect in effects], "horror": shares, "weights": ranker.steering.weights}
    (out / "asks.json").write_text(json.dumps(results, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What asks and priors do to people's lists.")
    parser.add_argument("--data", type=Path, help="folder of MovieLens-100K (default: ml-100k in MERITREC_DATA)")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out/asks"), help="(default: %(default)s)")
    return parser


def _trained(out: Path, name: str) -> Run:
    folder = out / name
    if not (folder / RUN_FILE).exists():
        console.print(f"training {name}")
        with training_bar() as bar:
            train_run(out / "data", folder, load_config(name), bar)
    return Run.open(folder)


def _ranker(run: Run, folder: Path) -> ModelRanker:
    if not (folder / MANIFEST_FILE).exists():
        with counting_bar("exporting") as bar:
            export_run(run, folder, ExportConfig(namespace="movielens-100k", data_name="MovieLens-100K"), bar)
    files = read_files(folder)
    manifest, catalog = Manifest.from_bytes(files[MANIFEST_FILE]), Catalog.from_bytes(files[CATALOG_FILE])
    return ModelRanker(manifest, catalog, open_session(files[MODEL_FILE], methods=manifest.method_infos))


def _line(e: Effect) -> str:
    change, low, high = e.change
    return (
        f"{e.wish:30} {e.ndcg_at_10:.4f} {change:+.4f} [{low:+.4f}, {high:+.4f}] {e.novelty:7.2f} {e.distance:8.3f} "
        f"{e.within:6.3f} {e.rating:6.2f} {e.hit_rating:6.2f} ({e.hits})"
    )


def _print(effects: Sequence[Effect], horror: Mapping[str, float], weights: Mapping[str, float]) -> None:
    console.print(f"\nweights chosen on validation events: {weights}", highlight=False)
    console.print(
        f"{'asked':30} {'NDCG@10':7} {'change [95% interval]':27} novelty distance within rating of hits (n)",
        highlight=False,
    )
    for effect in effects:
        console.print(_line(effect), highlight=False)
    lifted = [(name, share) for name, share in horror.items() if name == "nothing" or "Horror" in name]
    console.print("share of Horror: " + ", ".join(f"{name} {share:.1%}" for name, share in lifted), highlight=False)


if __name__ == "__main__":
    main()
