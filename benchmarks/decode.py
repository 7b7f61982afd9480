"""`python -m benchmarks.decode RUN BUNDLE`: one recommendation on the device's runtime beside the same by PyTorch."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Catalog,
    ItemSearch,
    Manifest,
    open_session,
    read_files,
)
from server_training.data.split import Stage
from server_training.models.code_index import CodeIndex
from server_training.models.heads import Items
from server_training.training.run_folder import Run
from server_training.training.windows import history_windows

_USERS = 200


def _times_ms(call: Callable[[int], object], users: int) -> list[float]:
    times = []
    for user in range(-5, users):
        began = time.perf_counter()
        call(max(0, user))
        if user >= 0:  # the first calls warm up
            times.append((time.perf_counter() - began) * 1e3)
    return times


def main() -> None:
    """Print the table."""
    run, files = Run.open(Path(sys.argv[1])), read_files(Path(sys.argv[2]))
    catalog, torch_threads = Catalog.from_bytes(files[CATALOG_FILE]), torch.get_num_threads()
    torch.set_num_threads(1)
    windows = history_windows(run.split, Stage.TEST, catalog, run.model.config.history_length)
    index, model = CodeIndex(catalog), run.model.eval()
    began = time.perf_counter()
    session = open_session(files[MODEL_FILE])
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    search = ItemSearch(session, catalog, manifest.shape)
    opening = (time.perf_counter() - began) * 1e3
    inputs = [windows.inputs(u, catalog) for u in range(min(_USERS, len(windows)))]
    features = torch.from_numpy(catalog.features_of(np.arange(len(catalog))))
    with torch.no_grad():
        items = Items(index, model.items(index.codes, features))

    @torch.no_grad()
    def exact(user: int) -> object:
        states = model.states(*(torch.from_numpy(array) for array in inputs[user].arrays()))[:, -1]
        return model.head.scores(states, items).topk(10)

    device = _times_ms(lambda u: search(inputs[u], 10), len(inputs))
    eager = _times_ms(exact, len(inputs))
    torch.set_num_threads(torch_threads)
    print(f"{'':>32}{'p50 ms':>10}{'p95 ms':>10}")
    for name, times in ((f"{session.name}, {manifest.head}", device), ("PyTorch, float, exact scoring", eager)):
        print(f"{name:>32}{statistics.median(times):>10.2f}{sorted(times)[int(0.95 * (len(times) - 1))]:>10.2f}")
    ratio = statistics.median(eager) / statistics.median(device)
    print(
        f"PyTorch / device {ratio:.1f}x; {len(catalog):,} items, 1 thread each; ready to answer after {opening:.0f} ms"
    )


if __name__ == "__main__":
    main()
