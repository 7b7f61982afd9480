"""`meritrec simulate` and `meritrec compare`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

from sdk.errors import InvalidInput
from sdk.simulation.report import report_page
from sdk.simulation.results import Result, compared
from sdk.simulation.run import RunSettings, Told, run_scenario
from sdk.simulation.run_folder import REPORT_FILE, RESULT_FILE
from sdk.simulation.scenario_file import SHIPPED, load_scenario, parse_scenario, shipped_scenarios


def simulate(arguments: argparse.Namespace) -> None:
    """Run a scenario and say what came of it."""
    if arguments.scenario is None:
        _list()
        return
    if arguments.show:
        print(load_scenario(arguments.scenario)[1], end="")
        return
    name = Path(arguments.scenario).stem
    out = arguments.out or Path(f"simulation-{name}")
    settings = RunSettings(arguments.engine, arguments.processes, arguments.ray_address, arguments.fresh)
    try:
        with _progress(f"simulating {name}") as told:
            result = run_scenario(arguments.scenario, out, settings, told)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what is in {out}", file=sys.stderr)
        raise
    _print_result(result, out, as_json=arguments.json)


def compare(arguments: argparse.Namespace) -> None:
    """Put finished runs side by side in one page."""
    results = [Result.load(path / RESULT_FILE) for path in arguments.runs]
    if len(results) < 2:
        raise InvalidInput("name two runs at least")
    names = [result.name for result in results]
    results = [  # runs of one scenario are told apart by their folders
        replace(result, name=f"{result.name} ({path})") if names.count(result.name) > 1 else result
        for path, result in zip(arguments.runs, results, strict=True)
    ]
    arguments.out.write_text(report_page(results), encoding="utf-8")
    ends = {str(path): asdict(result.moments()[-1]) for path, result in zip(arguments.runs, results, strict=True)}
    if arguments.json:
        print(json.dumps(ends, indent=2))
        return
    print(_columns(results))
    print(f"\n{arguments.out}")


def _list() -> None:
    for name in shipped_scenarios():
        print(f"{name:<22}{parse_scenario((SHIPPED / f'{name}.toml').read_text(), name).text}")


def _print_result(result: Result, out: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"run": str(out), "scenario": result.name, **asdict(result.moments()[-1])}, indent=2))
        return
    print(_columns([result]))
    print(f"\n{out / REPORT_FILE}")


def _columns(results: Sequence[Result]) -> str:
    rows = [("", [result.name for result in results]), *compared(results)]
    widths = [max(len(cells[column]) for _, cells in rows) for column in range(len(results))]
    lines = (f"{name:<25}" + "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True)) for name, cells in rows)
    return "\n".join(lines)


@contextmanager
def _progress(title: str) -> Iterator[Told]:
    """Show a bar with an estimate; a signal stops the run between two steps, and a second one at once."""
    stop = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        nonlocal stop
        if stop:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        stop = True
        print("stopping after this step; again to stop at once", file=sys.stderr)

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=1.0)

            def told(done: float, doing: str) -> None:
                bar.update(task, completed=done, description=f"{title}, {doing}")
                if stop:
                    raise KeyboardInterrupt

            yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
