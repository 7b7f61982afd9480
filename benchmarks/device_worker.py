"""The process that `benchmarks.device` starts for each runtime: opens the model, answers, and prints what that cost.

Nothing heavy is imported that the runtime does not need, so that start and memory are those of a device.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from device_runtime import (
    Action,
    Bundle,
    HistoryEvent,
    Manifest,
    MethodInfo,
    ModelRanker,
    open_session,
)

_BEAM, _K = 20, 10


class OnnxSession:
    """The methods in onnxruntime, one model each."""

    name = "onnxruntime"

    def __init__(self, folder: Path, ending: str, manifest: Manifest) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        shape = manifest.shape
        self.methods: Mapping[str, MethodInfo] = {n: shape.longest(m) for n, m in manifest.methods.items()}
        self._models = {n: onnxruntime.InferenceSession(str(folder / f"{n}{ending}"), options) for n in self.methods}

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        """Run a method."""
        model = self._models[method]
        given = {spec.name: array for spec, array in zip(model.get_inputs(), inputs, strict=True)}
        return tuple(model.run(None, given))

    def close(self) -> None:
        """Nothing to free."""


def _eager(run_folder: Path, manifest: Manifest) -> Any:
    import torch

    from server_training.export.eager_session import EagerSession
    from server_training.models.methods import methods_of
    from server_training.training.model_file import load_model

    torch.set_num_threads(1)
    model = load_model(run_folder / "model.pt").model.eval()
    return EagerSession(methods_of(model, manifest.beam_width), manifest.shape)


def _opened(runtime: str, scratch: Path, run_folder: Path, publisher: bytes) -> ModelRanker:
    # Not thorough: a device looks at every row when a bundle arrives, not each time it starts.
    bundle = Bundle.open(scratch / "bundle", trusted_keys=[publisher], mapped=True, thorough=False)
    session: Any
    if runtime in ("native", "python"):
        session = open_session(bundle.model, prefer="native" if runtime == "native" else "python")
    elif runtime == "eager":
        session = _eager(run_folder, bundle.manifest)
    else:
        session = OnnxSession(scratch, ".onnx" if runtime == "onnx" else ".int8.onnx", bundle.manifest)
    return ModelRanker(bundle.manifest, bundle.catalog, session)


def _largest_resident_mb() -> float:
    # Not getrusage: what it says includes the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _history(rows: list[list[Any]]) -> list[HistoryEvent]:
    return [HistoryEvent(item, Action(action), at) for item, action, at in rows]


def _once(ranker: ModelRanker, history: list[HistoryEvent]) -> float:
    began = time.perf_counter()
    found = ranker.rank_rows(history, _K, now=history[-1].at + 60, beam=_BEAM)
    taken = (time.perf_counter() - began) * 1e3
    assert len(found) == _K
    return taken


def _summary(taken: list[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(taken, 50)), "p99": float(np.percentile(taken, 99))}


def _timed(ranker: ModelRanker, histories: list[list[HistoryEvent]], calls: int) -> dict[str, float]:
    """Different people, one after the other; the first calls warm up."""
    taken = [_once(ranker, histories[call % len(histories)]) for call in range(5 + calls)]
    return _summary(taken[5:])


def _growing(ranker: ModelRanker, history: list[HistoryEvent]) -> dict[str, float]:
    """One person, one event more at each call."""
    start = max(1, len(history) - 60)
    taken = [_once(ranker, history[:length]) for length in range(start, len(history) + 1)]
    return _summary(taken[1:] or taken)


def main() -> None:
    """Open, answer, measure, print one line of JSON."""
    runtime, scratch, run_folder, publisher, calls, started = sys.argv[1:]
    histories = json.loads((Path(scratch) / "histories.json").read_text())
    ranker = _opened(runtime, Path(scratch), Path(run_folder), bytes.fromhex(publisher))
    fifty = _history(histories["50"][0])
    ranker.rank_rows(fifty, _K, now=fifty[-1].at + 60, beam=_BEAM)
    first_ms = (time.time() - float(started)) * 1e3
    found: dict[str, Any] = {"first_ms": first_ms}
    for length, rows in histories.items():
        people = [_history(each) for each in rows]
        cpu = time.process_time()
        found[length] = _timed(ranker, people, int(calls))
        if length == "50":
            found["cpu_s"] = (time.process_time() - cpu) / (int(calls) + 5) * 1000
    found["next"] = _growing(ranker, max((_history(each) for each in histories["200"]), key=len))
    found["rss_mb"] = _largest_resident_mb()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
