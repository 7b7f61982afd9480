"""The folder of one training run: which data, which semantic IDs, which settings, which weights.

run.json         settings, data folder and hash, tokenizer report
catalog.bin      items, semantic IDs, features and titles, in the device's format
tokenizer.npz    codebooks, to give new items IDs without retraining
checkpoint.pt    latest step, to resume from (a folder when the model is sharded)
model.pt         best weights
log.jsonl        one line per epoch
evaluation.json  what `meritrec-server evaluate` found, when it was run
report.html      all of it, to be read
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import TAXONOMY, Catalog, DeviceError
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, make_split
from server_training.errors import CheckpointInvalid, ConfigInvalid, TrainingError
from server_training.files import write_atomically
from server_training.items.attributes import with_categories
from server_training.items.content import ContentProjection
from server_training.items.item_vectors import ItemFeatures
from server_training.items.tokenizer import ItemTokenizer, Tokenizer
from server_training.models.recommender import GenerativeRecommender
from server_training.run_config import RunConfig
from server_training.training.adapter_weights import choose_weights, set_weights
from server_training.training.checkpoint import checkpoints_of
from server_training.training.logs import LOG_FILE
from server_training.training.model_file import MODEL_FILE, load_model, save_trained
from server_training.training.neighbours import find_neighbours, introduced, weighted
from server_training.training.processes import Processes
from server_training.training.train import TrainingObserver, TrainResult, train
from server_training.training.windows import catalog_rows, used_rows

RUN_FILE = "run.json"
CATALOG_FILE = "catalog.bin"
TOKENIZER_FILE = "tokenizer.npz"
EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What run.json says; `alignment` has the settings of the alignment, if there was one."""

    data_folder: str
    data_sha256: str
    config: Mapping[str, Any]
    tokenizer: Mapping[str, object]
    parameters: int
    epochs: int
    best_valid_ndcg_at_10: float
    neighbour_weight: float = 0.0
    alignment: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, opened."""

    folder: Path
    info: RunInfo
    split: Split
    catalog: Catalog
    model: GenerativeRecommender

    @property
    def data_folder(self) -> Path:
        """The prepared data it was trained on."""
        return Path(self.info.data_folder)

    def settings_without_seed(self) -> dict[str, Any]:
        """All settings but the seeds: equal for runs of one system."""
        config = RunConfig.from_dict(self.info.config)
        settings = replace(config, train=replace(config.train, seed=0)).to_dict()
        if self.info.alignment is not None:
            aligned = {name: part for name, part in self.info.alignment.items() if name != "run"}
            settings["alignment"] = {**aligned, "train": {**aligned["train"], "seed": 0}}
        return settings

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open a finished run with its data.

        Raises:
            TrainingError: the run is missing, unfinished or damaged, or its data changed since.
        """
        path = folder / RUN_FILE
        try:
            info = RunInfo(**json.loads(path.read_text()))
            catalog = Catalog.from_bytes((folder / CATALOG_FILE).read_bytes())
        except FileNotFoundError as error:
            raise TrainingError(
                f"{folder} holds no finished run; run `meritrec-server train DATA --out {folder}`"
            ) from error
        except (ValueError, TypeError, DeviceError) as error:
            raise TrainingError(f"{folder} is damaged ({error}); train again with --fresh") from error
        data = SequenceData.load(Path(info.data_folder))
        if data.sha256 != info.data_sha256:
            raise TrainingError(f"{info.data_folder} changed since this run; train again, or restore the data")
        split = make_split(data, RunConfig.from_dict(info.config).split)
        return cls(folder, info, split, catalog, load_model(folder / MODEL_FILE).model)


@dataclass(frozen=True, slots=True)
class DescribedItems:
    """A catalog before training: codes, and what is known from content.

    Attributes:
        catalog: without learned features.
        content: float32 [n, content_features], in catalog order.
        vectors: float32 [n, m], by item index of the data: what the tokenizer saw.
        tokenizer: to give new items codes.
    """

    catalog: Catalog
    content: NDArray[np.float32]
    vectors: NDArray[np.float32]
    tokenizer: ItemTokenizer


def describe_items(split: Split, config: RunConfig) -> DescribedItems:
    """Give every item its semantic ID and content features; of users, only training events are looked at."""
    model, data = config.model, split.data
    features = ItemFeatures.fit(split, config.items.features())
    tokenizer = Tokenizer(config.items.tokenizer, model.levels, model.codebook_size, config.train.seed).fit(
        features.vectors
    )
    catalog = Catalog.build(data.item_ids, tokenizer.codes, model.codebook_size, data.titles)
    known = ContentProjection.fit(features.text, model.content_features).apply(features.text)
    content = np.empty_like(known)
    content[catalog_rows(data, catalog)] = known
    if TAXONOMY in model.adapters:
        catalog = with_categories(catalog, data, model.categories)
        if catalog.categories is None:
            raise ConfigInvalid("no attribute is shared by two items: leave the adapter taxonomy out")
    return DescribedItems(catalog, content, features.vectors, tokenizer)


def train_run(
    data_folder: Path,
    folder: Path,
    config: RunConfig,
    observer: TrainingObserver,
    *,
    fresh: bool = False,
    processes: Processes | None = None,
    sharded: bool = False,
) -> TrainResult:
    """Tokenise, train and leave a finished run in `folder`; an interrupted one is resumed.

    Args:
        data_folder: prepared data.
        folder: of the run.
        config: all settings.
        observer: told of progress.
        fresh: discard what the folder holds.
        processes: this one among its fellows; alone when None.
        sharded: split the model over the processes instead of copying it.

    Raises:
        TrainingError: bad data, a folder that belongs to another run, or a loss that is not finite.
        KeyboardInterrupt: it was asked to stop; call it again to go on.
    """
    processes = processes or Processes()
    if folder.exists() and not folder.is_dir():
        raise CheckpointInvalid(f"{folder} is a file; choose another output folder")
    data = SequenceData.load(data_folder)
    split = make_split(data, config.split)
    if processes.first:
        folder.mkdir(parents=True, exist_ok=True)
        if fresh:
            _discard(folder)
    processes.wait()
    described = describe_items(split, config)
    found = described.catalog.categories
    result = train(
        split,
        described.catalog,
        folder,
        config.model if found is None else replace(config.model, categories=len(found.names)),
        config.train,
        observer,
        content=described.content,
        vectors=described.vectors,
        processes=processes,
        sharded=sharded,
    )
    if processes.first:
        result = _write_results(folder, data_folder, split, config, described, result)
    processes.wait()
    return result


def _write_results(
    folder: Path,
    data_folder: Path,
    split: Split,
    config: RunConfig,
    described: DescribedItems,
    result: TrainResult,
) -> TrainResult:
    with torch.no_grad():
        catalog = described.catalog.with_features(result.trained.features().numpy())
    reached, model = result.best_valid_ndcg_at_10, result.trained.model
    if model.adapters is not None:
        chosen, reached = choose_weights(model, catalog, split)
        set_weights(model, chosen)
        save_trained(folder / MODEL_FILE, result.trained)
    if config.items.neighbours:
        found = find_neighbours(split, catalog, config.items.neighbours)
        if found is not None:
            found = introduced(found, described.content, used_rows(split, catalog))
            catalog, reached = weighted(catalog, model, split, found)
    write_atomically(folder / CATALOG_FILE, catalog.to_bytes())
    described.tokenizer.save(folder / TOKENIZER_FILE)
    report = described.tokenizer.report
    info = RunInfo(
        str(data_folder.resolve()),
        split.data.sha256,
        config.to_dict(),
        {**asdict(report), "collision_rate": report.collision_rate},
        result.parameters,
        result.epochs,
        reached,
        catalog.neighbours.weight if catalog.neighbours is not None else 0.0,
    )
    write_atomically(folder / RUN_FILE, (json.dumps(asdict(info), indent=2) + "\n").encode())
    return replace(result, best_valid_ndcg_at_10=reached)


def _discard(folder: Path) -> None:
    """Remove what a run leaves, and nothing else."""
    for name in (RUN_FILE, CATALOG_FILE, TOKENIZER_FILE, MODEL_FILE, LOG_FILE, EVALUATION_FILE):
        (folder / name).unlink(missing_ok=True)
    for path in checkpoints_of(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
