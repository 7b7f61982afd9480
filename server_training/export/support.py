"""Trials of every backend with every quantisation, each in a process of its own, kept so that they can go on later.

A results folder holds `BACKEND-QUANTIZATION.json` per trial. A trial that is there, of the same model, is not repeated.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server_training.errors import ConfigInvalid, TrainingError
from server_training.export.backends import BACKENDS, Backend
from server_training.export.trial import Trial
from server_training.files import write_atomically
from server_training.training.run_folder import Run

TIMEOUT_S = 3600.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and with what a trial was made.

    Attributes:
        model: SHA-256 of the weights, followed by what the run says of its size.
        date: of the trial, UTC.
        machine: processor, system, Python.
        code: version of meritrec and, in a git checkout, its commit.
    """

    model: str
    date: str
    machine: str
    code: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A trial and its setting."""

    trial: Trial
    setting: Setting

    def to_json(self) -> bytes:
        """Return what is kept in a file."""
        return (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, file: Path) -> Kept:
        """Read what is kept in a file.

        Raises:
            TrainingError: it is damaged.
        """
        try:
            fields: Mapping[str, Any] = json.loads(content)
            return cls(Trial(**fields["trial"]), Setting(**fields["setting"]))
        except (ValueError, TypeError, KeyError) as error:
            raise TrainingError(f"{file} is damaged ({error}); remove it, the trial is made again") from error


def try_backends(
    run: Path,
    results: Path,
    environments: Path | None,
    names: Sequence[str] = (),
    *,
    again: bool = False,
    told: Callable[[Kept, int, int], None],
) -> list[Kept]:
    """Try backends, every quantisation of each, and keep what happened.

    Args:
        run: folder of a trained model.
        results: where what happened is kept.
        environments: folder whose `NAME/bin/python` serves the backends of environment NAME; this Python serves the
            others, and those whose environment is not there.
        names: of backends; all when empty.
        again: repeat what is there.
        told: each trial, (trials done, trials).

    Raises:
        ConfigInvalid: a name is not known.
        TrainingError: the run or a kept trial cannot be read.
    """
    unknown = [name for name in names if name not in BACKENDS]
    if unknown:
        raise ConfigInvalid(f"backend {unknown[0]!r} is not known; choose of: {', '.join(BACKENDS)}")
    chosen = [backend for name, backend in BACKENDS.items() if not names or name in names]
    planned = [(backend, quantization) for backend in chosen for quantization in backend.quantizations]
    results.mkdir(parents=True, exist_ok=True)
    setting = _setting(run)
    made = []
    for done, (backend, quantization) in enumerate(planned, start=1):
        file = results / f"{backend.name}-{quantization}.json"
        kept = None if again else _still_good(file, setting)
        if kept is None:
            trial = _apart(backend, quantization, run, environments)
            kept = Kept(trial, dataclasses.replace(setting, date=_today()))
            write_atomically(file, kept.to_json())
        made.append(kept)
        told(kept, done, len(planned))
    return made


def kept_trials(results: Path) -> Iterator[Kept]:
    """Yield every trial of a results folder, in the order of `BACKENDS` and their quantisations.

    Raises:
        TrainingError: one is damaged.
    """
    for backend in BACKENDS.values():
        for quantization in backend.quantizations:
            file = results / f"{backend.name}-{quantization}.json"
            if file.is_file():
                yield Kept.from_json(file.read_bytes(), file)


def _still_good(file: Path, setting: Setting) -> Kept | None:
    if not file.is_file():
        return None
    kept = Kept.from_json(file.read_bytes(), file)
    return kept if kept.setting.model == setting.model and kept.trial.missing is None else None


def _apart(backend: Backend, quantization: str, run: Path, environments: Path | None) -> Trial:
    """A trial in a process of its own: a compiler that crashes or hangs ends that one."""
    python = _python_of(backend, environments)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "trial.json"
        command = [str(python), "-m", "server_training.export.trial", backend.name, quantization, str(run), str(file)]
        # The environment's programs come first, such as Vela.
        variables = {**os.environ, "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])}
        if (_ROOT / "pyproject.toml").is_file():  # a checkout: the same code everywhere, and nobody's packages
            variables["PYTHONPATH"] = str(_ROOT)
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
                env=variables,
            )
        except subprocess.TimeoutExpired:
            return Trial(backend.name, quantization, problem=f"it did not end within {TIMEOUT_S:.0f} s")
        if file.is_file():
            return Trial(**json.loads(file.read_bytes()))
    if done.returncode < 0:
        return Trial(backend.name, quantization, problem=f"its process was ended by signal {-done.returncode}")
    said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    return Trial(backend.name, quantization, problem=f"its process failed: {said}")


def _python_of(backend: Backend, environments: Path | None) -> Path:
    if environments is not None and backend.environment is not None:
        python = environments.absolute() / backend.environment / "bin" / "python"
        if python.is_file():
            return python
    return Path(sys.executable)


def _setting(run: Path) -> Setting:
    opened = Run.open(run)
    config = opened.model.config
    digest = hashlib.sha256((run / "model.pt").read_bytes()).hexdigest()
    model = (
        f"{opened.info.parameters:,} parameters ({config.backbone}, {config.head}, width {config.width}, "
        f"{config.layers} layers, histories of {config.history_length}), {len(opened.catalog):,} items, "
        f"weights {digest[:16]}"
    )
    return Setting(model, _today(), _machine(), _code())


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _machine() -> str:
    return f"{_processor()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _code() -> str:
    version = f"meritrec {importlib.metadata.version('meritrec')}"
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{version}, commit {asked.stdout.strip()}" if asked.returncode == 0 else version
