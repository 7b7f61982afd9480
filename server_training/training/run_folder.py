"""The folder of one training run: which data, which semantic IDs, which settings, which weights.

run.json         settings, data folder and hash, tokenizer report
catalog.msgpack  items, semantic IDs and titles, in the device's format
tokenizer.npz    codebooks, to give new items IDs without retraining
checkpoint.pt    latest epoch, to resume from
model.pt         best weights
log.jsonl        one line per epoch
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime import Catalog, DeviceError
from server_training.data.dataset import SequenceData
from server_training.data.split import Split, leave_last_out
from server_training.errors import CheckpointInvalid, TrainingError
from server_training.files import write_atomically
from server_training.items.text_features import ItemFeatures
from server_training.items.tokenizer import ItemTokenizer, ResidualKMeans
from server_training.models.generative import GenerativeRecommender, ModelConfig
from server_training.training.checkpoint import CHECKPOINT_FILE
from server_training.training.train import (
    LOG_FILE,
    MODEL_FILE,
    TrainConfig,
    TrainingObserver,
    TrainResult,
    load_model,
    train,
)

RUN_FILE = "run.json"
CATALOG_FILE = "catalog.msgpack"
TOKENIZER_FILE = "tokenizer.npz"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What run.json says."""

    data_folder: str
    data_sha256: str
    model: Mapping[str, int | float]
    train: Mapping[str, int | float]
    tokenizer: Mapping[str, object]
    parameters: int
    best_valid_ndcg_at_10: float


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, opened."""

    folder: Path
    info: RunInfo
    split: Split
    catalog: Catalog
    model: GenerativeRecommender

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
        return cls(folder, info, leave_last_out(data), catalog, load_model(folder / MODEL_FILE))


def make_catalog(split: Split, tokenizer: ResidualKMeans) -> tuple[Catalog, ItemTokenizer]:
    """Give every item its semantic ID, from its text and from who used it together with what (training events only)."""
    fitted = tokenizer.fit(ItemFeatures.fit(split).vectors)
    data = split.data
    catalog = Catalog.build(data.item_ids, fitted.codes, tokenizer.codebook_size, data.titles)
    return catalog, fitted


def train_run(
    data_folder: Path,
    folder: Path,
    model_config: ModelConfig,
    config: TrainConfig,
    observer: TrainingObserver,
    *,
    fresh: bool = False,
) -> TrainResult:
    """Tokenise, train and leave a finished run in `folder`; an interrupted one is resumed.

    Raises:
        TrainingError: bad data, a folder that belongs to another run, or a loss that is not finite.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointInvalid(f"{folder} is a file; choose another output folder")
    data = SequenceData.load(data_folder)
    split = leave_last_out(data)
    folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        for name in (RUN_FILE, CATALOG_FILE, TOKENIZER_FILE, CHECKPOINT_FILE, MODEL_FILE, LOG_FILE):
            (folder / name).unlink(missing_ok=True)
    tokenizer = ResidualKMeans(model_config.levels, model_config.codebook_size, config.seed)
    catalog, fitted = make_catalog(split, tokenizer)
    result = train(split, catalog, folder, model_config, config, observer)
    write_atomically(folder / CATALOG_FILE, catalog.to_bytes())
    fitted.save(folder / TOKENIZER_FILE)
    info = RunInfo(
        str(data_folder.resolve()),
        data.sha256,
        model_config.to_dict(),
        asdict(config),
        {**asdict(fitted.report), "collision_rate": fitted.report.collision_rate},
        result.parameters,
        result.best_valid_ndcg_at_10,
    )
    write_atomically(folder / RUN_FILE, (json.dumps(asdict(info), indent=2) + "\n").encode())
    return result
