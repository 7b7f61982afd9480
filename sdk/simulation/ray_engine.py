"""Communities as actors of Ray, on as many machines as its cluster has (extra `sim`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sdk.simulation.engines import Communities, _Several
from sdk.simulation.errors import SimulationError
from sdk.simulation.scenario import Scenario


class RayActors(_Several):
    """One actor for each community.

    Args:
        scenario: which.
        beside: the folder that relative paths of data begin at, on every machine.
        snapshots: communities to go on with.
        address: of a running cluster; one is started on this machine when None.

    Raises:
        SimulationError: Ray is not installed, or its cluster cannot be reached.
    """

    def __init__(
        self,
        scenario: Scenario,
        beside: Path,
        snapshots: Sequence[bytes] | None = None,
        address: str | None = None,
    ) -> None:
        super().__init__([[number] for number in range(scenario.network.communities)])
        try:
            import ray
        except ImportError as error:
            raise SimulationError("Ray is not installed; `pip install 'meritrec[sim]'`, or use processes") from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            try:
                ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise SimulationError(f"Ray's cluster cannot be used: {error}") from error
        remote = ray.remote(num_cpus=1)(Communities)
        self._actors = [
            remote.remote(scenario, beside, part, None if snapshots is None else [snapshots[n] for n in part])
            for part in self._parts
        ]

    def _ask(self, worker: int, name: str, *arguments: Any) -> Callable[[], Any]:
        reference = getattr(self._actors[worker], name).remote(*arguments)
        return lambda: self._answer(reference)

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error
        except self._ray.exceptions.RayError as error:
            raise SimulationError(
                f"an actor of the simulation ended: {error}; run the same command to go on"
            ) from error

    def close(self) -> None:
        """End every actor, and Ray if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()
