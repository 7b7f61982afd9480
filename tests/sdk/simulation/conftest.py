"""Small scenarios that take seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sdk.simulation.scenario import (
    AttackConfig,
    MeasureConfig,
    NetworkConfig,
    PopulationConfig,
    Scenario,
    TrustConfig,
)

TINY = Scenario(
    name="tiny",
    seed=3,
    population=PopulationConfig(peers=16, groups=2, items=80),
    network=NetworkConfig(tick_s=600.0, communities=2),
    trust=TrustConfig(walks=300),
    measure=MeasureConfig(every_h=12.0, egos=5),
    attacks=(AttackConfig(share=0.2, fooled=0.2),),
)


@pytest.fixture
def tiny() -> Scenario:
    return TINY


def small(scenario: Scenario) -> Scenario:
    """A shipped scenario with so few people and so few walks that it takes seconds."""
    people = replace(scenario.population, peers=16, groups=2, items=80)
    measure = replace(scenario.measure, every_h=12.0, egos=4, alphas=(), betas=())
    network = scenario.network
    if scenario.fidelity == "protocol":
        network = replace(network, tick_s=600.0, arrive_h=min(network.arrive_h, 2.0))
    if scenario.population.source == "generated":
        scenario = replace(scenario, population=people)
    else:
        scenario = replace(scenario, population=replace(scenario.population, peers=40))
    return replace(scenario, measure=measure, network=network, trust=replace(scenario.trust, walks=200))
