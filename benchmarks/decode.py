"""`python -m benchmarks.decode RUN BUNDLE`: one recommendation on the device's runtime beside the same by PyTorch."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from device_runtime import CATALOG_FILE, MODEL_FILE, Catalog, ModelInputs, beam_search, open_session, read_files
from server_training.data.split import Stage
from server_training.models.code_index import CodeIndex
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
    loading = (time.perf_counter() - began) * 1e3
    width = session.methods["decode_1"].inputs[0].shape[0]
    inputs = [
        ModelInputs(
            windows.codes[u : u + 1].numpy(), windows.actions[u : u + 1].numpy(), windows.gaps[u : u + 1].numpy()
        )
        for u in range(min(_USERS, len(windows)))
    ]

    @torch.no_grad()
    def exact(user: int) -> object:
        batch = windows.take(torch.tensor([user]))
        states = model.states(batch.codes, batch.actions, batch.gaps)[:, -1]
        return index.score_catalog(model, states).topk(10)

    device = _times_ms(lambda u: beam_search(session, inputs[u], catalog, k=10, beam_width=width), len(inputs))
    eager = _times_ms(exact, len(inputs))
    torch.set_num_threads(torch_threads)
    print(f"{'':>32}{'p50 ms':>10}{'p95 ms':>10}")
    for name, times in ((f"{session.name}, beam {width}", device), ("PyTorch, float, exact scoring", eager)):
        print(f"{name:>32}{statistics.median(times):>10.2f}{sorted(times)[int(0.95 * (len(times) - 1))]:>10.2f}")
    ratio = statistics.median(eager) / statistics.median(device)
    print(
        f"PyTorch / device {ratio:.1f}x; {len(catalog):,} items, 1 thread each; the program loaded in {loading:.0f} ms"
    )


if __name__ == "__main__":
    main()
