"""Sessions: both runtimes agree with PyTorch, refuse what is wrong, and never take the process down."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime import ModelFailed, RuntimeSettings, RuntimeUnavailable, Session, open_session
from device_runtime.session import MethodInfo

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Program:
    """A program and the PyTorch modules it was made from."""

    program: bytes
    modules: Mapping[str, Any]


@pytest.fixture(scope="module")
def tiny() -> Program:
    """The recommender itself, tiny, lowered as the server does it; with a backbone that remembers."""
    import torch

    from server_training.export.lower import lower_xnnpack
    from server_training.models.config import ModelConfig
    from server_training.models.methods import methods_of
    from server_training.models.recommender import GenerativeRecommender

    torch.manual_seed(0)
    model = GenerativeRecommender(
        ModelConfig(3, codebook_size=8, history_length=8, width=16, layers=1, head="autoregressive", backbone="rotary")
    ).eval()
    modules = {name: method.module.eval() for name, method in methods_of(model, 16).items()}
    return Program(lower_xnnpack(model, 16), modules)


@pytest.fixture(scope="module")
def native(tiny: Program) -> Iterator[Session]:
    session = open_session(tiny.program, prefer="native")
    yield session
    session.close()


@pytest.fixture
def python(tiny: Program) -> Iterator[Session]:
    session = open_session(tiny.program, prefer="python")
    yield session
    session.close()


@pytest.fixture(scope="module")
def program_path(tiny: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "model.pte"
    path.write_bytes(tiny.program)
    return path


def inputs_for(info: MethodInfo, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 7, spec.shape) if spec.dtype == "int64" else rng.standard_normal(spec.shape, np.float32)
        for spec in info.inputs
    ]


def run_script(script: str, *arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def eager(module: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    import torch

    with torch.no_grad():
        outputs = module(*map(torch.from_numpy, inputs))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def shorter(method: str, inputs: list[np.ndarray], by: int) -> list[np.ndarray]:
    """The same call with every varying axis shorter: events, events remembered, or hypotheses."""
    if method.startswith("decode"):
        return [array[: len(array) - by] for array in inputs]
    if method == "encode":
        return [np.ascontiguousarray(array[:, : array.shape[1] - by]) for array in inputs]
    *newest, past_ages, ages, past = inputs
    return [*newest, past_ages[:, : past_ages.shape[1] - by], ages, past[:, :, : past.shape[2] - by]]


@pytest.mark.parametrize("method", ["encode", "extend", "decode_1", "decode_2"])
@pytest.mark.parametrize("by", [0, 1, 4])
def test_native_agrees_with_eager_and_with_the_python_runtime_at_every_length(
    native: Session, python: Session, tiny: Program, method: str, by: int
) -> None:
    inputs = shorter(method, inputs_for(native.methods[method], seed=by), by)
    got = native.run(method, *inputs)
    for ours, theirs, reference in zip(
        got, python.run(method, *inputs), eager(tiny.modules[method], inputs), strict=True
    ):
        assert ours.shape == reference.shape
        np.testing.assert_allclose(ours, reference, atol=1e-4)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_both_runtimes_describe_the_program_alike(native: Session, python: Session) -> None:
    assert (native.name, python.name) == ("native", "executorch-python")
    described: Mapping[str, MethodInfo] = native.methods
    assert dict(described) == dict(python.methods)
    assert sorted(described) == ["decode_1", "decode_2", "encode", "extend"]


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_outputs_belong_to_the_caller(runtime: str, request: pytest.FixtureRequest) -> None:
    session: Session = request.getfixturevalue(runtime)
    info = session.methods["encode"]
    first = session.run("encode", *inputs_for(info, 1))
    kept = [output.copy() for output in first]
    session.run("encode", *inputs_for(info, 2))
    for output, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, copy)
        output[:] = 0  # writable


def test_strided_and_read_only_inputs_mean_what_they_say(native: Session) -> None:
    state, prefix = inputs_for(native.methods["decode_2"], 4)
    strided = np.asfortranarray(state)
    strided.flags.writeable = False
    np.testing.assert_array_equal(native.run("decode_2", strided, prefix)[0], native.run("decode_2", state, prefix)[0])


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_wrong_calls_are_refused(runtime: str, request: pytest.FixtureRequest) -> None:
    session: Session = request.getfixturevalue(runtime)
    state, prefix = inputs_for(session.methods["decode_1"], 0)
    with pytest.raises(ModelFailed, match=r"no method 'decode_9'; it has decode_1, decode_2, encode, extend"):
        session.run("decode_9", state)
    with pytest.raises(ModelFailed, match=r"takes 2 inputs .*float32.*got 1"):
        session.run("decode_1", state)
    with pytest.raises(ModelFailed, match=r"input 0: expected float32.*got float64"):
        session.run("decode_1", state.astype(np.float64), prefix)
    with pytest.raises(ModelFailed, match=r"input 1: expected int64.*got >i8"):
        session.run("decode_1", state, prefix.astype(">i8"))
    with pytest.raises(ModelFailed, match=r"input 0: expected float32"):
        session.run("decode_1", np.repeat(state, 2, axis=0), prefix)
    with pytest.raises(ModelFailed, match=r"input 0: expected float32"):
        session.run("decode_1", state[0], prefix)
    with pytest.raises(ModelFailed, match=r"decode_1 failed"):
        session.run("decode_1", state[:-1], prefix)
    with pytest.raises(ModelFailed, match="got a list"):
        session.run("decode_1", state.tolist(), prefix)


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_a_closed_session_refuses(runtime: Any, tiny: Program) -> None:
    session = open_session(tiny.program, prefer=runtime)
    inputs = inputs_for(session.methods["encode"], 0)
    session.close()
    session.close()
    with pytest.raises(ModelFailed, match="closed"):
        session.run("encode", *inputs)


@pytest.mark.parametrize("threads", [1, 2])
def test_concurrent_calls_give_the_same_results(tiny: Program, threads: int) -> None:
    session = open_session(tiny.program, RuntimeSettings(threads), prefer="native")
    calls = [(method, inputs_for(session.methods[method], seed)) for seed in range(20) for method in session.methods]
    expected = [session.run(method, *inputs) for method, inputs in calls]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda call: session.run(call[0], *call[1]), calls))
    session.close()
    for ours, reference in zip(got, expected, strict=True):
        for one, other in zip(ours, reference, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"threads": 257}, {"arena_bytes": 0}, {"arena_bytes": -1}, {"arena_bytes": 1 << 63}]
)
def test_settings_that_no_device_has_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RuntimeSettings(**wrong)


def test_sessions_share_one_pool_of_threads(tiny: Program) -> None:
    two = open_session(tiny.program, RuntimeSettings(threads=2), prefer="native")
    again = open_session(tiny.program, RuntimeSettings(threads=2), prefer="python")
    open_session(tiny.program, RuntimeSettings(threads=1), prefer="native").close()
    with pytest.raises(ModelFailed, match="an open session uses 2 threads"):
        open_session(tiny.program, RuntimeSettings(threads=3), prefer="native")
    two.close()
    with pytest.raises(ModelFailed, match="ask for as many instead of 1"):  # it uses the pool for one thread too
        open_session(tiny.program, prefer="python")
    again.close()
    three = open_session(tiny.program, RuntimeSettings(threads=3), prefer="native")
    inputs = inputs_for(three.methods["encode"], 0)
    single = open_session(tiny.program, prefer="native")
    for ours, reference in zip(three.run("encode", *inputs), single.run("encode", *inputs), strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-6)
    three.close()
    single.close()


def test_a_forgotten_session_leaves_the_pool_free(tiny: Program) -> None:
    for runtime in ("native", "python"):
        forgotten = open_session(tiny.program, RuntimeSettings(threads=2), prefer=runtime)
        del forgotten
        gc.collect()
        open_session(tiny.program, RuntimeSettings(threads=3), prefer=runtime).close()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
@pytest.mark.parametrize("runtime", ["native", "python"])
def test_threads_are_as_many_as_asked_for(program_path: Path, runtime: str) -> None:
    script = """
import os, sys, pathlib
from device_runtime import RuntimeSettings, open_session
model = pathlib.Path(sys.argv[1]).read_bytes()
open_session(model, prefer=sys.argv[2]).close()
before = len(os.listdir("/proc/self/task"))
session = open_session(model, RuntimeSettings(threads=5), prefer=sys.argv[2])
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run_script(script, program_path, runtime).stdout == "4\n"  # the caller is the fifth


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_a_failed_opening_leaves_the_pool_free(tiny: Program, runtime: Any) -> None:
    with pytest.raises(ModelFailed):
        open_session(tiny.program[:-1], RuntimeSettings(threads=2), prefer=runtime)
    with pytest.raises(ModelFailed):
        open_session(tiny.program, RuntimeSettings(threads=4, arena_bytes=1), prefer=runtime)
    open_session(tiny.program, RuntimeSettings(threads=3), prefer=runtime).close()


def test_both_runtimes_refuse_a_program_that_plans_too_much_memory_by_the_same_count(tiny: Program) -> None:
    planned = set()
    for runtime in ("native", "python"):
        with pytest.raises(ModelFailed, match=r"plans \d+ bytes for activations, 1024 are allowed") as refusal:
            open_session(tiny.program, RuntimeSettings(arena_bytes=1024), prefer=runtime)
        planned.add(int(str(refusal.value).split("plans ")[1].split()[0]))
        open_session(tiny.program, RuntimeSettings(arena_bytes=max(planned)), prefer=runtime).close()
    assert len(planned) == 1


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_methods_loaded_at_their_first_call_answer_alike(tiny: Program, native: Session, runtime: Any) -> None:
    late = open_session(tiny.program, RuntimeSettings(warm_up=False), prefer=runtime)
    assert late.methods == native.methods
    for method, info in native.methods.items():
        inputs = inputs_for(info, 3)
        for ours, reference in zip(late.run(method, *inputs), native.run(method, *inputs), strict=True):
            np.testing.assert_allclose(ours, reference, atol=1e-5)
    late.close()


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_the_report_says_what_runs_and_within_which_bounds(tiny: Program, runtime: Any) -> None:
    session = open_session(tiny.program, RuntimeSettings(threads=2, arena_bytes=1 << 24), prefer=runtime)
    report = session.report
    session.close()
    assert report.runtime == session.name
    assert (report.executorch.split("+")[0], report.threads, report.arena_bytes) == ("1.5.1", 2, 1 << 24)
    assert "XnnpackBackend" in report.backends
    assert Path(report.binding).is_file() == (runtime == "native")
    assert ("binding" if runtime == "native" else "the caller asked for it") in report.reason
    assert json.loads(json.dumps(report.as_json()))["backends"] == list(report.backends)


def test_the_native_path_imports_neither_torch_nor_executorch(program_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from device_runtime import open_session
imported = time.perf_counter()
session = open_session(Path(sys.argv[1]).read_bytes(), prefer="native")
loaded = time.perf_counter()
print(f"import {imported - start:.3f} s, load {loaded - imported:.3f} s")
heavy = [name for name in ("torch", "executorch") if name in sys.modules]
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = run_script(script, program_path)
    print(done.stdout)
    assert done.returncode == 0, done.stderr


CORRUPTIONS = """
import sys
from pathlib import Path
import numpy as np
from device_runtime import ModelFailed, open_session

good = Path(sys.argv[1]).read_bytes()
runtime = sys.argv[2]
# A program's header names where its flatbuffer ends, at offset 16; weights follow it.
end = int.from_bytes(good[16:24], "little")
rng = np.random.default_rng(11)

def refused(data, must=True):
    try:
        session = open_session(data, prefer=runtime)
    except ModelFailed:
        return 1
    assert not must, f"{len(data)} bytes were accepted"
    for name, info in session.methods.items():
        try:
            session.run(name, *(np.zeros(spec.shape, spec.dtype) for spec in info.inputs))
        except (ModelFailed, MemoryError):
            pass
    session.close()
    return 0

for data in (b"", b"\\0", good[:7], b"this is not a program" * 99, bytes(len(good)), rng.bytes(5000), b"\\xff" * 5000):
    refused(data)
for cut in (8, 32, 64, end // 2, end - 1, len(good) // 2, len(good) - 1):
    refused(good[:cut])
flipped = 0
for _ in range(40):
    data = bytearray(good)
    for place in rng.integers(0, end, size=3):
        data[place] ^= 1 << int(rng.integers(8))
    flipped += refused(bytes(data), must=False)
print(flipped)
"""


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_damaged_programs_are_refused_and_never_crash(program_path: Path, runtime: str) -> None:
    done = run_script(CORRUPTIONS, program_path, runtime)
    assert done.returncode == 0, done.stderr[-2000:]
    print(f"{runtime}: {done.stdout.strip()} of 40 files with flipped bits refused")


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_a_session_outlives_the_bytes_it_was_opened_from(program_path: Path, runtime: str) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np
from device_runtime import open_session
# Padding gives the bytes pages of their own, which are unmapped when the bytes are freed.
session = open_session(Path(sys.argv[1]).read_bytes() + bytes(1 << 24), prefer=sys.argv[2])
for name, info in session.methods.items():
    session.run(name, *(np.zeros(spec.shape, spec.dtype) for spec in info.inputs))
"""
    done = run_script(script, program_path, runtime)
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_may_build_at_once(program_path: Path, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from device_runtime import open_session
print(open_session(Path(sys.argv[1]).read_bytes(), prefer="native").name)
"""
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run_script, script, program_path, XDG_CACHE_HOME=str(tmp_path)) for _ in range(2)]
    for job in jobs:
        assert (job.result().returncode, job.result().stdout.strip()) == (0, "native"), job.result().stderr
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_without_a_compiler_the_python_runtime_takes_over_and_says_so(program_path: Path, tmp_path: Path) -> None:
    script = """
import logging, sys
from pathlib import Path
from device_runtime import open_session
logging.basicConfig(format="LOG %(levelname)s %(message)s")
session = open_session(Path(sys.argv[1]).read_bytes())
print(session.name, session.report.reason)
"""
    done = run_script(script, program_path, PATH="", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    name, reason = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert name == "executorch-python"
    assert reason.startswith("no smaller runtime is available: native: ")
    assert "apt-get install g++" in reason
    assert "LOG WARNING no small runtime is available (native: " in done.stderr
    assert "apt-get install g++" in done.stderr


def test_without_any_runtime_both_reasons_are_given(tiny: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> Session:
        raise RuntimeUnavailable("run `install something`")

    monkeypatch.setattr("device_runtime.session._open_native", missing)
    monkeypatch.setattr("device_runtime.session._open_python", missing)
    with pytest.raises(RuntimeUnavailable, match=r"native: run `install something`.*python: run `install something`"):
        open_session(tiny.program)
