"""Quality, size and speed of our models beside baselines of the same run and published rows.

`python -m benchmarks.models DATASET [--data FOLDER] [--out FOLDER] [--seeds 3] [--heads] [--peers PYTHON]`

Trains the configuration shipped for the data set, and SASRec with full cross-entropy, once per seed; fits popularity,
item-kNN, EASE and iALS; ranks the whole catalog for every test user; exports every model of ours, and lets the device's
runtime answer for every test user again. With --heads the same configuration is trained with each decoding head; with
--peers other libraries train on the same events in an environment of their own (see `models_peers.py`). Whatever has
been trained is kept in the output folder: an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models_published import NONE_KNOWN, PUBLISHED
from device_runtime import MANIFEST_FILE, MODEL_FILE, ItemSearch, Manifest, open_session, read_files
from server_training.console import console, counting_bar, naming_bar, training_bar
from server_training.data.columns import REPORT_FILE
from server_training.data.prepare import prepare
from server_training.data.split import Split, Stage
from server_training.evaluation.full_ranking import evaluate_topk
from server_training.evaluation.names import Baseline
from server_training.evaluation.report import Comparison, compare
from server_training.export.publish import ExportConfig, export_run
from server_training.models.config import Head
from server_training.run_config import RunConfig, load_config
from server_training.training.run_folder import Run, train_run
from server_training.training.windows import history_windows

FOLDERS = {
    "beauty": ("amazon-beauty", "beauty"),
    "toys": ("amazon-toys", "instruments"),
    "ml-1m": ("ml-1m", "movielens-1m"),
    "ml-100k": ("ml-100k", "movielens-100k"),
    "instruments": ("instruments-mql4grec", "instruments"),
    "lastfm": ("hetrec-lastfm", "lastfm"),
}
HEADS: tuple[Head, ...] = ("retrieval", "parallel", "autoregressive", "retrieve-rank")
PEERS = ("rectools-sasrec", "rectools-hstu", "rechub-hstu")
_PEER_STEPS = 2500
_TIMED_USERS = 300
_BASELINES: tuple[Baseline, ...] = ("popularity", "item-kNN", "EASE", "iALS")


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What the exported model does.

    Attributes:
        recall_at_10, ndcg_at_10: of the program, quantised, by the device's search.
        recall_at_10_exact: of the model in float, every item scored.
        p50_ms, p99_ms: one recommendation of ten, one thread.
        program_bytes, bundle_bytes, title_bytes: sizes; titles are part of the bundle.
    """

    recall_at_10: float
    ndcg_at_10: float
    recall_at_10_exact: float
    p50_ms: float
    p99_ms: float
    program_bytes: int
    bundle_bytes: int
    title_bytes: int


def main() -> None:
    """Run one data set."""
    arguments = _parser().parse_args()
    name, config_name = FOLDERS[arguments.dataset]
    source = arguments.data or Path(os.environ.get("MERITREC_DATA", ""), name)
    out = arguments.out / arguments.dataset
    if not (out / "data" / REPORT_FILE).exists():
        if not source.exists():
            raise SystemExit(f"no data at {source}; name its folder with --data, or its parent in MERITREC_DATA")
        prepare(source, out / "data")
    ours, sasrec = load_config(config_name), _sasrec(load_config("sasrec-ce"), load_config(config_name))
    wanted = [(f"ours-{seed}", ours, seed) for seed in range(arguments.seeds)]
    few = arguments.seeds if arguments.sasrec_seeds is None else arguments.sasrec_seeds
    wanted += [(f"sasrec-ce-{seed}", sasrec, seed) for seed in range(few)]
    if arguments.heads:
        wanted += [(head, _with_head(ours, head), 0) for head in HEADS]
    runs = {label: _trained(out, label, config, seed) for label, config, seed in wanted}
    with naming_bar() as bar:
        comparison = compare(list(runs.values()), names=_BASELINES, progress=bar)
    exported = {label: _exported(run, out / "bundles" / label) for label, run in runs.items() if _is_ours(label)}
    peers = list(_peers(arguments.peers, out, next(iter(runs.values())).split, ours)) if arguments.peers else []
    found = {
        **comparison.to_dict(),
        "device": {label: asdict(device) for label, device in exported.items()},
        "training_minutes": {label: _minutes(run) for label, run in runs.items()},
        "parameters": {label: run.info.parameters for label, run in runs.items()},
        "peers": peers,
    }
    (out / "results.json").write_text(json.dumps(found, indent=2) + "\n")
    _print(arguments.dataset, comparison, runs, exported, peers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Our models beside baselines, peers and published rows.")
    parser.add_argument("dataset", choices=list(FOLDERS))
    parser.add_argument("--data", type=Path, help="folder of the data set (default: its folder in MERITREC_DATA)")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"), help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs per system (default: %(default)s)")
    parser.add_argument("--sasrec-seeds", type=int, help="of SASRec-CE (default: as many)")
    parser.add_argument("--heads", action="store_true", help="train every decoding head too")
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="interpreter of the peers' environment")
    return parser


def _sasrec(plain: RunConfig, ours: RunConfig) -> RunConfig:
    """The honest baseline reads as much history as ours, and drops out as much."""
    model = replace(plain.model, history_length=ours.model.history_length, dropout=ours.model.dropout)
    return replace(plain, model=model, train=replace(plain.train, batch_size=ours.train.batch_size))


def _with_head(config: RunConfig, head: Head) -> RunConfig:
    """Another head on the same model, all without neighbours, which one of them could not use."""
    return replace(config, items=replace(config.items, neighbours=0), model=replace(config.model, head=head))


def _is_ours(label: str) -> bool:
    return not label.startswith("sasrec-ce")


def _trained(out: Path, label: str, config: RunConfig, seed: int) -> Run:
    folder = out / "runs" / label
    seeded = replace(config, train=replace(config.train, seed=seed))
    if not _finished(folder, seeded):
        console.print(f"training {label}")
        with training_bar() as bar:
            train_run(out / "data", folder, seeded, bar)
    return Run.open(folder)


def _finished(folder: Path, config: RunConfig) -> bool:
    try:
        info = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(info["config"] == json.loads(json.dumps(config.to_dict())))


def _minutes(run: Run) -> float:
    return float(sum(json.loads(line)["seconds"] for line in (run.folder / "log.jsonl").read_text().splitlines()) / 60)


def _exported(run: Run, folder: Path) -> OnDevice:
    # A model trained again, say after a change of its configuration, is exported and measured again.
    model = hashlib.sha256((run.folder / "model.pt").read_bytes()).hexdigest()[:16]
    kept = folder.with_name(f"{folder.name}-{model}.json")
    if kept.exists():
        return OnDevice(**json.loads(kept.read_text()))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with counting_bar(f"verifying {folder.name}") as bar:
        report = export_run(run, folder, ExportConfig(namespace=folder.parent.parent.name), bar)
    times = sorted(_latencies(run, folder))
    titles = sum(len(title.encode()) for title in run.split.data.titles)
    device = OnDevice(
        report.verification.device["recall@10"],
        report.verification.device["ndcg@10"],
        report.verification.exact["recall@10"],
        statistics.median(times),
        times[int(0.99 * (len(times) - 1))],
        report.pte_bytes,
        report.bundle_bytes,
        titles,
    )
    kept.write_text(json.dumps(asdict(device)))
    return device


def _latencies(run: Run, bundle: Path) -> Iterator[float]:
    files = read_files(bundle)
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    session = open_session(files[MODEL_FILE])
    search = ItemSearch(session, run.catalog, manifest.shape)
    windows = history_windows(run.split, Stage.TEST, run.catalog, manifest.history_length, manifest.window_step)
    inputs = [windows.inputs(user, run.catalog) for user in range(min(_TIMED_USERS, len(windows)))]
    search(inputs[0], 10)  # the first call computes every item's vector
    for each in inputs:
        began = time.perf_counter()
        search(each, 10)
        yield (time.perf_counter() - began) * 1e3


def _peers(python: Path, out: Path, split: Split, ours: RunConfig) -> Iterator[dict[str, Any]]:
    """Train each peer in its own environment, with our dropout and history, and evaluate its lists by our rule."""
    events = out / "events.csv"
    _write_events(split, events)
    batch = ours.train.batch_size
    options = {
        "--epochs": max(1, round(_PEER_STEPS * batch / split.data.n_users)),
        "--batch-size": batch,
        "--max-length": ours.model.history_length,
        "--dropout": ours.model.dropout,
    }
    script = Path(__file__).with_name("models_peers.py")
    for peer in PEERS:
        lists, said = out / f"{peer}.npy", out / f"{peer}.json"
        if not said.exists():
            console.print(f"training {peer}")
            command = [str(python), str(script), peer, str(events), str(lists)]
            command += [str(part) for pair in options.items() for part in pair]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                console.print(f"{peer} failed with exit code {done.returncode}; it is left out of the table")
                continue
            said.write_text(done.stdout.splitlines()[-1])
        metrics = evaluate_topk(np.load(lists), split).metrics
        yield {**json.loads(said.read_text()), "recall@10": metrics["recall@10"], "ndcg@10": metrics["ndcg@10"]}


def _write_events(split: Split, path: Path) -> None:
    data = split.data
    part = np.zeros(len(data.items), np.int64)
    part[split.target_events(Stage.VALID)] = 1
    part[split.target_events(Stage.TEST)] = 2
    owner = np.repeat(np.arange(data.n_users), np.diff(data.offsets))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "timestamp", "part"))
        writer.writerows(zip(owner, data.items, data.timestamps, part, strict=True))


def _print(
    dataset: str,
    comparison: Comparison,
    runs: Mapping[str, Run],
    exported: Mapping[str, OnDevice],
    peers: Sequence[Mapping[str, Any]],
) -> None:
    print(f"\n{dataset}: test users, seen items removed unless said\n")
    print(comparison.table((5, 10)))
    ours = next(name for name in comparison.systems if name not in _BASELINES)
    for name in comparison.systems:
        if name != ours:
            gap = comparison.difference(ours, name)
            print(f"{ours} - {name}: NDCG@10 {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
    print("\ntraining minutes: " + ", ".join(f"{label} {_minutes(run):.0f}" for label, run in runs.items()))
    print("learned numbers:  " + ", ".join(f"{label} {run.info.parameters:,}" for label, run in runs.items()))
    print("\non the device      recall@10   ndcg@10  p50 ms  p99 ms      KB  without titles")
    for label, device in exported.items():
        size = device.bundle_bytes / 1e3
        print(
            f"{label:<18}{device.recall_at_10:10.4f}{device.ndcg_at_10:10.4f}{device.p50_ms:8.2f}{device.p99_ms:8.2f}"
            f"{size:8.0f}{size - device.title_bytes / 1e3:16.0f}"
        )
    for peer in peers:
        print(
            f"{peer['peer']} {peer['version']}, same events: recall@10 {peer['recall@10']:.4f}, ndcg@10 "
            f"{peer['ndcg@10']:.4f}; {peer['parameters']:,} numbers, {peer['seconds_training'] / 60:.0f} min"
        )
    print("\npublished, on their own files:")
    for row in PUBLISHED[dataset]:
        values = [f"{value:.4f}" if value is not None else "     -" for value in (row.recall_at_10, row.ndcg_at_10)]
        print(f"  {row.system:<26}{values[0]:>8}{values[1]:>8}   {row.source}")
    if not PUBLISHED[dataset]:
        print(f"  {NONE_KNOWN}")


if __name__ == "__main__":
    main()
