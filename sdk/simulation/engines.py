"""Who runs the communities: this process, several processes, or actors of Ray on several machines."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sdk.simulation.community import Community, Traffic
from sdk.simulation.errors import RunInvalid, SimulationError
from sdk.simulation.judge import Verdict
from sdk.simulation.scenario import Scenario
from sdk.simulation.shard import Event
from sdk.simulation.snapshots import read_snapshot

_SELDOM = (200_000, 50, 50)
Outcome = tuple[list[Event], float]
Look = tuple[list[Verdict], list[Traffic]]


class Communities:
    """Some communities of a scenario, in one process.

    Args:
        scenario: which.
        beside: the folder that relative paths of data begin at.
        numbers: of the communities.
        snapshots: of these communities, to go on with; made anew when None.

    Raises:
        RunInvalid: a snapshot is damaged.
        DataMissing: see `Course`.
    """

    def __init__(
        self, scenario: Scenario, beside: Path, numbers: Sequence[int], snapshots: Sequence[bytes] | None = None
    ) -> None:
        if snapshots is None:
            self._communities = [Community(scenario, beside, number) for number in numbers]
        else:
            self._communities = [_restored(snapshot) for snapshot in snapshots]

    def begin_day(self, day: int) -> None:
        """See `Workers`."""
        for community in self._communities:
            community.begin_day(day)

    def run(self, until: float, events: Sequence[Sequence[Event]], earliest: float) -> list[Outcome]:
        """See `Workers`."""
        pairs = zip(self._communities, events, strict=True)
        with _seldom_collected():
            return [community.run(until, waiting, earliest) for community, waiting in pairs]

    def look(self, hour: float) -> list[Look]:
        """See `Workers`."""
        return [community.look(hour) for community in self._communities]

    def snapshot(self) -> list[bytes]:
        """See `Workers`."""
        return [pickle.dumps(community, pickle.HIGHEST_PROTOCOL) for community in self._communities]

    def home(self) -> Sequence[int]:
        """See `Workers`."""
        return self._communities[0].home

    def close(self) -> None:
        """See `Workers`; nothing to end."""


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Look for garbage in cycles seldom: a run keeps millions of objects and makes hardly a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _restored(snapshot: bytes) -> Community:
    community = read_snapshot(snapshot)
    if not isinstance(community, Community):
        raise RunInvalid("a checkpoint holds something else than a community; remove the run's folder and begin again")
    return community


def one_process(scenario: Scenario, beside: Path, snapshots: Sequence[bytes] | None = None) -> Communities:
    """Return workers that run everything here."""
    return Communities(scenario, beside, range(scenario.network.communities), snapshots)


class _Several:
    """Workers in several places, each with some of the communities; answers are put back in order.

    Args:
        parts: numbers of communities by worker.
    """

    def __init__(self, parts: Sequence[Sequence[int]]) -> None:
        self._parts = [list(part) for part in parts]

    def _ask(self, worker: int, name: str, *arguments: Any) -> Callable[[], Any]:
        """Begin a call and return what waits for its answer."""
        raise NotImplementedError

    def _everywhere(self, name: str, *arguments: Any) -> list[Any]:
        waiting = [self._ask(worker, name, *arguments) for worker in range(len(self._parts))]
        return self._in_order([answer() for answer in waiting])

    def _in_order(self, answers: Sequence[Any]) -> list[Any]:
        found: dict[int, Any] = {}
        for part, answer in zip(self._parts, answers, strict=True):
            found |= dict(zip(part, answer or [None] * len(part), strict=True))
        return [found[number] for number in range(len(found))]

    def begin_day(self, day: int) -> None:
        """See `Workers`."""
        self._everywhere("begin_day", day)

    def run(self, until: float, events: Sequence[Sequence[Event]], earliest: float) -> list[Outcome]:
        """See `Workers`."""
        waiting = [
            self._ask(worker, "run", until, [events[number] for number in part], earliest)
            for worker, part in enumerate(self._parts)
        ]
        return self._in_order([answer() for answer in waiting])

    def look(self, hour: float) -> list[Look]:
        """See `Workers`."""
        return self._everywhere("look", hour)

    def snapshot(self) -> list[bytes]:
        """See `Workers`."""
        return self._everywhere("snapshot")

    def home(self) -> Sequence[int]:
        """See `Workers`."""
        home: Sequence[int] = self._ask(0, "home")()
        return home


class ProcessPool(_Several):
    """Communities spread over processes of this machine.

    Args:
        scenario: which.
        beside: the folder that relative paths of data begin at.
        processes: how many; no more than there are communities.
        snapshots: communities to go on with.

    Raises:
        SimulationError: a process failed or was killed.
    """

    def __init__(
        self, scenario: Scenario, beside: Path, processes: int, snapshots: Sequence[bytes] | None = None
    ) -> None:
        super().__init__(_spread(scenario.network.communities, processes))
        context = get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for part in self._parts:
            mine, theirs = context.Pipe()
            kept = None if snapshots is None else [snapshots[number] for number in part]
            process = context.Process(target=_serve, args=(theirs, scenario, beside, part, kept), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)
        for worker in range(len(self._parts)):
            self._answer(worker)  # each says when it is ready

    def _ask(self, worker: int, name: str, *arguments: Any) -> Callable[[], Any]:
        try:
            self._pipes[worker].send((name, arguments))
        except OSError as error:
            raise self._died(worker) from error
        return lambda: self._answer(worker)

    def _answer(self, worker: int) -> Any:
        try:
            good, answer = self._pipes[worker].recv()
        except (EOFError, OSError) as error:
            raise self._died(worker) from error
        if not good:
            raise answer
        return answer

    def _died(self, worker: int) -> SimulationError:
        code = self._processes[worker].exitcode
        self.close()
        return SimulationError(
            f"a process of the simulation ended (exit code {code}), perhaps for lack of memory; run the same command "
            "to go on from the last checkpoint, with fewer processes"
        )

    def close(self) -> None:
        """End every process."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.terminate()


def _spread(communities: int, workers: int) -> list[list[int]]:
    count = max(1, min(workers, communities))
    return [list(range(communities))[worker::count] for worker in range(count)]


def _serve(
    pipe: Connection, scenario: Scenario, beside: Path, numbers: list[int], snapshots: list[bytes] | None
) -> None:
    """Run some communities for another process, until it closes the pipe."""
    try:
        communities = Communities(scenario, beside, numbers, snapshots)
        pipe.send((True, None))
        while True:
            name, arguments = pipe.recv()
            pipe.send((True, getattr(communities, name)(*arguments)))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:  # told to who asked, whatever it is
        pipe.send((False, error))
