"""From a scenario to a finished run: checkpoints on the way, tables and a report at the end."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdk.simulation.course import Course
from sdk.simulation.device import DAY_S
from sdk.simulation.engines import ProcessPool, one_process
from sdk.simulation.protocol import Progress, Workers, simulate
from sdk.simulation.rank import Setting, judge_all, look_hours, swept
from sdk.simulation.ray_engine import RayActors
from sdk.simulation.report import report_page
from sdk.simulation.results import Result
from sdk.simulation.run_folder import REPORT_FILE, RunFolder
from sdk.simulation.scenario import Scenario
from sdk.simulation.scenario_file import SHIPPED, load_scenario
from sdk.simulation.shard import START

Engine = Literal["processes", "ray"]
Told = Callable[[float, str], None]
"""Told the share that is done, and what is being done."""

_KEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How to run; none of it changes the result.

    Attributes:
        engine: processes of this machine, or Ray.
        processes: how many, at most as many as the scenario has communities (protocol) or people to judge (rank).
        address: of Ray's cluster; None starts one here.
        fresh: begin anew even where a checkpoint is.
    """

    engine: Engine = "processes"
    processes: int = 1
    address: str | None = None
    fresh: bool = False


def run_scenario(source: str | Path, out: Path, settings: RunSettings, told: Told) -> Result:
    """Run a scenario, or go on with it, and write its tables and report into a folder.

    Args:
        source: a scenario's file, or a shipped one's name.
        out: the run's folder.
        settings: how to run.
        told: called now and then; may raise, KeyboardInterrupt for one, and the same call goes on later.

    Raises:
        ScenarioInvalid, DataMissing, RunInvalid, SimulationError: see `sdk.simulation.errors`.
    """
    scenario, text = load_scenario(source)
    path = Path(source)
    beside = path.parent if path.is_file() else SHIPPED
    folder = RunFolder(out, text, fresh=settings.fresh)
    if folder.finished:
        result = folder.result()
    else:
        result = _run(scenario, text, beside, folder, settings, told)
        folder.finish(result)
    (out / REPORT_FILE).write_text(report_page([result]), encoding="utf-8")
    return result


def _run(scenario: Scenario, text: str, beside: Path, folder: RunFolder, settings: RunSettings, told: Told) -> Result:
    course = Course(scenario, beside)
    kept = folder.kept()
    progress, snapshots = kept if kept is not None else (Progress(), None)
    if scenario.fidelity == "rank":
        _ranked(course, folder, progress, settings, told)
    else:
        _simulated(scenario, beside, folder, progress, snapshots, settings, told)
    sweep = swept(course, lambda setting: told(1.0, _sweep_words(setting)))
    return Result(
        name=scenario.name,
        text=scenario.text,
        fidelity=scenario.fidelity,
        scenario=text,
        origin=course.origin,
        versions=versions(),
        alpha=scenario.trust.alpha,
        beta=scenario.trust.beta,
        k=scenario.measure.k,
        attacks=tuple(attack.kind for attack in scenario.attacks),
        verdicts=tuple(progress.verdicts),
        traffic=tuple(progress.traffic),
        sweep=tuple(sweep),
    )


def _simulated(
    scenario: Scenario,
    beside: Path,
    folder: RunFolder,
    progress: Progress,
    snapshots: list[bytes] | None,
    settings: RunSettings,
    told: Told,
) -> None:
    workers = _workers(scenario, beside, settings, snapshots)
    last = time.monotonic()

    def step(progress: Progress) -> None:
        nonlocal last
        done = (progress.now - START) / (scenario.days * DAY_S)
        if time.monotonic() - last > _KEEP_EVERY_S and done < 1.0:
            folder.keep(progress, workers.snapshot())
            last = time.monotonic()
        try:
            told(done, f"hour {(progress.now - START) / 3600:.0f} of {24 * scenario.days}")
        except KeyboardInterrupt:  # raised by `told`, so between two steps: everything stands still
            folder.keep(progress, workers.snapshot())
            raise

    try:
        simulate(scenario, workers, progress, step)
    finally:
        workers.close()


def _workers(scenario: Scenario, beside: Path, settings: RunSettings, snapshots: list[bytes] | None) -> Workers:
    if settings.engine == "ray":
        return RayActors(scenario, beside, snapshots, settings.address)
    if settings.processes > 1 and scenario.network.communities > 1:
        return ProcessPool(scenario, beside, settings.processes, snapshots)
    return one_process(scenario, beside, snapshots)


def _ranked(course: Course, folder: RunFolder, progress: Progress, settings: RunSettings, told: Told) -> None:
    scenario = course.scenario
    places = [(hour, ego) for hour in look_hours(scenario) for ego in course.egos.tolist()]
    last = time.monotonic()
    for verdict in judge_all(course, places[len(progress.verdicts) :], settings.processes):
        progress.verdicts.append(verdict)
        if time.monotonic() - last > _KEEP_EVERY_S:
            folder.keep(progress, [])
            last = time.monotonic()
        try:
            told(len(progress.verdicts) / len(places), f"hour {verdict.hour:.0f} of {24 * scenario.days}")
        except KeyboardInterrupt:
            folder.keep(progress, [])
            raise


def _sweep_words(setting: Setting) -> str:
    return f"ranking again with alpha {setting.alpha:g}, beta {setting.beta:g}"


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "meritrec": importlib.metadata.version("meritrec"),
        "numpy": importlib.metadata.version("numpy"),
        "python": platform.python_version(),
    }
