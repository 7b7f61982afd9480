"""Runs: every shipped scenario at small size, folders, reports, and the commands."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from sdk.cli import EXIT_INTERRUPTED, main
from sdk.simulation import command
from sdk.simulation import run as run_module
from sdk.simulation.errors import RunInvalid
from sdk.simulation.results import Result
from sdk.simulation.run import RunSettings, run_scenario
from sdk.simulation.scenario import Scenario
from sdk.simulation.scenario_file import SHIPPED, parse_scenario, shipped_scenarios
from tests.sdk.simulation.conftest import small

TINY = """\
name = "tiny <b>"
text = "A try."
seed = 3
[population]
peers = 16
groups = 2
items = 80
[network]
tick_s = 600.0
[trust]
walks = 300
[measure]
every_h = 12.0
egos = 5
alphas = [0.1, 0.3]
betas = [0.0, 0.8]
[[attacks]]
share = 0.2
fooled = 0.2
"""


def _quiet(done: float, doing: str) -> None:
    assert 0.0 <= done <= 1.0
    assert doing


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets of a dozen people, where scenarios look for them."""
    lastfm, movies = tmp_path / "hetrec-lastfm", tmp_path / "ml-100k"
    lastfm.mkdir()
    movies.mkdir()
    plays = [f"{user}\t{(user + step) % 20}\t{step + 1}" for user in range(12) for step in range(8)]
    (lastfm / "user_artists.dat").write_text("userID\tartistID\tweight\n" + "\n".join(plays))
    (lastfm / "user_friends.dat").write_text("\n".join(f"{user}\t{(user + 1) % 12}" for user in range(12)))
    rated = [f"{user}\t{(user + step) % 20}\t5\t0" for user in range(12) for step in range(8)]
    (movies / "u.data").write_text("\n".join(rated))
    monkeypatch.setenv("MERITREC_DATA", str(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_runs_small(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def smaller(source: object) -> tuple[Scenario, str]:
        text = (SHIPPED / f"{name}.toml").read_text()
        return small(parse_scenario(text)), text

    monkeypatch.setattr(run_module, "load_scenario", smaller)
    result = run_scenario(name, tmp_path / "run", RunSettings(), _quiet)
    end = result.moments()[-1]
    assert end.hour == 24.0 * parse_scenario(result.scenario).days
    assert 0.0 <= end.spam <= 1.0
    assert (tmp_path / "run" / "report.html").read_text().count("<svg") >= 1


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


class Page(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        assert tag not in ("script", "link", "iframe", "img")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_run_leaves_tables_and_a_page(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run_scenario(scenario, out, RunSettings(), _quiet)
    assert pl.read_parquet(out / "verdicts.parquet").height == len(result.verdicts) == 10
    assert pl.read_parquet(out / "traffic.parquet").height == 32
    assert pl.read_parquet(out / "sweep.parquet").height == 4
    page = Page((out / "report.html").read_text())
    assert page.fetched == []
    for said in ("tiny <b>", "A try.", "sybil", "numpy", "alphas = [0.1, 0.3]", "NDCG is best at alpha", "KB in"):
        assert said in page.text
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run_scenario(scenario, out, RunSettings(), _quiet)  # finished: nothing is simulated again
    run_scenario(scenario, out, RunSettings(fresh=True), _quiet)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_interrupted_run_goes_on(scenario: Path, tmp_path: Path) -> None:
    def stop(done: float, doing: str) -> None:
        if 0.3 < done < 0.9:
            raise KeyboardInterrupt

    for fidelity in ("protocol", "rank"):
        text = TINY if fidelity == "protocol" else TINY.replace("[network]\ntick_s = 600.0\n", "")
        scenario.write_text(text.replace("seed = 3", f'seed = 3\nfidelity = "{fidelity}"'))
        whole = run_scenario(scenario, tmp_path / f"{fidelity}-whole", RunSettings(), _quiet)
        with pytest.raises(KeyboardInterrupt):
            run_scenario(scenario, tmp_path / fidelity, RunSettings(), stop)
        assert not (tmp_path / fidelity / "result.json").exists()
        assert run_scenario(scenario, tmp_path / fidelity, RunSettings(), _quiet) == whole


def test_folders_of_other_things_are_left_alone(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(RunInvalid, match="other things"):
        run_scenario(scenario, out, RunSettings(fresh=True), _quiet)
    assert (out / "mine.txt").read_text() == "mine"
    with pytest.raises(RunInvalid, match="is a file"):
        run_scenario(scenario, out / "mine.txt", RunSettings(), _quiet)
    run_scenario(scenario, tmp_path / "other", RunSettings(), _quiet)
    scenario.write_text(TINY.replace("seed = 3", "seed = 4"))
    with pytest.raises(RunInvalid, match="another scenario"):
        run_scenario(scenario, tmp_path / "other", RunSettings(), _quiet)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 1}', b'{"format": 1, "verdicts": [{"x": 1}]}'])
def test_a_damaged_result_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(RunInvalid, match="damaged"):
        Result.load(tmp_path / "result.json")


def test_a_damaged_checkpoint_is_named(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "scenario.toml").write_text(TINY)
    (out / "checkpoint").write_bytes(b"x" * 100)
    with pytest.raises(RunInvalid, match="--fresh"):
        run_scenario(scenario, out, RunSettings(), _quiet)


def test_the_commands(scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "a")
    assert main(["simulate", str(scenario), "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"] == "tiny <b>"
    scenario.write_text(TINY.replace("fooled = 0.2", "fooled = 0.5"))
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "b")]) == 0
    assert "largest gain (bound)" in capsys.readouterr().out
    page = tmp_path / "both.html"
    assert main(["compare", out, str(tmp_path / "b"), "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "spam shown" in said
    assert f"tiny <b> ({out})  tiny <b> ({tmp_path / 'b'})" in said  # the same name: told apart by their folders
    assert page.read_text().count("<h2>At the end</h2>") == 1
    assert main(["compare", out]) == 1
    assert main(["compare", out, str(tmp_path)]) == 1
    assert "holds no finished simulation" in capsys.readouterr().err
    assert main(["simulate"]) == 0
    assert "sybil-clique" in capsys.readouterr().out
    assert main(["simulate", "quiet", "--show"]) == 0
    assert parse_scenario(capsys.readouterr().out).name == "quiet network"
    scenario.write_text("sed = 3\ndays = 0\n")
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "c")]) == 1
    said = capsys.readouterr().err
    assert "line 1: unknown key 'sed'" in said
    assert "line 2: days lies between" in said
    assert not (tmp_path / "c").exists()


def test_a_stopped_command_says_how_to_go_on(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_scenario", stopped)
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "run")]) == EXIT_INTERRUPTED
    assert f"the same command goes on with what is in {tmp_path / 'run'}" in capsys.readouterr().err
