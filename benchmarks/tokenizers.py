"""Semantic IDs by every tokenizer and from every kind of vector, beside published IDs of the same catalog.

`python -m benchmarks.tokenizers DATA [--ids INDEX.json] [--offset 1] [--train EPOCHS] [--levels 3] [--size 256]`

DATA is a prepared folder, or a source. `--ids` names a JSON object from item to its codes, such as LETTER publishes
("<a_12>", "<b_3>", ...). With --train each kind of ID trains one small model without any other item numbers.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import Catalog
from server_training.console import console, training_bar
from server_training.data.columns import REPORT_FILE
from server_training.data.dataset import SequenceData
from server_training.data.prepare import prepare
from server_training.data.split import Split, Stage, leave_last_out
from server_training.evaluation.profile import profile
from server_training.evaluation.scorer import ModelScorer
from server_training.items.item_vectors import FeatureConfig, ItemFeatures
from server_training.items.quantisers import Quantiser
from server_training.items.tokenizer import Tokenizer
from server_training.models.config import ModelConfig
from server_training.training.config import TrainConfig
from server_training.training.train import train

Codes = NDArray[np.uint16]
VECTORS = {
    "text": FeatureConfig(text="minilm", use_weight=0.0),
    "use": FeatureConfig(text="minilm", text_weight=0.0),
    "both": FeatureConfig(text="minilm"),
    "both, smoothed": FeatureConfig(text="minilm", smoothing=2),
    "aligned": FeatureConfig(text="minilm", aligned=True),
}


@dataclass(frozen=True, slots=True)
class Made:
    """One set of IDs.

    Attributes:
        name: of tokenizer and vectors.
        codes: uint16 [n, L] by item index, distinct rows.
        size: K.
        seconds: to learn codebooks and codes; None for IDs that were given.
        collisions: share of items without an ID of their own as quantised.
        unexplained: share of the vectors' variance lost; None for IDs that were given.
    """

    name: str
    codes: Codes
    size: int
    seconds: float | None
    collisions: float
    unexplained: float | None


def main() -> None:
    """Print the table."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data
        if not (folder / REPORT_FILE).exists():
            folder = Path(scratch) / "data"
            prepare(arguments.data, folder)
        split = leave_last_out(SequenceData.load(folder))
    print(f"{split.data.n_items:,} items, {arguments.levels} levels of {arguments.size}; seen items removed\n")
    learned = f"{'recall@10':>11}{'ndcg@10':>9}" if arguments.train else ""
    print(f"{'':<34}{'s':>6}{'collide':>9}{'unexpl.':>9}  perplexity per level {'agree':>10}{learned}")
    agreement = _Agreement(split)
    made = [_published(arguments.ids, arguments.offset, split.data)] if arguments.ids else []
    for line in made:
        _show(line, agreement, split, arguments.train)
    for name, config in VECTORS.items():
        with console.status(f"vectors: {name}"):
            features = ItemFeatures.fit(split, config)
        kinds = arguments.tokenizers or get_args(Quantiser)
        for kind in kinds:
            with console.status(f"{kind}, {name}"):
                line = _fitted(kind, name, features, arguments.levels, arguments.size)
            _show(line, agreement, split, arguments.train)
    print("\nagree: share of test users whose last two items share their first code")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Semantic IDs side by side.")
    parser.add_argument("data", type=Path, help="prepared folder, or a source")
    parser.add_argument("--ids", type=Path, help="JSON of published IDs")
    parser.add_argument("--offset", type=int, default=0, help="their item number plus this is ours")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--tokenizers", nargs="+", choices=get_args(Quantiser), help="(default: all)")
    parser.add_argument("--train", type=int, metavar="EPOCHS", default=0, help="train a small model on each")
    return parser


def _fitted(kind: Quantiser, name: str, features: ItemFeatures, levels: int, size: int) -> Made:
    began = time.perf_counter()
    tokenizer = Tokenizer(kind, levels, size).fit(features.vectors)
    report = tokenizer.report
    seconds = time.perf_counter() - began
    return Made(f"{kind}, {name}", tokenizer.codes, size, seconds, report.collision_rate, report.unexplained)


def _published(path: Path, offset: int, data: SequenceData) -> Made:
    """IDs from a file; where two items share one, the later takes the next free last code."""
    named = {int(item) + offset: codes for item, codes in json.loads(path.read_text()).items()}
    rows = [[int(re.sub(r"\D", "", code)) for code in named[int(item)]] for item in data.item_ids]
    codes = np.array(rows, np.uint16)
    size, collisions = int(codes.max()) + 1, 1 - len(np.unique(codes, axis=0)) / len(codes)
    taken: set[tuple[int, ...]] = set()
    for row in range(len(codes)):
        while tuple(codes[row].tolist()) in taken:
            codes[row, -1] = (int(codes[row, -1]) + 1) % size
        taken.add(tuple(codes[row].tolist()))
    return Made(f"published, {path.stem}", codes, size, None, collisions, None)


class _Agreement:
    """How well the first code keeps together what is used together, by pairs that no tokenizer saw."""

    def __init__(self, split: Split) -> None:
        last = split.target_events(Stage.TEST)
        self._pairs = np.stack([split.data.items[last - 1], split.data.items[last]], axis=1)

    def of(self, codes: Codes) -> float:
        """Share of users whose last two items, both held out, share their first code."""
        return float((codes[self._pairs[:, 0], 0] == codes[self._pairs[:, 1], 0]).mean())


def _show(made: Made, agreement: _Agreement, split: Split, epochs: int) -> None:
    perplexity = ", ".join(f"{_perplexity(level):.0f}" for level in made.codes.T)
    seconds = f"{made.seconds:6.1f}" if made.seconds is not None else f"{'-':>6}"
    unexplained = f"{made.unexplained:9.3f}" if made.unexplained is not None else f"{'-':>9}"
    spread = f"{perplexity:<20} {agreement.of(made.codes):10.4f}"
    line = f"{made.name:<34}{seconds}{made.collisions:9.4f}{unexplained}  {spread}"
    if epochs:
        recall, ndcg = _trained(made, split, epochs)
        line += f"{recall:11.4f}{ndcg:9.4f}"
    print(line, flush=True)


def _perplexity(level: Codes) -> float:
    share = np.bincount(level) / len(level)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def _trained(made: Made, split: Split, epochs: int) -> tuple[float, float]:
    """Recall@10 and NDCG@10 of a model whose items are their codes and one number."""
    catalog = Catalog.build(split.data.item_ids, made.codes, made.size)
    model = ModelConfig(levels=made.codes.shape[1], codebook_size=made.size, own_features=1, width=64, dropout=0.3)
    settings = TrainConfig(epochs=epochs, learning_rate=2e-3, precision="bfloat16", validate_every=epochs)
    with tempfile.TemporaryDirectory() as scratch, training_bar() as bar:
        result = train(split, catalog, Path(scratch), model, settings, bar)
    with torch.no_grad():
        catalog = catalog.with_features(result.trained.features().numpy())
    found = profile(ModelScorer(result.trained.model, catalog, split, Stage.TEST), split)
    return found.metrics["recall@10"], found.metrics["ndcg@10"]


if __name__ == "__main__":
    main()
