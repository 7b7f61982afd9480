"""Backends and quantisations: what can run here runs and agrees, what cannot says what it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.export import Dim

from device_runtime import MANIFEST_FILE, BackendMissing, Manifest, ModelFailed, open_session, read_files, smoke_run
from server_training.cli import main
from server_training.data.prepare import prepare
from server_training.data.split import Stage
from server_training.errors import ConfigInvalid, ExportRefused
from server_training.export.backends import BACKENDS, Quantization
from server_training.export.eager_session import EagerSession
from server_training.export.lower import _check_varying, _exported, lower
from server_training.export.publish import ExportConfig, export_run
from server_training.export.samples import RealInputs
from server_training.export.verify import VerifyLimits, VerifyReport, refuse_drift
from server_training.models.config import ModelConfig
from server_training.models.methods import Method, methods_of, shape_of, window_step
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.run_folder import Run, train_run
from server_training.training.windows import history_windows
from tests.server_training.conftest import write_recbole

BEAM = 10
MODEL = ModelConfig(levels=2, codebook_size=8, history_length=6, width=32, layers=1, heads=2, backbone="rotary")
LOOSE = VerifyLimits(max_abs_diff=0.2, max_recall_loss=1.0, max_ndcg_loss=1.0, min_top10_overlap=0.0)


class Quiet:
    def step(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("backends")
    prepare(write_recbole(folder / "source"), folder / "data")
    train_run(folder / "data", folder / "run", RunConfig(model=MODEL, train=TrainConfig(epochs=2)), Quiet())
    return Run.open(folder / "run")


def _real(run: Run, *, varying: bool) -> RealInputs:
    known = methods_of(run.model, BEAM, varying=varying)
    windows = history_windows(run.split, Stage.VALID, run.catalog, 6)
    return RealInputs(known, windows, run.catalog, 2 if varying else 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "scheme", "close"),
    [("xnnpack", "8da4w", 0.3), ("xnnpack", "int8", 0.5), ("portable", "fp32", 1e-4), ("xnnpack", "8da8w", 0.1)],
)
def test_what_runs_here_agrees_with_pytorch(run: Run, backend: str, scheme: Quantization, close: float) -> None:
    real = _real(run, varying=True)
    lowered = lower(run.model, BEAM, BACKENDS[backend], scheme, real)
    session, eager = open_session(lowered.program), EagerSession(lowered.methods, lowered.shape)
    assert session.methods == eager.methods
    for name in lowered.methods:
        compared = 0
        for inputs in real.of(name, 8):
            arrays = [part.numpy() for part in inputs]
            exact = EagerSession(methods_of(run.model, BEAM), lowered.shape).run(name, *arrays)
            for ours, theirs, unquantised in zip(
                session.run(name, *arrays), eager.run(name, *arrays), exact, strict=True
            ):
                scale = max(1.0, np.abs(unquantised).max())
                assert np.abs(ours - theirs).max() <= 0.05 * scale
                assert np.abs(ours - unquantised).max() <= close * scale
            compared += 1
        assert compared
    session.close()


@pytest.mark.slow
def test_a_program_for_another_machine_has_fixed_lengths_and_is_compared_in_pytorch(run: Run, tmp_path: Path) -> None:
    config = ExportConfig("made", beam_width=BEAM, backend="vulkan", limits=LOOSE)
    report = export_run(run, tmp_path / "bundle", config, lambda done, total: None)
    assert report.runtime == "pytorch"
    files = read_files(tmp_path / "bundle")
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    assert (manifest.backend, manifest.quantization) == ("vulkan", "fp32")
    assert (manifest.shortest_history, manifest.memory_rows, manifest.window_step) == (6, 0, 1)
    said = "the runtime has no VulkanBackend, it has: .*XnnpackBackend"
    with pytest.raises(BackendMissing, match=said):
        open_session(files["model.pte"], prefer="native")
    with pytest.raises(BackendMissing, match=r"Python runtime has: .*XnnpackBackend"):
        open_session(files["model.pte"], prefer="python")
    with pytest.raises(ModelFailed, match=said):
        smoke_run(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["qualcomm", "mediatek", "samsung", "nxp"])
def test_a_vendor_whose_sdk_is_not_there_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QNN_SDK_ROOT", raising=False)
    said = BACKENDS[name].missing()
    assert said is not None
    assert "SDK" in said
    assert "lacks" in said


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr("server_training.export.backends.backend.importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigInvalid, match=r"lacks coremltools; .* `\.ci/backend-environment python3\.11 \.venv-coreml coreml`"
    ):
        lower(run.model, BEAM, BACKENDS["coreml"], "fp32")


def test_what_a_backend_does_not_take_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigInvalid, match="portable does not take int8; choose one of: fp32"):
        lower(run.model, BEAM, BACKENDS["portable"], "int8")
    with pytest.raises(ConfigInvalid, match="give some"):
        lower(run.model, BEAM, BACKENDS["xnnpack"], "int8")
    command = ["export", str(run.folder), "--out", str(tmp_path / "out"), "--namespace", "x", "--backend", "abacus"]
    assert main(command) == 1
    assert "'abacus' is not known; choose one of: xnnpack, portable" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_backend_says_what_it_is() -> None:
    for name, backend in BACKENDS.items():
        assert backend.name == name
        assert backend.target
        assert backend.quantizations
        assert set(backend.quantizations) <= set(get_args(Quantization))


def test_calibration_sees_histories_of_real_people(run: Run) -> None:
    real = _real(run, varying=True)
    rows = {tuple(codes) for codes in run.catalog.codes.tolist()}
    for inputs in real.of("encode", 8):
        assert {tuple(codes) for codes in inputs[0][0].tolist()} <= rows
    assert window_step(shape_of(run.model, BEAM, varying=False)) == 1
    assert [len(list(real.of(name, 3))) for name in ("encode", "items")] == [3, 3]


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


def test_a_length_that_an_exporter_fixed_is_found() -> None:
    """As some operators do without a word; the program would fail at every other length."""
    method = Method(Doubled(), (torch.zeros(1, 6),), ({1: "t"},))
    lengths = {"t": Dim("t", min=2, max=6)}
    _check_varying("doubled", method, _exported(method, lengths), lengths)
    fixed = torch.export.export(method.module, method.inputs, strict=True)
    with pytest.raises(ExportRefused, match=r"fixed axis 1 of input 0 of doubled at 6; .* replace it by slices"):
        _check_varying("doubled", method, fixed, lengths)


GOOD = VerifyReport(0.05, 9.0, 0.7, {"recall@10": 0.08, "ndcg@10": 0.08}, {"recall@10": 0.1, "ndcg@10": 0.1}, 10**9)


def test_an_export_at_its_limits_passes() -> None:
    refuse_drift(GOOD, VerifyLimits())


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ({"max_abs_diff": 0.0501}, "differs from PyTorch by 0.0501"),
        ({"max_abs_diff": float("nan")}, "differs from PyTorch by nan"),
        ({"device": {"recall@10": 0.0799, "ndcg@10": 0.08}}, "cost 0.0201 recall@10 .*limit 0.02"),
        ({"device": {"recall@10": 0.08, "ndcg@10": 0.0799}}, "cost 0.0201 ndcg@10 .*limit 0.02"),
        ({"top10_overlap": 0.699}, "share 69.9% of their items"),
    ],
)
def test_an_export_above_any_limit_is_refused(worse: dict[str, Any], said: str) -> None:
    with pytest.raises(ExportRefused, match=said):
        refuse_drift(replace(GOOD, **worse), VerifyLimits())


@pytest.mark.parametrize("varying", [True, False])
def test_programs_are_compared_at_a_second_length_where_lengths_vary(run: Run, varying: bool) -> None:
    real = _real(run, varying=varying)
    lengths = {inputs[0].shape[1] for inputs in real.of("encode", 8)}
    assert lengths <= set(range(2, 7))
    assert (len(lengths) > 1) is varying
