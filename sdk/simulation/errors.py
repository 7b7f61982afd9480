"""What can be wrong with a simulation.

SDKError
└── SimulationError
    ├── ScenarioInvalid     the scenario holds mistakes; `mistakes` lists all of them, each with its line
    ├── DataMissing         a data set that the scenario names is not there, or is not what it should be
    └── RunInvalid          a run's folder is damaged, or belongs to another scenario
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdk.errors import SDKError


class SimulationError(SDKError):
    """Anything that a simulation refuses."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a scenario: the line (1-based, 0 where it has none) and what is wrong."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


class ScenarioInvalid(SimulationError):
    """A scenario holds mistakes.

    Attributes:
        mistakes: all that were found, in the order of their lines.
    """

    def __init__(self, name: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line))
        count = f"{len(self.mistakes)} mistakes" if len(self.mistakes) > 1 else "one mistake"
        super().__init__(f"{name} holds {count}:\n" + "\n".join(f"  {mistake}" for mistake in self.mistakes))


class DataMissing(SimulationError):
    """A data set is not there, or is not what it should be."""


class RunInvalid(SimulationError):
    """A run's folder is damaged, or belongs to another scenario."""
