"""Other libraries' sequential recommenders on the very events of our benchmark, in an environment of their own.

`python benchmarks/models_peers.py PEER EVENTS.csv OUT.npy [--epochs N] [--max-length T] [--width D] [--dropout P]`

EVENTS.csv: user, item, timestamp, part (0 training, 1 validation, 2 test), rows by user and time. Trained is on part 0;
the lists of OUT.npy, int64 [E, 50], are for the users with a test event, from parts 0 and 1, without the items of the
history.

rectools-sasrec, rectools-hstu: full softmax; width, depth, dropout and length as given, else the library's defaults.
rechub-hstu: the library's sequence trainer (full softmax), scores normalised at temperature 0.05 as its documentation
recommends after Meta's settings. torch-rechub 0.9.0's SASRec is left out: that release's trainer fits it in neither of
its modes.

Needs what `peers-requirements.txt` pins, and nothing of this repository.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

TOP = 50
PEERS = ("rectools-sasrec", "rectools-hstu", "rechub-hstu")


def main() -> None:
    """Train one peer and write its lists."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    events = pd.read_csv(arguments.events)
    # Ties in time are decided by the rows' order, which is the truth; libraries sort by time.
    events["timestamp"] = events["timestamp"] * 1000 + events.groupby("user").cumcount().clip(upper=999)
    run = _rechub if arguments.peer.startswith("rechub") else _rectools
    lists, facts = run(arguments, events)
    np.save(arguments.out, lists)
    print(json.dumps({"peer": arguments.peer, "epochs": arguments.epochs, **facts}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train another library's model on our events.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("events")
    parser.add_argument("out")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def _rectools(arguments: argparse.Namespace, events: pd.DataFrame) -> tuple[np.ndarray, dict[str, Any]]:
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.dataset.context import get_context
    from rectools.models import HSTUModel, SASRecModel

    table = pd.DataFrame(
        {
            Columns.User: events["user"],
            Columns.Item: events["item"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events["timestamp"], unit="ms"),
        }
    )
    kind = SASRecModel if arguments.peer == "rectools-sasrec" else HSTUModel
    model = kind(
        n_blocks=2,
        n_heads=2,
        n_factors=arguments.width,
        dropout_rate=arguments.dropout,
        session_max_len=arguments.max_length,
        loss="softmax",
        lr=1e-3,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        verbose=0,
        recommend_torch_device="cpu",
    )
    began = time.perf_counter()
    model.fit(Dataset.construct(table[events["part"] == 0]))
    trained = time.perf_counter()
    known = Dataset.construct(table[events["part"] < 2])
    users = np.sort(events.loc[events["part"] == 2, "user"].unique())
    # HSTU asks for the moment of the request; it is given that of the event to be predicted, and nothing else of it.
    context = get_context(table[events["part"] == 2]) if kind is HSTUModel else None
    found = model.recommend(users=users, dataset=known, k=TOP, filter_viewed=True, context=context)
    lists = np.full((len(users), TOP), -1, np.int64)
    rows = np.searchsorted(users, found[Columns.User].to_numpy())
    lists[rows, found[Columns.Rank].to_numpy() - 1] = found[Columns.Item].to_numpy()
    parameters = sum(p.numel() for p in model.lightning_model.torch_model.parameters())
    return lists, _facts("rectools", began, trained, parameters)


def _rechub(arguments: argparse.Namespace, events: pd.DataFrame) -> tuple[np.ndarray, dict[str, Any]]:
    from torch.utils.data import DataLoader, TensorDataset
    from torch_rechub.models.generative.hstu import HSTUModel
    from torch_rechub.trainers.seq_trainer import SeqTrainer

    length, n_items = arguments.max_length, int(events["item"].max()) + 1
    width = arguments.width
    model = HSTUModel(
        n_items + 1,
        d_model=width,
        n_heads=2,
        n_layers=2,
        dqk=width // 2,
        dv=width // 2,
        max_seq_len=length,
        dropout=arguments.dropout,
        score_norm="l2",
        temperature=0.05,
        use_output_bias=False,
    )
    by_user = dict(iter(events.groupby("user", sort=True)))
    training = [window for group in by_user.values() for window in _windows(group[group["part"] == 0], length)]
    tokens, times, targets = _stacked(training)
    positions = torch.zeros_like(tokens)  # asked for by the trainer, used by nobody
    loader = DataLoader(
        TensorDataset(tokens, positions, times, targets[:, None]), batch_size=arguments.batch_size, shuffle=True
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        SeqTrainer(model, n_epoch=arguments.epochs, device="cpu", model_path=scratch).fit(loader)
    trained = time.perf_counter()
    users = [user for user, group in by_user.items() if (group["part"] == 2).any()]
    known = [by_user[user][by_user[user]["part"] < 2] for user in users]
    windows = [_window(group["item"].to_numpy(), group["timestamp"].to_numpy(), 0, length) for group in known]
    lists = np.full((len(users), TOP), -1, np.int64)
    model.eval()
    for start in range(0, len(users), 128):
        tokens, times, _ = _stacked(windows[start : start + 128])
        with torch.no_grad():
            scores = model(tokens, times)[:, -1].numpy()[:, 1:]
        for row, user in enumerate(users[start : start + 128]):
            group = by_user[user]
            scores[row, group.loc[group["part"] < 2, "item"].to_numpy()] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        lists[start : start + 128, : best.shape[1]] = best
    return lists, _facts("torch-rechub", began, trained, sum(p.numel() for p in model.parameters()))


def _windows(group: pd.DataFrame, length: int) -> list[Any]:
    """Training events cut from the newest backwards; each piece has its next item as target."""
    items, times = group["item"].to_numpy(), group["timestamp"].to_numpy()
    stops = range(len(items) - 1, 0, -length)
    return [
        _window(items[max(0, stop - length) : stop], times[max(0, stop - length) : stop], int(items[stop]) + 1, length)
        for stop in stops
    ]


def _window(items: np.ndarray, times: np.ndarray, target: int, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The last events, left-padded: items from 1, seconds before the last one, and the item to be predicted."""
    tokens, ages = np.zeros(length, np.int64), np.zeros(length, np.int64)
    kept = min(length, len(items))
    tokens[length - kept :] = items[-kept:] + 1
    ages[length - kept :] = (times[-1] - times[-kept:]) // 1000
    return tokens, ages, target


def _stacked(windows: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    tokens, times, targets = zip(*windows, strict=True)
    return torch.from_numpy(np.stack(tokens)), torch.from_numpy(np.stack(times)), torch.tensor(targets)


def _facts(package: str, began: float, trained: float, parameters: int) -> dict[str, Any]:
    return {
        "version": importlib.metadata.version(package),
        "seconds_training": trained - began,
        "seconds_recommending": time.perf_counter() - trained,
        "parameters": parameters,
    }


if __name__ == "__main__":
    main()
