"""What attackers learn from records: nothing where nothing is told, no more than ε allows where answers are random."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lastfm import DataMissing
from benchmarks.privacy import Row, leaks, main
from benchmarks.privacy_game import Games, attack, publish, roc
from benchmarks.privacy_people import find_population, made_people
from sdk.randomised_response import RandomisedResponse, advantage_bound

EPSILONS = (1.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    people = made_people(seed=3, count=120, items=300, groups=6)
    return {row.policy: row for row in leaks(people, persons=80, targets=15, days=6, epsilons=EPSILONS, seed=5)}


@pytest.mark.parametrize("policy", ["private", "the same, targets denied"])
def test_what_is_never_told_cannot_be_guessed(rows: dict[str, Row], policy: str) -> None:
    leak = rows[policy].leak
    assert leak.games == 1_200
    assert abs(leak.advantage) <= 4 / np.sqrt(leak.games)
    assert leak.auc == pytest.approx(0.5, abs=4 / np.sqrt(leak.games))


def test_items_that_are_told_as_they_are_are_known(rows: dict[str, Row]) -> None:
    assert rows["items as they are"].leak.advantage > 0.9


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_under_epsilon_no_attacker_gains_more_than_the_bound(rows: dict[str, Row], epsilon: float) -> None:
    row = rows[f"items, ε = {epsilon:g}"]
    # What one answer can give away is tighter still than what ε allows.
    assert row.leak.advantage <= RandomisedResponse(epsilon).advantage + 3 * row.leak.error
    assert RandomisedResponse(epsilon).advantage <= row.advantage_bound == advantage_bound(epsilon)


def test_fresh_or_repeated_answers_tell_more_than_the_bound_allows_one(rows: dict[str, Row]) -> None:
    most = RandomisedResponse(2.0).advantage
    kept = rows["items, ε = 2"].leak
    fresh, fixed = (rows[f"never do: {how} coins, ε = 2"].leak for how in ("fresh", "fixed"))
    assert kept.advantage < min(fresh.advantage, fixed.advantage)
    assert fresh.advantage > most + 2 * fresh.error  # asked anew every time, the noise averages out
    assert fixed.true_positive > rows["items, ε = 2"].true_positive_bound  # type: ignore[operator]


def test_the_game_is_played_with_what_devices_publish(rows: dict[str, Row]) -> None:
    """Guard against a game that leaves out the code it is about."""
    assert publish.__module__ == "benchmarks.privacy_game"
    assert rows["items, ε = 4"].leak.advantage > 0


def test_the_attacker_is_measured_right() -> None:
    shadow = Games([(True,)] * 8 + [(False,)] * 8, np.array([True] * 6 + [False] * 2 + [True] * 2 + [False] * 6))
    leak = attack(shadow, shadow)
    assert leak.advantage == pytest.approx(6 / 8 - 2 / 8)
    assert leak.auc == pytest.approx(0.5 * (0.25 * 0.75) + 0.75 * (1 + 0.75) / 2)
    assert leak.true_positive == pytest.approx(0.01 * 0.75 / 0.25)
    fpr, tpr = roc(np.array([2.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False]))
    assert (fpr.tolist(), tpr.tolist()) == ([0, 0, 0.5, 1], [0, 0.5, 1, 1])


def test_the_command_prints_numbers_for_any_population(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "filmtrust"
    folder.mkdir()
    rng = np.random.default_rng(0)
    ratings = [f"{u} {film} {rng.integers(1, 9) / 2}" for u in range(30) for film in rng.permutation(40)[:25]]
    (folder / "ratings.txt").write_text("\n".join(ratings))
    trust = {f"{u} {v} 1" for u in range(30) for v in rng.integers(0, 30, 4) if u != v}
    (folder / "trust.txt").write_text("\n".join(sorted(trust)))
    figures = tmp_path / "figures.json"
    small = ["--people", "6", "--targets", "4", "--records", "2", "--roots", "5", "--epsilon", "2"]
    monkeypatch.setattr(sys, "argv", ["privacy", "--data", str(tmp_path), *small, "--json", str(figures)])
    main()
    shown = capsys.readouterr().out
    assert "FilmTrust" in shown
    assert "items, ε = 2" in shown
    assert figures.stat().st_size > 500
    with pytest.raises(DataMissing, match="FilmTrust"):
        find_population(str(tmp_path / "nowhere"), 0)
