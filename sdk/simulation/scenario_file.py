"""Scenarios from TOML: all mistakes at once, each with its line."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from sdk.simulation.errors import DataMissing, Mistake, ScenarioInvalid
from sdk.simulation.scenario import MAX_PROTOCOL_PEERS, NetworkConfig, PopulationConfig, Scenario
from sdk.simulation.toml_lines import Lines, Place

SHIPPED = Path(__file__).parent / "scenarios"
DATA_VARIABLE = "MERITREC_DATA"
_MAX_BYTES = 1 << 20
Config = TypeVar("Config")
_DATA_NAMES = {"lastfm": "hetrec-lastfm", "movielens": "ml-100k"}


def shipped_scenarios() -> list[str]:
    """Return the names of the scenarios that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_scenario(source: str | Path) -> tuple[Scenario, str]:
    """Read a scenario from a file, or a shipped one by its name.

    Returns:
        The scenario, and the text that it was read from.

    Raises:
        ScenarioInvalid: there is no such file, or it holds mistakes, data that is not there among them.
    """
    path = Path(source)
    if not path.suffix and not path.is_file():  # a folder of that name, a run of it perhaps, does not hide it
        path = SHIPPED / f"{source}.toml"
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise ScenarioInvalid(str(source), [Mistake(0, f"it is longer than {_MAX_BYTES} bytes")])
        text = raw.decode()
    except (FileNotFoundError, IsADirectoryError) as error:
        names = ", ".join(shipped_scenarios())
        raise ScenarioInvalid(
            str(source), [Mistake(0, f"there is no such file; shipped scenarios: {names}")]
        ) from error
    except UnicodeDecodeError as error:
        raise ScenarioInvalid(str(source), [Mistake(0, f"it is not UTF-8 ({error.reason})")]) from error
    return parse_scenario(text, path.name, path.parent), text


def parse_scenario(text: str, name: str = "scenario", beside: Path | None = None) -> Scenario:
    """Read a scenario from TOML text.

    Args:
        text: the scenario.
        name: for errors.
        beside: the folder that relative paths of data begin at; None does not look for the data.

    Raises:
        ScenarioInvalid: it holds mistakes.
    """
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioInvalid(name, [Mistake(0, f"it is not TOML: {error}")]) from error
    reader = _Reader(Lines(text))
    scenario = reader.read(Scenario, content, ())
    for places, mistake in _contradictions(scenario):
        if not reader.refused & {part for place in places for part in _prefixes(place)}:
            reader.refuse(places[0], mistake)
    if beside is not None and scenario.population.source != "generated":
        try:
            data_folder(scenario.population, beside)
        except DataMissing as error:
            reader.refuse(("population", "data" if scenario.population.data else "source"), str(error))
    if reader.mistakes:
        raise ScenarioInvalid(name, reader.mistakes)
    return scenario


def data_folder(population: PopulationConfig, beside: Path) -> Path:
    """Return the folder of a population's data.

    Raises:
        DataMissing: it is not there.
    """
    if population.data:
        folder = beside / population.data
    elif DATA_VARIABLE in os.environ:
        folder = Path(os.environ[DATA_VARIABLE]) / _DATA_NAMES[population.source]
    else:
        raise DataMissing(
            f"the scenario takes its people from {population.source} data; set `data` in [population], or "
            f"{DATA_VARIABLE} to a folder that holds {_DATA_NAMES[population.source]}"
        )
    if not folder.is_dir():
        raise DataMissing(f"{folder} is not there; the scenario takes its people from it")
    return folder


class _Refused(Exception):
    """A value could not be read; its mistake is noted."""


class _Reader:
    """Turns tables into dataclasses and notes what is wrong with them.

    Attributes:
        mistakes: what was noted.
        refused: places whose values were refused; the defaults stand there instead, so that reading can go on.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.mistakes: list[Mistake] = []
        self.refused: set[Place] = set()

    def read(self, kind: type[Config], table: Mapping[str, Any], place: Place) -> Config:
        """Return a `kind` of whatever in a table can be read."""
        known = {item.name: item for item in _config_fields(kind)}
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        for key, value in table.items():
            try:
                if key not in known:
                    raise self.refuse((*place, key), _unknown(key, known, place))
                values[key] = self._value(hints[key], known[key], value, (*place, key))
            except _Refused:
                continue
        return kind(**values)

    def refuse(self, place: Place, text: str) -> _Refused:
        """Note a mistake; the caller raises what is returned, or goes on."""
        self.mistakes.append(Mistake(self._lines.of(place), text))
        self.refused.add(place)
        return _Refused()

    def _value(self, hint: Any, item: Field[Any], value: Any, place: Place) -> Any:
        if is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise self.refuse(place, f"{_name(place)} is a table, not {_described(value)}")
            return self.read(cast("type[Any]", hint), value, place)
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise self.refuse(place, f"{place[-1]} is one of {', '.join(get_args(hint))}; got {value!r}")
            return value
        if get_origin(hint) is tuple:
            return self._sequence(get_args(hint), item, value, place)
        return self._plain(hint, item, value, place)

    def _sequence(self, kinds: tuple[Any, ...], item: Field[Any], value: Any, place: Place) -> Any:
        if not isinstance(value, list):
            raise self.refuse(place, f"{place[-1]} is a list, not {_described(value)}")
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            raise self.refuse(place, f"{place[-1]} holds {len(kinds)} numbers, got {len(value)}")
        return tuple(self._value(kinds[0], item, entry, (*place, number)) for number, entry in enumerate(value))

    def _plain(self, kind: type, item: Field[Any], value: Any, place: Place) -> Any:
        name = next(part for part in reversed(place) if isinstance(part, str))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[kind]
            raise self.refuse(place, f"{name} is {wanted}, not {_described(value)}")
        low, high = item.metadata.get("range", (None, None))
        if low is not None and not low <= value <= high:
            raise self.refuse(place, f"{name} lies between {low:g} and {high:g}; got {value}")
        return value


def _config_fields(kind: type) -> Iterator[Field[Any]]:
    assert is_dataclass(kind)
    yield from fields(kind)


def _name(place: Place) -> str:
    named = ".".join(str(part) if isinstance(part, str) else f"#{part + 1}" for part in place)
    return f"[{named}]" if named else "the scenario"


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else repr(value)


def _unknown(key: str, known: Mapping[str, Any], place: Place) -> str:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"unknown key {key!r} in {_name(place)}; {hint}"


def _prefixes(place: Place) -> Iterator[Place]:
    return (place[:length] for length in range(1, len(place) + 1))


def _contradictions(scenario: Scenario) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Yield what no single field shows: the places concerned, the first of which is blamed, and what is wrong."""
    population, sharing, network = scenario.population, scenario.sharing, scenario.network
    hours, days = 24 * scenario.days, ("days",)
    if sharing.items + sharing.network > 1.0:
        yield (("sharing", "items"), ("sharing", "network")), "items and network are shares of one whole; they exceed 1"
    if network.latency_ms[0] > network.latency_ms[1]:
        yield (("network", "latency_ms"),), "the least latency is above the most"
    if population.source == "generated":
        if population.groups > population.peers:
            places: tuple[Place, ...] = (("population", "groups"), ("population", "peers"))
            yield places, f"{population.groups} groups of {population.peers} people"
        if population.data:
            places = (("population", "data"), ("population", "source"))
            yield places, "a generated population reads no data; remove `data`, or say which `source` it is"
    if network.arrive_h >= hours:
        places = (("network", "arrive_h"), days)
        yield places, f"devices arrive over {network.arrive_h:g} hours, the simulation ends after {hours}"
    for number, partition in enumerate(network.partitions):
        if partition.start_h >= hours:
            places = (("network", "partitions", number, "start_h"), days)
            yield places, f"the partition begins when the simulation has ended, after {hours} hours"
    for number, attack in enumerate(scenario.attacks):
        if attack.start_day >= scenario.days:
            places = (("attacks", number, "start_day"), days)
            yield places, f"the attack begins on day {attack.start_day} of {scenario.days}; days count from 0"
    if scenario.fidelity == "rank" and network != NetworkConfig():
        yield (("network",), ("fidelity",)), "rank fidelity sends no messages; remove [network] or take protocol"
    if scenario.fidelity == "protocol" and population.peers > MAX_PROTOCOL_PEERS:
        yield (("population", "peers"),), f'more than {MAX_PROTOCOL_PEERS} peers need fidelity = "rank"'
