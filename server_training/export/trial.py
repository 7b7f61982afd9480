"""A trial of one backend with one quantisation: lowered, run where this machine can, compared with PyTorch.

`python -m server_training.export.trial BACKEND QUANTIZATION RUN FILE` writes what happened to FILE, as JSON. It is a
process of its own because compilers crash, and because some backends need an environment of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from server_training.errors import TrainingError
from server_training.files import write_atomically

BEAM = 10
_COMPARED, _COMPARED_SLOWLY = 64, 8
_FRAMEWORK = ("torch", "executorch", "torchao", "numpy")


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened; None where it did not come to it.

    Attributes:
        backend, quantization: what was tried.
        missing: what must be installed first, in words.
        problem: why it could not be lowered.
        delegated, left: operators that the backend took, and that stay with ExecuTorch's own kernels.
        shortest, longest: events of a history.
        program_bytes: size of the program.
        seconds: of CPU time, that quantising and lowering took.
        runtime: what ran the program here.
        not_run: why nothing did.
        max_error: of all outputs, program against the quantised model in PyTorch; relative where the output's largest
            number is above 1.
        quantization_error: the same, the quantised model in PyTorch against the model in float.
        top10_overlap: mean share of common items, program against exact scoring in float.
        people: whose lists were compared.
        versions: of the packages that took part.
    """

    backend: str
    quantization: str
    missing: str | None = None
    problem: str | None = None
    delegated: int | None = None
    left: int | None = None
    shortest: int | None = None
    longest: int | None = None
    program_bytes: int | None = None
    seconds: float | None = None
    runtime: str | None = None
    not_run: str | None = None
    max_error: float | None = None
    quantization_error: float | None = None
    top10_overlap: float | None = None
    people: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Trial:
        """Read what `dataclasses.asdict` gave.

        Raises:
            TypeError: fields are missing or unknown.
        """
        return cls(**content)


def attempt(backend_name: str, quantization: str, run_folder: Path) -> Trial:
    """Try one backend with one quantisation; what goes wrong is part of the answer.

    Raises:
        TrainingError: the run cannot be opened.
    """
    from server_training.export.backends import BACKENDS
    from server_training.training.run_folder import Run

    backend = BACKENDS[backend_name]
    trial = Trial(backend_name, quantization, missing=backend.missing(), versions=_versions(backend.packages))
    if trial.missing is not None:
        return trial
    return _tried(trial, Run.open(run_folder))


def _tried(trial: Trial, run: Any) -> Trial:
    from server_training.data.split import Stage
    from server_training.export.backends import BACKENDS
    from server_training.export.eager_session import EagerSession
    from server_training.export.lower import lower
    from server_training.export.samples import RealInputs
    from server_training.export.verify import largest_difference
    from server_training.models.methods import methods_of, shape_of, window_step
    from server_training.training.windows import history_windows

    backend = BACKENDS[trial.backend]
    shape = shape_of(run.model, BEAM, varying=backend.varying)
    known = methods_of(run.model, BEAM, varying=backend.varying)

    def real(stage: Stage) -> RealInputs:
        windows = history_windows(run.split, stage, run.catalog, shape.history_length, window_step(shape))
        return RealInputs(known, windows, run.catalog, shape.shortest_history)

    began = _cpu_seconds()
    try:
        lowered = lower(run.model, BEAM, backend, trial.quantization, real(Stage.VALID))  # type: ignore[arg-type]
    except Exception as error:  # whatever a vendor's compiler throws is what the table reports
        return dataclasses.replace(trial, problem=_in_words(error))
    seconds = _cpu_seconds() - began
    taken, left = _shares(lowered.delegated.values())
    quantised = EagerSession(lowered.methods, lowered.shape)
    trial = dataclasses.replace(
        trial,
        delegated=taken,
        left=left,
        shortest=shape.shortest_history,
        longest=shape.history_length,
        program_bytes=len(lowered.program),
        seconds=seconds,
        quantization_error=largest_difference(quantised, known, real(Stage.TEST), _COMPARED),
    )
    return _ran(trial, run, lowered, real(Stage.TEST))


def _ran(trial: Trial, run: Any, lowered: Any, real: Any) -> Trial:
    from device_runtime import ItemSearch
    from server_training.data.split import Stage
    from server_training.export.verify import device_lists, exact_lists, largest_difference, overlap
    from server_training.models.methods import window_step
    from server_training.training.windows import history_windows

    slow = trial.backend == "tosa"
    compared = _COMPARED_SLOWLY if slow else _COMPARED
    shape = lowered.shape
    try:
        session = _session(lowered, slow=slow)
        error = largest_difference(session, lowered.methods, real, compared)
        windows = history_windows(run.split, Stage.TEST, run.catalog, shape.history_length, window_step(shape))
        people = np.unique(np.linspace(0, len(windows) - 1, compared).astype(int)).tolist()
        search = ItemSearch(session, run.catalog, shape)
        lists = device_lists(search, run.catalog, run.split, windows, shape.shortest_history, people, _quiet)
    except Exception as failure:  # a runtime's refusal is what the table reports
        return dataclasses.replace(trial, not_run=_in_words(failure))
    best, _ = exact_lists(run.model, run.catalog, run.split)
    return dataclasses.replace(
        trial,
        runtime=session.name,
        max_error=error,
        top10_overlap=overlap(lists, best[people]),
        people=len(people),
    )


def _session(lowered: Any, *, slow: bool) -> Any:
    from device_runtime import BackendMissing, ModelFailed, RuntimeUnavailable, open_session
    from server_training.export.reference_session import ReferenceSession

    if slow:
        return ReferenceSession(lowered.delegated, lowered.shape)
    try:
        return open_session(lowered.program, prefer="native")
    except (ModelFailed, RuntimeUnavailable) as native:
        try:
            return open_session(lowered.program, prefer="python")
        except BackendMissing:  # neither has it
            raise native from None
        except (ModelFailed, RuntimeUnavailable) as python:
            raise ModelFailed(f"{native}; ExecuTorch's Python runtime: {python}") from native


def _shares(programs: Any) -> tuple[int, int]:
    """Operators inside the delegates, and outside; fetching one of several outputs is none."""
    from executorch.exir.lowered_backend_module import LoweredBackendModule

    taken = left = 0
    for program in programs:
        left += _operators(program.graph)
        for part in program.graph_module.children():
            if isinstance(part, LoweredBackendModule):
                taken += _operators(part.original_module.graph)
    return taken, left


def _operators(graph: Any) -> int:
    calls = [getattr(node.target, "__name__", "") for node in graph.nodes if node.op == "call_function"]
    return sum(name not in ("getitem", "executorch_call_delegate") for name in calls)


def _quiet(done: int, total: int) -> None:
    """Nobody watches a trial."""


def _cpu_seconds() -> float:
    """Of this process and of the compilers it started: other work on the machine does not count."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _in_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in (*_FRAMEWORK, *(package.partition("==")[0] for package in packages)):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> int:
    """Try what the command line names and write what happened."""
    from server_training.export.backends import BACKENDS, Quantization

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=tuple(BACKENDS))
    parser.add_argument("quantization", choices=get_args(Quantization))
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        trial = attempt(arguments.backend, arguments.quantization, arguments.run)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    write_atomically(arguments.file, (json.dumps(dataclasses.asdict(trial), indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
