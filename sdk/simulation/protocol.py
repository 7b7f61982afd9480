"""Protocol fidelity: every message of every device, community by community, in steps that any engine can take.

The engine is whoever runs the communities: `Workers`. The order in which messages are handed over does not depend on
it, so one process, several, and several machines give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sdk.simulation.community import Traffic
from sdk.simulation.device import DAY_S
from sdk.simulation.judge import Verdict
from sdk.simulation.scenario import Scenario
from sdk.simulation.shard import START, Event

_STEP_S = 3600.0  # how long nobody is told how far it is
_FOREVER = float("inf")


class Workers(Protocol):
    """Runs all communities of a scenario."""

    def begin_day(self, day: int) -> None:
        """See `Community.begin_day`."""
        ...

    def run(self, until: float, events: Sequence[Sequence[Event]], earliest: float) -> list[tuple[list[Event], float]]:
        """See `Community.run`; by community."""
        ...

    def look(self, hour: float) -> list[tuple[list[Verdict], list[Traffic]]]:
        """See `Community.look`; by community."""
        ...

    def snapshot(self) -> list[bytes]:
        """Return every community as bytes."""
        ...

    def home(self) -> Sequence[int]:
        """Return the community of each device by number."""
        ...

    def close(self) -> None:
        """End every process."""
        ...


@dataclass(slots=True)
class Progress:
    """How far a simulation is; with the communities' snapshots enough to go on.

    Attributes:
        now: virtual Unix seconds.
        day: the day that began last; −1 before the first.
        looked: how many looks were taken.
        waiting: messages between communities that are not delivered yet.
        verdicts, traffic: of all looks so far.
    """

    now: float = START
    day: int = -1
    looked: int = 0
    waiting: list[list[Event]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)


def simulate(scenario: Scenario, workers: Workers, progress: Progress, told: Callable[[Progress], None]) -> Progress:
    """Run a scenario from where `progress` stands to its end.

    Args:
        scenario: which.
        workers: its communities, standing where `progress` does.
        progress: changed as time passes.
        told: called every virtual hour, between two steps; may raise to stop there.
    """
    home, end = workers.home(), START + scenario.days * DAY_S
    step = scenario.measure.every_h * 3600.0
    if not progress.waiting:
        progress.waiting = [[] for _ in range(scenario.network.communities)]
    while progress.now < end:
        day = int((progress.now - START) // DAY_S)
        if day != progress.day:
            workers.begin_day(day)
            progress.day = day
        look = START + (progress.looked + 1) * step
        until = min(end, look, START + (day + 1) * DAY_S, progress.now + _STEP_S)
        _advance(workers, progress, until, scenario, home)
        if progress.now >= look or progress.now >= end:
            hour = (progress.now - START) / 3600.0
            for verdicts, traffic in workers.look(hour):
                progress.verdicts += verdicts
                progress.traffic += traffic
            progress.verdicts.sort(key=lambda verdict: (verdict.hour, verdict.ego))
            progress.traffic.sort(key=lambda traffic: (traffic.hour, traffic.device))
            progress.looked += 1
        told(progress)
    return progress


def _advance(workers: Workers, progress: Progress, until: float, scenario: Scenario, home: Sequence[int]) -> None:
    """Let time pass in all communities, in batches where there are several; batches without any event are skipped."""
    batch = scenario.network.batch_s if scenario.network.communities > 1 else _FOREVER
    while progress.now < until:
        stop = until if batch == _FOREVER else min(until, _multiple_after(progress.now, batch))
        answers = workers.run(stop, progress.waiting, progress.now)
        progress.waiting = [[] for _ in answers]
        for outbox, _ in answers:
            for event in outbox:
                _, _, _, target, _, _ = event
                progress.waiting[home[target]].append(event)
        progress.now = stop
        following = min((at for _, at in answers), default=_FOREVER)
        if batch != _FOREVER and not any(progress.waiting) and following > stop + batch:
            progress.now = min(until, _multiple_after(following, batch) - batch)


def _multiple_after(now: float, batch: float) -> float:
    return START + (int((now - START) / batch) + 1) * batch
