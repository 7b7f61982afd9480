"""Openings: from an empty history, a person's first event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from device_runtime import Catalog, Reading, encode_history
from server_training.data.dataset import SequenceData
from server_training.data.prepare import prepare
from server_training.data.split import Split, leave_last_out
from server_training.errors import ConfigInvalid
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.models.heads.head import Items
from server_training.run_config import RunConfig
from server_training.training.batches import epoch_batches, total_weight
from server_training.training.config import TrainConfig
from server_training.training.run_folder import Run, train_run
from server_training.training.windows import PAD, Windows, training_windows

MODEL = ModelConfig(levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2, own_features=8)


class Silent:
    def step(self, done: int, total: int, loss: float) -> None:
        pass

    def epoch(self, record: object) -> None:
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everyone begins with `first` and goes on to items of their own, which are used as often as it."""
    folder = tmp_path_factory.mktemp("openings")
    lines = ["user,item,timestamp,action"]
    rng = np.random.default_rng(0)
    for user in range(60):
        lines.append(f"u{user:02d},first,1000,like")
        lines += [f"u{user:02d},i{item:02d},{2000 + 60 * at},like" for at, item in enumerate(rng.permutation(12)[:6])]
    (folder / "events.csv").write_text("\n".join(lines) + "\n")
    prepare(folder / "events.csv", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def split(data: Path) -> Split:
    return leave_last_out(SequenceData.load(data))


@pytest.fixture(scope="module")
def catalog(split: Split) -> Catalog:
    codes = np.array([[n // 8, n % 8] for n in range(split.data.n_items)], np.int64)
    return Catalog.build(split.data.item_ids, codes, 8, split.data.titles)


@pytest.fixture(scope="module")
def windows(split: Split, catalog: Catalog) -> Windows:
    return training_windows(split, catalog, 3, openings=True)


def test_everyone_has_one_opening_whose_target_is_the_first_event(split, catalog, windows) -> None:
    plain = training_windows(split, catalog, 3)
    assert windows.lengths[: len(plain)].tolist() == plain.lengths.tolist()
    openings = np.arange(len(plain), len(windows))
    assert len(openings) == split.data.n_users
    assert (windows.take(openings).rows == PAD).all()
    first = windows.events[split.data.offsets[:-1]]
    assert windows.targets(openings, 1, 1)[:, 0, 0].tolist() == first.tolist()
    # With a session the first events follow one another, and none is a held-out one.
    sessions = windows.targets(openings, 9, 1)[:, 0].numpy()
    assert [row[row >= 0].tolist() for row in sessions] == [
        windows.events[start:stop].tolist()
        for start, stop in zip(split.data.offsets[:-1], split.train_stop, strict=True)
    ]


@pytest.mark.parametrize("session", [1, 3])
def test_the_weight_of_a_batch_counts_its_targets(windows, session) -> None:
    everything = np.arange(len(windows))
    weights = np.ones(session, np.float32)
    assert total_weight(windows, everything, weights) == int((windows.targets(everything, session, 3) >= 0).sum())


def test_an_epoch_draws_as_many_openings_as_it_was_told(windows) -> None:
    def openings(epoch: int, share: float) -> set[int]:
        taken = np.concatenate(epoch_batches(windows, 8, 0, epoch, share))
        assert len(set(taken.tolist())) == len(taken)
        assert set(np.flatnonzero(windows.lengths > 0)) <= set(taken.tolist())
        return set(taken[windows.lengths[taken] == 0].tolist())

    full = int((windows.lengths > 0).sum())
    assert openings(0, 0.0) == set()
    assert len(openings(0, 0.1)) == len(openings(1, 0.1)) == round(0.1 * full)
    assert openings(0, 0.1) != openings(1, 0.1)
    assert openings(3, 0.1) == openings(3, 0.1)


def test_without_openings_batches_are_what_they_were(split, catalog) -> None:
    windows = training_windows(split, catalog, 3)
    rng = np.random.default_rng((7, 2))
    order = np.lexsort((rng.random(len(windows)), windows.lengths + rng.integers(-1, 2, len(windows))))
    assert sorted(map(tuple, epoch_batches(windows, 8, 7, 2))) == sorted(
        tuple(order[start : start + 8]) for start in range(0, len(order), 8)
    )


def test_a_model_that_learned_openings_begins_with_what_people_begin_with(data, tmp_path) -> None:
    train = TrainConfig(epochs=12, batch_size=16, learning_rate=1e-2, validate_every=12, openings=0.3)
    train_run(data, tmp_path / "run", RunConfig(model=MODEL, train=train), Silent())
    run = Run.open(tmp_path / "run")
    nothing = encode_history([], run.catalog, Reading(6), 10_000)
    codes, features, actions, gaps, ages = (torch.from_numpy(array) for array in nothing.arrays())
    with torch.no_grad():
        index = CodeIndex(run.catalog)
        table = torch.from_numpy(run.catalog.features_of(np.arange(len(run.catalog))))
        states = run.model.states(codes, features, actions, gaps, ages)
        scores = run.model.head.scores(states[:, -1], Items(index, run.model.items(index.codes, table)))
    assert run.catalog.ids[int(scores[0].argmax())] == "first"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(share) -> None:
    with pytest.raises(ConfigInvalid):
        replace(TrainConfig(), openings=share)
