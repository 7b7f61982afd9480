"""The course of a scenario: the world of every day, the same wherever it is worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sdk.simulation.adversaries import Adversaries
from sdk.simulation.population import make_population
from sdk.simulation.scenario import Scenario
from sdk.simulation.world import World

POLICIES = ("private", "items", "network")


class Course:
    """The worlds of a scenario, in order.

    Args:
        scenario: which.
        beside: the folder that relative paths of data begin at.

    Raises:
        DataMissing: the data that it names is not there.
    """

    def __init__(self, scenario: Scenario, beside: Path) -> None:
        self.scenario, self.beside = scenario, str(beside)  # a checkpoint holds no paths
        self._people = make_population(scenario.population, scenario.seed, beside)
        self.adversaries = Adversaries(scenario, self._people)
        self._day = -1
        rng = np.random.default_rng((scenario.seed, 5))
        drawn = rng.random(self._people.people)
        sharing = scenario.sharing
        named = np.where(drawn < sharing.items, 1, np.where(drawn < sharing.items + sharing.network, 2, 0))
        self.policies = [POLICIES[number] for number in named.tolist()]
        self.egos = np.sort(rng.permutation(self._people.people)[: scenario.measure.egos])

    @property
    def origin(self) -> str:
        """Where the people come from, in words."""
        return self._people.origin

    @property
    def authors(self) -> int:
        """Honest people and attackers' identities."""
        return self._people.people + self.adversaries.identities

    @property
    def items(self) -> int:
        """Items, spam included."""
        return self._people.items + len(self.adversaries.spam)

    @property
    def people(self) -> int:
        """Honest people."""
        return self._people.people

    def world(self, day: int) -> World:
        """Return the world of a day; days are asked for in order."""
        assert day >= self._day
        while self._day < day:
            self._day += 1
            if self._day:
                rng = np.random.default_rng((self.scenario.seed, 4, self._day))
                self._people = self._people.drifted(self.scenario.population.drift, rng)
        return World(day, self._people, self.adversaries.on(day, self._people))
