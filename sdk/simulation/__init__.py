"""Thousands of peers in one process: the same sdk, p2p and trust code on a virtual clock, under attack.

`run_scenario` runs a scenario into a folder; `meritrec simulate` does the same from a shell. See docs/simulation.md.
"""

from sdk.simulation.errors import DataMissing, RunInvalid, ScenarioInvalid, SimulationError
from sdk.simulation.results import Moment, Result
from sdk.simulation.run import RunSettings, run_scenario
from sdk.simulation.scenario import Scenario
from sdk.simulation.scenario_file import load_scenario, parse_scenario, shipped_scenarios

__all__ = [
    "DataMissing",
    "Moment",
    "Result",
    "RunInvalid",
    "RunSettings",
    "Scenario",
    "ScenarioInvalid",
    "SimulationError",
    "load_scenario",
    "parse_scenario",
    "run_scenario",
    "shipped_scenarios",
]
