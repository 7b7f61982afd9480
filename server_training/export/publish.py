"""From a finished run to a bundle: quantise, lower, verify, write. Nothing is written if verification refuses."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from device_runtime import (
    CATALOG_FILE,
    MAX_CATEGORIES,
    MODEL_FILE,
    README_FILE,
    TAXONOMY,
    Catalog,
    Manifest,
    ModelFailed,
    ModelShape,
    Session,
    TrainingData,
    file_entries,
    open_session,
    write_bundle,
)
from server_training.console import console
from server_training.data.split import Stage
from server_training.errors import ConfigInvalid
from server_training.export.backends import BACKENDS, Backend, Quantization
from server_training.export.eager_session import EagerSession
from server_training.export.lower import Lowered, lower
from server_training.export.samples import RealInputs
from server_training.export.verify import VerifyLimits, VerifyReport, verify
from server_training.items.attributes import with_categories
from server_training.models.methods import default_weights, methods_of, shape_of, window_step
from server_training.training.run_folder import Run
from server_training.training.windows import Windows, history_windows

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """What to export and how it is named.

    Attributes:
        namespace: of the catalog.
        model_version: devices never go back to a lower one.
        valid_days: devices refuse the bundle afterwards.
        quantization: see `backends.Quantization`; the backend's default when None.
        backend: one of `backends.BACKENDS`.
        beam_width: fixed in the program.
        data_name, data_licence: for the manifest and the model card.
        categories: so many of the attributes that most items share become categories to filter by; a model with the
            adapter `taxonomy` keeps those that it learned.
        limits: of the verification.
    """

    namespace: str
    model_version: int = 1
    valid_days: int = 365
    quantization: Quantization | None = None
    beam_width: int = 32
    data_name: str = "unnamed"
    data_licence: str = "unstated"
    categories: int = 64
    backend: str = "xnnpack"
    limits: VerifyLimits = field(default_factory=VerifyLimits)

    def __post_init__(self) -> None:
        """Refuse what no device could use.

        Raises:
            ConfigInvalid: a number is outside its range.
        """
        for name in ("model_version", "valid_days"):
            if getattr(self, name) < 1:
                raise ConfigInvalid(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.backend not in BACKENDS:
            raise ConfigInvalid(f"backend {self.backend!r} is not known; choose one of: {', '.join(BACKENDS)}")
        if not 10 <= self.beam_width <= 1024:
            raise ConfigInvalid(f"the beam width must be 10 to 1024, got {self.beam_width}")
        if not 0 <= self.categories <= MAX_CATEGORIES:
            raise ConfigInvalid(f"a bundle has 0 to {MAX_CATEGORIES} categories, got {self.categories}")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export made.

    Attributes:
        pte_bytes: size of the program.
        bundle_bytes: size of all files of the bundle but the signature.
        verification: how the program compares with PyTorch.
        seconds_lowering, seconds_verifying: how long each took.
        runtime: what executed the program in the verification.
    """

    pte_bytes: int
    bundle_bytes: int
    verification: VerifyReport
    seconds_lowering: float
    seconds_verifying: float
    runtime: str


def export_run(run: Run, out: Path, config: ExportConfig, progress: Callable[[int, int], None]) -> ExportReport:
    """Export a finished run to an unsigned bundle folder at `out`.

    Raises:
        ExportRefused: the program drifts from PyTorch, or loses too much quality; nothing is written.
        ConfigInvalid, device_runtime.DeviceError: see there.
    """
    began = time.perf_counter()
    backend = BACKENDS[config.backend]
    config = replace(config, quantization=config.quantization or backend.quantizations[0])
    assert config.quantization is not None
    known = methods_of(run.model, config.beam_width, varying=backend.varying)
    calibration = RealInputs(known, _windows(run, Stage.VALID, backend), run.catalog, _shortest(run, backend))
    lowered = lower(run.model, config.beam_width, backend, config.quantization, calibration)
    lowered_at = time.perf_counter()
    session = _session(lowered)
    try:
        report = verify(session, run, lowered, known, config.limits, progress)
        runtime = session.name
    finally:
        session.close()
    verified = time.perf_counter()
    contents = {MODEL_FILE: lowered.program, CATALOG_FILE: _with_categories(run, config.categories).to_bytes()}
    contents[README_FILE] = _model_card(run, config, report, contents[CATALOG_FILE]).encode()
    manifest = _manifest(run, config, report, contents, lowered.shape)
    write_bundle(out, manifest, contents)
    size = sum(len(content) for content in contents.values()) + len(manifest.to_bytes())
    return ExportReport(len(lowered.program), size, report, lowered_at - began, verified - lowered_at, runtime)


def _session(lowered: Lowered) -> Session:
    """The runtime that devices use, or PyTorch for what this machine cannot run."""
    try:
        return open_session(lowered.program)
    except ModelFailed as error:
        console.print(f"this machine cannot run the program ({error}); compared are the quantised methods in PyTorch")
        return EagerSession(lowered.methods, lowered.shape)


def _shortest(run: Run, backend: Backend) -> int:
    return shape_of(run.model, 2, varying=backend.varying).shortest_history


def _windows(run: Run, stage: Stage, backend: Backend) -> Windows:
    shape = shape_of(run.model, 2, varying=backend.varying)
    return history_windows(run.split, stage, run.catalog, shape.history_length, window_step(shape))


def _manifest(
    run: Run, config: ExportConfig, report: VerifyReport, contents: dict[str, bytes], shape: ModelShape
) -> Manifest:
    now = int(time.time())
    assert config.quantization is not None
    return Manifest(
        model_version=config.model_version,
        created_at=now,
        expires_at=now + config.valid_days * _DAY_S,
        runtime=f"executorch {importlib.metadata.version('executorch')}",
        backend=config.backend,
        quantization=config.quantization,
        methods=shape.methods(),
        window_step=window_step(shape),
        n_items=len(run.catalog),
        adapter_weights=default_weights(run.model),
        **asdict(shape),
        catalog_namespace=config.namespace,
        metrics=_metrics(report),
        training_data=TrainingData(config.data_name, config.data_licence, run.split.data.sha256),
        files=file_entries(contents),
    )


def _metrics(report: VerifyReport) -> dict[str, float]:
    metrics = {f"device_{name}": value for name, value in report.device.items()}
    metrics |= {f"exact_{name}": value for name, value in report.exact.items()}
    metrics["max_abs_diff"] = report.max_abs_diff
    metrics["max_abs_diff_float"] = report.max_abs_diff_float
    metrics["top10_overlap"] = report.top10_overlap
    return metrics


def _with_categories(run: Run, most: int) -> Catalog:
    """The run's catalog with categories; those of the adapter that learned them, where there is one."""
    learned = TAXONOMY in run.model.config.adapters
    return run.catalog if learned else with_categories(run.catalog, run.split.data, most)


def _model_card(run: Run, config: ExportConfig, report: VerifyReport, catalog: bytes) -> str:
    sizes = ", ".join(f"{name} {value}" for name, value in run.model.config.to_dict().items())
    rows = "\n".join(
        f"| {name} | {report.exact[name]:.4f} | {report.device[name]:.4f} |" for name in sorted(report.device)
    )
    digest = hashlib.sha256(catalog).hexdigest()
    return f"""# {config.namespace}, version {config.model_version}

A generative recommender over semantic IDs, for on-device use through ExecuTorch ({config.backend},
{config.quantization}).

- Training data: {config.data_name}. Terms: {config.data_licence}. Prepared data SHA-256: {run.split.data.sha256}
- Items: {len(run.catalog)}. Catalog SHA-256: {digest}
- Sizes: {sizes}; {run.info.parameters} parameters

| metric | PyTorch, float, exact scoring | this program, beam {config.beam_width} |
|---|---|---|
{rows}

Measured on {report.n_users} users ({run.split.rule}), the full catalog ranked, seen items
removed. Top-10 lists of the two share {report.top10_overlap:.1%} of their items. The model learned from what people
did, popularity and all; it knows nothing of anyone who was not in the data.
"""
