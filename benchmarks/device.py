"""One recommendation on the device's runtime, beside the same by other runtimes on the same model.

`python -m benchmarks.device RUN [RUN ...] [--calls 200] [--rounds 3]`

For every finished run: its model is exported (8da8w), signed, and lowered again for the peers; then each runtime opens
and verifies the bundle and answers in a process of its own, on one thread, with the device's own search around it, so
that only the runtime differs:

native      meritrec's binding over ExecuTorch's C++ libraries; the files mapped
python      ExecuTorch's Python runtime, the same program
onnx        onnxruntime, the same methods in float, exported by torch.onnx
onnx int8   the same, weights quantised dynamically by onnxruntime
eager       PyTorch, in float

Printed are milliseconds of recommend(10) with a beam of 20 for histories of 10, 50 and 200 events of different people,
of one more event in a history of up to 200, from the start of the process to the first answer, CPU seconds per
thousand recommendations at 50 events (what a battery pays for), the largest resident memory and the bytes of the
model alone. Processes differ from each other more than calls do: the runtimes take turns, and every figure is the
median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from device_runtime import CATALOG_FILE, MANIFEST_FILE, Manifest, PublisherKey, read_files, sign_bundle
from server_training.console import console, counting_bar
from server_training.data.split import Stage
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import VerifyLimits
from server_training.models.methods import Method, lengths_of, methods_of, shape_of
from server_training.training.run_folder import Run

LENGTHS = (10, 50, 200)
RUNTIMES = ("native", "python", "onnx", "onnx int8", "eager")
LIMITS = VerifyLimits()
_BEAM = 20
_PEOPLE = 60
# Else numpy's own threads would work beside the one that is measured.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Print a table per run."""
    parser = argparse.ArgumentParser(description="The device's runtime beside others on the same model.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="run", help="finished run folder")
    parser.add_argument("--calls", type=int, default=200, help="recommendations timed per figure (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="processes per runtime (default: 3)")
    arguments = parser.parse_args()
    for path in arguments.runs:
        with tempfile.TemporaryDirectory() as scratch:
            _measure(Run.open(path), Path(scratch), arguments.calls, arguments.rounds)


def _measure(run: Run, scratch: Path, calls: int, rounds: int) -> None:
    bundle = scratch / "bundle"
    with counting_bar("verifying") as bar:
        report = export_run(run, bundle, ExportConfig("benchmark", beam_width=_BEAM, limits=LIMITS), bar)
    key = PublisherKey.create()
    sign_bundle(bundle, key)
    bytes_of = {"native": report.pte_bytes, "python": report.pte_bytes}
    bytes_of |= _write_onnx(run, scratch)
    bytes_of["eager"] = (run.folder / "model.pt").stat().st_size
    (scratch / "histories.json").write_text(json.dumps(_histories(run)))
    runtimes = [runtime for runtime in RUNTIMES if runtime in bytes_of]
    taken: dict[str, list[dict[str, Any]]] = {runtime: [] for runtime in runtimes}
    with counting_bar("measuring") as bar:
        for number in range(rounds * len(runtimes)):
            runtime = runtimes[number % len(runtimes)]
            taken[runtime].append(_worker(runtime, run, scratch, calls, key.public))
            bar(number + 1, rounds * len(runtimes))
    found = {runtime: _median(results) for runtime, results in taken.items()}
    files = read_files(bundle)
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    print(
        f"\n{run.folder}: {len(run.catalog):,} items, {manifest.head} head, T = {manifest.history_length}, "
        f"{run.info.parameters:,} numbers; catalog {len(files[CATALOG_FILE]) / 1e3:,.0f} KB; NDCG@10 "
        f"{report.verification.device['ndcg@10']:.4f} quantised, {report.verification.exact['ndcg@10']:.4f} in float"
    )
    columns = [*(f"{n} events p50 (p99)" for n in LENGTHS), "one more event", "first ms", "CPU s/1000", "RSS MB", "KB"]
    print(f"{'':<12}" + "".join(f"{column:>21}" for column in columns))
    for runtime, row in found.items():
        cells = [f"{row[str(n)]['p50']:.2f} ({row[str(n)]['p99']:.2f})" for n in LENGTHS]
        cells += [f"{row['next']['p50']:.2f} ({row['next']['p99']:.2f})", f"{row['first_ms']:.0f}"]
        cells += [f"{row['cpu_s']:.2f}", f"{row['rss_mb']:.0f}", f"{bytes_of[runtime] / 1e3:,.0f}"]
        print(f"{runtime:<12}" + "".join(f"{cell:>21}" for cell in cells))
    ours = found["native"]
    for runtime, row in found.items():
        if runtime != "native":
            ratios = ", ".join(f"{row[str(n)]['p50'] / ours[str(n)]['p50']:.1f}x at {n}" for n in LENGTHS)
            print(
                f"{runtime} / native: {ratios} events, one more {row['next']['p50'] / ours['next']['p50']:.1f}x, first "
                f"answer {row['first_ms'] / ours['first_ms']:.1f}x, memory {row['rss_mb'] / ours['rss_mb']:.1f}x"
            )


def _median(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure, also of those inside figures, apart."""
    first = results[0]
    return {
        name: _median([result[name] for result in results])
        if isinstance(first[name], dict)
        else statistics.median(result[name] for result in results)
        for name in first
    }


def _worker(runtime: str, run: Run, scratch: Path, calls: int, publisher: bytes) -> dict[str, Any]:
    given = [runtime, str(scratch), str(run.folder), publisher.hex(), str(calls), repr(time.time())]
    command = [sys.executable, "-m", "benchmarks.device_worker", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | _ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"{runtime} failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _histories(run: Run) -> dict[str, list[list[tuple[str, int, int]]]]:
    """For each length, the last events of people who have as many, or who come nearest to it."""
    data, split = run.split.data, run.split
    users = split.users(Stage.TEST)
    sizes = np.array([len(np.arange(data.offsets[-1])[split.history(user, Stage.TEST)]) for user in users.tolist()])
    chosen: dict[str, list[list[tuple[str, int, int]]]] = {}
    for length in LENGTHS:
        enough = np.flatnonzero(sizes >= length)
        if len(enough) < 1:
            enough = np.argsort(-sizes, kind="stable")[:_PEOPLE]
        places = enough[np.linspace(0, len(enough) - 1, min(_PEOPLE, len(enough))).astype(int)]
        chosen[str(length)] = [_events(run, int(users[place]), length) for place in places.tolist()]
    return chosen


def _events(run: Run, user: int, length: int) -> list[tuple[str, int, int]]:
    data = run.split.data
    past = run.split.history(user, Stage.TEST)
    rows = zip(data.items[past].tolist(), data.actions[past].tolist(), data.timestamps[past].tolist(), strict=True)
    return [(data.item_ids[item], action, at) for item, action, at in list(rows)[-length:]]


def _write_onnx(run: Run, scratch: Path) -> dict[str, int]:
    """Lower every method for onnxruntime; return the bytes of each form, nothing where it is not installed."""
    try:
        import onnxruntime
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        console.print(f"onnxruntime is left out ({error}); install `pip install 'meritrec[bench]'`", markup=False)
        return {}
    del onnxruntime
    varying = lengths_of(shape_of(run.model, _BEAM))
    sizes = {"onnx": 0, "onnx int8": 0}
    for name, method in methods_of(run.model, _BEAM).items():
        path = scratch / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shapes = _dims(method, {n: torch.export.Dim(n, min=a, max=b) for n, (a, b) in varying.items()})
            torch.onnx.export(
                method.module.eval(), method.inputs, str(path), dynamo=True, dynamic_shapes=shapes, verbose=False,
                external_data=False,
            )  # fmt: skip
            quantize_dynamic(str(path), str(scratch / f"{name}.int8.onnx"), weight_type=QuantType.QInt8)
        sizes["onnx"] += path.stat().st_size
        sizes["onnx int8"] += (scratch / f"{name}.int8.onnx").stat().st_size
    return sizes


def _dims(method: Method, lengths: dict[str, Any]) -> tuple[dict[int, Any], ...] | None:
    return tuple({a: lengths[n] for a, n in axes.items() if n in lengths} for axes in method.varying) or None


if __name__ == "__main__":
    main()
