"""The session over the AAR, in a JVM: same answers as the native session, and nothing that Java throws gets through."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpype
import numpy as np
import pytest

from device_runtime import Bundle, MethodInfo, ModelFailed, ModelRanker, RuntimeSettings, RuntimeUnavailable, TensorSpec
from device_runtime.session import Session, open_session
from tests.android.runner import Runner
from tests.golden.facts import FOLDER, NOW, PINNED, history


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(FOLDER, trusted_keys=[PINNED.public], now=NOW)


@pytest.fixture
def runner() -> Runner:
    made = Runner()
    made.install()
    return made


@pytest.fixture
def session(runner: Runner, bundle: Bundle) -> Iterator[Session]:
    made = open_session(bundle.model, methods=bundle.manifest.method_infos)
    yield made
    made.close()
    assert runner.running == 0


def some_inputs(info: MethodInfo, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    made = {"int64": lambda s: rng.integers(0, 3, s), "float32": lambda s: rng.normal(size=s).astype(np.float32)}
    return [made[spec.dtype](spec.shape) for spec in info.inputs]


def test_it_is_chosen_where_the_java_module_and_the_aar_are(session: Session, bundle: Bundle) -> None:
    assert session.name == "android"
    assert dict(session.methods) == bundle.manifest.method_infos


def test_every_method_answers_as_natively_bit_for_bit(session: Session, bundle: Bundle) -> None:
    native = open_session(bundle.model, prefer="native")
    assert dict(native.methods) == dict(session.methods)
    for seed, (name, info) in enumerate(native.methods.items()):
        inputs = some_inputs(info, seed)
        for expected, found in zip(native.run(name, *inputs), session.run(name, *inputs), strict=True):
            assert (expected.dtype, expected.shape) == (found.dtype, found.shape)
            assert expected.tobytes() == found.tobytes(), name


def test_outputs_stay_what_they_were_when_the_method_runs_again(session: Session) -> None:
    name, info = next(iter(session.methods.items()))
    first = session.run(name, *some_inputs(info, 0))
    kept = [array.copy() for array in first]
    session.run(name, *some_inputs(info, 1))  # the stub writes over what it handed out, as the AAR's method does
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


def test_recommendations_are_those_of_the_native_session(runner: Runner, bundle: Bundle) -> None:
    native = ModelRanker(bundle.manifest, bundle.catalog, open_session(bundle.model, prefer="native"))
    android = ModelRanker.open(bundle)
    assert android.runtime == "android"
    for events in (0, 1, 5, 9, 40):
        past = history(events)
        assert android.rank(past, 10, now=NOW) == native.rank(past, 10, now=NOW)
    android.close()
    native.close()


def test_the_program_is_loaded_from_a_private_copy_that_loses_its_name(runner: Runner, bundle: Bundle) -> None:
    session = open_session(bundle.model, RuntimeSettings(threads=3), methods=bundle.manifest.method_infos)
    ((path, content, mode, load_mode, threads),) = runner.opened
    assert content == bytes(bundle.model)
    assert (mode, load_mode, threads) == (0o600, 1, 3)
    assert not path.exists()
    assert runner.loaded == sorted(session.methods)
    session.close()


def test_methods_are_loaded_at_their_first_call_without_warm_up(runner: Runner, bundle: Bundle) -> None:
    open_session(bundle.model, RuntimeSettings(warm_up=False), methods=bundle.manifest.method_infos).close()
    assert runner.loaded == []


def test_what_cannot_be_set_is_said(runner: Runner, bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    open_session(bundle.model, RuntimeSettings(arena_bytes=1024), methods=bundle.manifest.method_infos).close()
    assert "arena_bytes has no effect" in caplog.text


def test_a_damaged_program_is_refused_and_leaves_nothing(runner: Runner, bundle: Bundle) -> None:
    damaged = bytes(bundle.model[:64]) + bytes(len(bundle.model) - 64)
    with pytest.raises(ModelFailed, match="cannot be loaded"):
        open_session(damaged, methods=bundle.manifest.method_infos)
    assert runner.running == 0
    assert not runner.opened[0][0].exists()


def test_without_the_manifest_it_is_refused(runner: Runner, bundle: Bundle) -> None:
    with pytest.raises(ModelFailed, match="manifest"):
        open_session(bundle.model)
    assert runner.opened == []


def test_a_program_without_a_method_of_the_manifest_is_refused(runner: Runner, bundle: Bundle) -> None:
    more = {**bundle.manifest.method_infos, "missing": MethodInfo((), ())}
    session = open_session(bundle.model, methods=more)
    assert "missing" not in session.methods
    session.close()


@pytest.mark.parametrize(
    "wrong",
    [
        TensorSpec("int64", (1, 64)),  # another type than comes
        TensorSpec("float32", (1, 1)),  # less than comes
        TensorSpec("float32", (64,)),  # another rank than comes
    ],
)
def test_outputs_that_the_manifest_does_not_state_are_refused(
    runner: Runner, bundle: Bundle, wrong: TensorSpec
) -> None:
    infos = bundle.manifest.method_infos
    name, info = next(iter(infos.items()))
    for outputs in ((wrong, *info.outputs[1:]), info.outputs[:-1], (*info.outputs, info.outputs[0])):
        session = open_session(bundle.model, methods={**infos, name: MethodInfo(info.inputs, outputs)})
        with pytest.raises(ModelFailed, match="did not give"):
            session.run(name, *some_inputs(info, 0))
        session.close()


def test_types_that_it_does_not_carry_are_named(runner: Runner, bundle: Bundle) -> None:
    name, info = next(iter(bundle.manifest.method_infos.items()))
    strange = MethodInfo((TensorSpec("float16", (1,)),), info.outputs)
    with pytest.raises(ModelFailed, match=r"float16\[1\]"):
        open_session(bundle.model, methods={name: strange})
    assert runner.running == 0


def test_wrong_calls_are_refused_before_java_sees_them(session: Session) -> None:
    name, info = next(iter(session.methods.items()))
    with pytest.raises(ModelFailed, match="no method"):
        session.run("nothing")
    with pytest.raises(ModelFailed, match="takes"):
        session.run(name)
    with pytest.raises(ModelFailed, match="expected"):
        session.run(name, *[array.astype(np.float64) for array in some_inputs(info, 0)])


def test_a_closed_session_says_so(session: Session) -> None:
    name, info = next(iter(session.methods.items()))
    session.close()
    session.close()
    with pytest.raises(ModelFailed, match="closed"):
        session.run(name, *some_inputs(info, 0))


def test_calls_from_many_threads_take_turns(session: Session) -> None:
    name, info = next(iter(session.methods.items()))
    expected = [session.run(name, *some_inputs(info, seed))[0].tobytes() for seed in range(4)]
    found: dict[int, set[bytes]] = {}

    def call(seed: int) -> None:
        found[seed] = {session.run(name, *some_inputs(info, seed))[0].tobytes() for _ in range(20)}

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: {expected[seed]} for seed in range(4)}


def test_without_a_library_for_the_processor_the_next_runtime_is_taken(bundle: Bundle) -> None:
    jpype.JClass("org.pytorch.executorch.Module").runtime = None  # so the stub says that there is no libexecutorch.so
    with pytest.raises(RuntimeUnavailable, match="ABI"):
        open_session(bundle.model, methods=bundle.manifest.method_infos, prefer="android")
    session = open_session(bundle.model, methods=bundle.manifest.method_infos)
    assert session.name == "native"
    session.close()


def test_without_the_aar_it_is_named_and_the_next_runtime_is_taken(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_runtime.android_session._PACKAGE", "org.nowhere")
    with pytest.raises(RuntimeUnavailable, match=r"org\.nowhere\.Module cannot be loaded .*executorch-android:1\.5\.1"):
        open_session(bundle.model, methods=bundle.manifest.method_infos, prefer="android")
    session = open_session(bundle.model, methods=bundle.manifest.method_infos)
    assert session.name == "native"
    session.close()


def test_a_full_disk_is_said(runner: Runner, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ModelFailed, match="free some space"):
            open_session(bundle.model, methods=bundle.manifest.method_infos, prefer="android")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    assert runner.opened == []
