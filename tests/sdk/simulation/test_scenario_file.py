"""Scenarios: everything shipped loads; every mistake is named, with its line, at once."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.simulation.errors import Mistake, ScenarioInvalid
from sdk.simulation.scenario import Scenario
from sdk.simulation.scenario_file import SHIPPED, load_scenario, parse_scenario, shipped_scenarios
from sdk.simulation.toml_lines import Lines


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_is_shipped_loads(name: str) -> None:
    scenario = parse_scenario((SHIPPED / f"{name}.toml").read_text(), name)
    assert scenario.text.endswith((".", "?"))
    assert scenario.name


def test_the_attacks_of_the_battery_are_shipped() -> None:
    kinds = {
        (attack.kind, attack.wiring)
        for name in shipped_scenarios()
        for attack in parse_scenario((SHIPPED / f"{name}.toml").read_text()).attacks
    }
    assert {("sybil", wiring) for wiring in ("parallel", "chain", "cycle", "clique")} <= kinds
    rest = "popular-item-hijack slow-farmer hijacked-friend whitewasher equivocator flooder eclipse profile-pollution"
    assert {kind for kind, _ in kinds} >= set(rest.split())


def test_nothing_at_all_is_a_scenario() -> None:
    assert parse_scenario("") == Scenario()


MISTAKEN = """\
nam = "x"
seed = -1
days = true
[population]
peers = 1.5
groups = 400
[network]
latency_ms = [
  500.0,
  20.0,
]
loss = 2
[[network.partitions]]
start_h = 99
[[attacks]]
kind = "sybl"
[[attacks]]
start_day = "soon"
[sharing]
items = 0.9
network = 0.8
[trust]
alpha = [0.1]
"""


def test_all_mistakes_are_told_with_their_lines() -> None:
    with pytest.raises(ScenarioInvalid) as caught:
        parse_scenario(MISTAKEN, "mine.toml")
    found = {mistake.line: mistake.text for mistake in caught.value.mistakes}
    assert list(found) == [1, 2, 3, 5, 8, 12, 16, 18, 20, 23]
    assert "did you mean 'name'" in found[1]
    assert "whole number, not True" in found[3]
    assert "least latency" in found[8]
    assert "between 0 and 0.9" in found[12]
    assert "one of sybil" in found[16]
    assert "exceed 1" in found[20]
    assert str(caught.value).startswith("mine.toml holds 10 mistakes:\n  line 1:")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[population]\npeers = 10\ngroups = 20", 3, "20 groups of 10 people"),
        ('[population]\ndata = "here"', 2, "reads no data"),
        ("days = 1\n[network]\narrive_h = 24.0", 3, "ends after 24"),
        ("[[network.partitions]]\nstart_h = 25.0", 2, "has ended"),
        ("[[attacks]]\n\n[[attacks]]\nstart_day = 1", 4, "days count from 0"),
        ('fidelity = "rank"\n[network]\nloss = 0.1', 2, "sends no messages"),
        ("[population]\npeers = 50000", 2, 'fidelity = "rank"'),
        ("population = 3", 1, "is a table"),
        ("[[population]]\npeers = 3", 1, "is a table"),
        ("attacks = 3", 1, "is a list"),
        ("attacks = [3]", 1, "is a table"),
        ("[network]\nlatency_ms = [1.0]", 2, "2 numbers"),
        ("name = 3", 1, "is a text"),
        ("[trust]\nalpha = nan", 2, "between"),
    ],
)
def test_contradictions_and_odd_types(text: str, line: int, said: str) -> None:
    with pytest.raises(ScenarioInvalid, match=said) as caught:
        parse_scenario(text)
    assert [mistake.line for mistake in caught.value.mistakes] == [line]


def test_what_is_not_toml_is_said_with_its_place() -> None:
    with pytest.raises(ScenarioInvalid, match="at line 2"):
        parse_scenario("name = 'x'\n[network\n")


@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_refused_by_name(text: str) -> None:
    with suppress(ScenarioInvalid):
        assert isinstance(parse_scenario(text), Scenario)


@given(st.lists(st.sampled_from(MISTAKEN.splitlines()), max_size=30))
def test_any_order_of_lines_is_read_or_refused_by_name(lines: list[str]) -> None:
    mistakes: tuple[Mistake, ...] = ()
    try:
        parse_scenario("\n".join(lines))
    except ScenarioInvalid as error:
        mistakes = error.mistakes
    assert all(0 <= mistake.line <= len(lines) for mistake in mistakes)


@given(st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), min_size=1)))
def test_lines_of_keys_are_found(tables: dict[str, dict[str, int]]) -> None:
    written: list[str] = []
    wanted = {}
    for table, keys in tables.items():
        written += [f"[{table}]", 'text = """', "x = 1", '"""']
        for key, value in keys.items():
            written.append(f"{key} = {value}  # {key} = 5")
            wanted[table, key] = len(written)
    text = "\n".join(written)
    tomllib.loads(text)
    lines = Lines(text)
    assert {place: lines.of(place) for place in wanted} == wanted


def test_data_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[population]\nsource = "lastfm"\n')
    monkeypatch.delenv("MERITREC_DATA", raising=False)
    with pytest.raises(ScenarioInvalid, match="MERITREC_DATA"):
        load_scenario(path)
    monkeypatch.setenv("MERITREC_DATA", str(tmp_path))
    with pytest.raises(ScenarioInvalid, match="hetrec-lastfm is not there"):
        load_scenario(path)


def test_a_file_that_is_not_there_names_what_is_shipped() -> None:
    with pytest.raises(ScenarioInvalid, match="sybil-clique"):
        load_scenario("no-such-scenario")


def test_a_run_in_a_folder_of_its_name_does_not_hide_a_shipped_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "siege").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_scenario("siege")[0].name == "siege"
