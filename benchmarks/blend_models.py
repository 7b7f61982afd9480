"""The model's side: trained by the server on everyone but strangers, exported, and asked by the device's runtime.

Strangers are in none of the events that model, popularity and neighbours come from, as whoever installs an app is not.
What is trained stays in the output folder; an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.blend_people import ASKED_AT, Case, Ints, People, write_events
from device_runtime import (
    MANIFEST_FILE,
    MODEL_FILE,
    Action,
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
from server_training.data.split import Split
from server_training.evaluation.baselines import ItemKnn, ItemKnnConfig, Popularity
from server_training.export.publish import ExportConfig, export_run
from server_training.run_config import RunConfig, load_config
from server_training.training.run_folder import Run, train_run

CONFIG = "lastfm-listening"


@dataclass(frozen=True, slots=True)
class Proposed:
    """One list.

    Attributes:
        items: int64 [n], places in the catalog, best first, none of them known.
        scores: float64 [n]; log-probabilities of a model.
    """

    items: Ints
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelSide:
    """What the server made without the strangers, with the device's ranker open.

    Attributes:
        ranker: the device's.
        digest: of the model.
        place_of_row: int64 [n], from rows of the device's catalog to places in ours.
        popularity: float32 [n], events by place.
        similarity: item-kNN's, by place.
    """

    ranker: ModelRanker
    digest: str
    place_of_row: Ints
    popularity: NDArray[np.float32]
    similarity: sparse.csr_array


def model_side(people: People, without: set[int], folder: Path, config: RunConfig) -> ModelSide:
    """Train, export and open; what an earlier call finished is kept."""
    if not (folder / "data" / REPORT_FILE).exists():
        prepare(write_events(people, without, folder / "source").parent, folder / "data")
    if not _finished(folder / "run", config):
        console.print(f"training on {len(people.persons) - len(without):,} people")
        with training_bar() as bar:
            train_run(folder / "data", folder / "run", config, bar)
    run = Run.open(folder / "run")
    place = {artist: number for number, artist in enumerate(people.catalog)}
    to_place = np.array([place[artist] for artist in run.split.data.item_ids], np.int64)
    popularity = np.zeros(len(place), np.float32)
    popularity[to_place] = Popularity.fit(run.split).counts
    digest = hashlib.sha256((run.folder / "model.pt").read_bytes()).hexdigest()[:16]
    return ModelSide(
        _ranker(run, folder / f"bundle-{digest}"),
        digest,
        np.array([place[artist] for artist in run.catalog.ids], np.int64),
        popularity,
        _by_place(run.split, to_place),
    )


def _finished(folder: Path, config: RunConfig) -> bool:
    try:
        info = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(info["config"] == json.loads(json.dumps(config.to_dict())))


def _by_place(split: Split, to_place: Ints) -> sparse.csr_array:
    """Item-kNN's similarities by place in the catalog; listening has no order worth a decay."""
    found = ItemKnn.fit(split, config=ItemKnnConfig(half_life=np.inf)).similarity.tocoo()
    return sparse.csr_array((found.data, (to_place[found.row], to_place[found.col])), shape=found.shape)


def _ranker(run: Run, bundle: Path) -> ModelRanker:
    if not (bundle / MANIFEST_FILE).exists():
        with counting_bar("verifying the program") as bar:
            export_run(run, bundle, ExportConfig(namespace="lastfm"), bar)
    files = read_files(bundle)
    return ModelRanker(Manifest.from_bytes(files[MANIFEST_FILE]), run.catalog, open_session(files[MODEL_FILE]))


def propose(people: People, server: ModelSide, cases: Iterable[Case], depth: int) -> Iterator[tuple[Case, Proposed]]:
    """Ask the device's ranker for each case's list, known artists left out."""
    row_of_place = np.argsort(server.place_of_row)
    for case in cases:
        person = people.persons[case.person]
        artists = person.artists[case.known]
        history = [
            HistoryEvent(people.catalog[artist], Action.LIKE, at)
            for artist, at in zip(artists.tolist(), person.times[case.known].tolist(), strict=True)
        ]
        allowed = RowFilter.of(len(people.catalog), excluded=row_of_place[artists])
        found = server.ranker.rank_rows(history, depth, now=ASKED_AT, allowed=allowed)
        rows = np.array([row for row, _ in found], np.int64)
        yield case, Proposed(server.place_of_row[rows], np.array([score for _, score in found]))


def by_popularity(server: ModelSide, known: Ints, depth: int) -> Ints:
    """The most listened-to artists that are not known."""
    return _best(server.popularity.astype(np.float64), known, depth)


def by_neighbours(server: ModelSide, known: Ints, depth: int) -> Ints:
    """Item-kNN's list; whatever it has no opinion on comes by popularity."""
    scores = (
        np.asarray(server.similarity[known].sum(axis=0)).ravel() if len(known) else np.zeros(len(server.popularity))
    )
    return _best(scores + server.popularity * 1e-9, known, depth)


def _best(scores: NDArray[np.float64], known: Ints, depth: int) -> Ints:
    scores = scores.copy()
    scores[known] = -np.inf
    order = np.argsort(-scores, kind="stable")[:depth]
    return order[np.isfinite(scores[order])]


def config_of(epochs: int | None) -> RunConfig:
    """The configuration, with other epochs than its own if some are given."""
    config = load_config(CONFIG)
    return config if epochs is None else replace(config, train=replace(config.train, epochs=epochs))
