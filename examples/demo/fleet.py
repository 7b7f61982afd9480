"""Eight operating-system processes: starts them, talks to them in JSON lines, and waits until they agree."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Answer = dict[str, Any]


class FleetError(RuntimeError):
    """A device process died or did not converge; its log says why."""


@dataclass(slots=True)
class Member:
    """One process."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def ask(self, do: str, **arguments: object) -> Answer:
        """Send one command and wait for its answer.

        Raises:
            FleetError: the process ended instead of answering.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
            raise FleetError(f"device {self.name} stopped while doing {do!r}; the end of {self.log}:\n{tail}")
        answer: Answer = json.loads(line)
        return answer


class Fleet:
    """All processes of the demo; leaving the context ends every one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members.values():
            if kind is None and member.process.poll() is None:
                member.ask("stop")
            else:
                member.process.kill()
        for member in self.members.values():
            member.process.wait(timeout=30)
            for pipe in (member.process.stdin, member.process.stdout):
                if pipe is not None:
                    pipe.close()

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start `python -m module arguments…`; its stderr goes to a log file."""
        log = self._folder / f"{name}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.members[name] = Member(name, process, log)

    def ask_all(self, do: str, arguments: Callable[[str], Mapping[str, object]] = lambda _: {}) -> dict[str, Answer]:
        """Ask every process at once, and return the answers by name."""
        return self.ask_some(self.members, do, arguments)

    def ask_some(
        self, names: Iterable[str], do: str, arguments: Callable[[str], Mapping[str, object]] = lambda _: {}
    ) -> dict[str, Answer]:
        """Ask some processes at once, and return the answers by name."""
        chosen = list(names)
        with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
            answers = pool.map(lambda name: self.members[name].ask(do, **arguments(name)), chosen)
            return dict(zip(chosen, answers, strict=True))

    def wait_for_records(self, count: int, timeout_s: float, progress: Callable[[int, int], None]) -> float:
        """Wait until every process holds `count` records; return the seconds it took.

        Raises:
            FleetError: they do not within `timeout_s`.
        """
        began = time.perf_counter()
        while True:
            held = {name: answer["records"] for name, answer in self.ask_all("status").items()}
            progress(sum(min(n, count) for n in held.values()), count * len(held))
            took = time.perf_counter() - began
            if all(n >= count for n in held.values()):
                return took
            if took > timeout_s:
                raise FleetError(f"after {took:.0f} s the devices hold {held} of {count} records; see their logs")
            time.sleep(0.1)
