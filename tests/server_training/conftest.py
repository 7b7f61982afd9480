"""Small made data: two tastes, a few users each, in RecBole's format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from server_training.data.dataset import SequenceData
from server_training.data.prepare import prepare
from server_training.data.split import Split, leave_last_out

N_USERS, N_ITEMS, GENRES = 24, 20, ("Western Dust", "Space Opera")


def write_recbole(folder: Path, seed: int = 0) -> Path:
    """A source in which users stay within one of two genres; item ``cold`` is never used."""
    rng = np.random.default_rng(seed)
    rows = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(N_USERS):
        own = np.arange(user % 2, N_ITEMS, 2)
        for step, item in enumerate(rng.permutation(own)[: 5 + user % 4]):
            rows.append(f"u{user}\ti{item}\t{rng.integers(1, 6)}\t{1_000_000 + 60 * step + user}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.inter").write_text("\n".join(rows) + "\n", "utf-8")
    items = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    items += [f"i{item}\tTitle {item}\t{1990 + item % 5}\t{GENRES[item % 2]}" for item in range(N_ITEMS)]
    items.append("cold\tSomething Entirely Néw\t\tSpace Opera")
    (folder / "made.item").write_text("\n".join(items) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small models are faster on one thread, and sums come out the same everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ring_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of people who walk around a ring of 30 items: what comes next can be learnt."""
    folder = tmp_path_factory.mktemp("ring")
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp,action"]
    for user in range(60):
        start = int(rng.integers(30))
        lines += [f"u{user},i{(start + n) % 30:02d},{1000 + 60 * n},like" for n in range(4 + user % 6)]
    (folder / "events.csv").write_text("\n".join(lines) + "\n")
    prepare(folder / "events.csv", folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def made_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recbole(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def made_data(made_source: Path, tmp_path_factory: pytest.TempPathFactory) -> SequenceData:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(made_source, folder)
    return SequenceData.load(folder)


@pytest.fixture(scope="session")
def made_split(made_data: SequenceData) -> Split:
    return leave_last_out(made_data)
