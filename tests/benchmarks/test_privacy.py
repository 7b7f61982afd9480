"""What attackers learn from records: nothing where nothing is told, no more than ε allows where answers are random."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lastfm import DataMissing
from benchmarks.privacy import Row, leaks, main
from benchmarks.privacy_game import Games, PopularItems, attack, play, publish, publish_with_fresh_noise, roc
from benchmarks.privacy_people import find_population, made_people
from p2p import AdjacencyRecord, Identity, PeerId
from p2p.pseudonym import coin_secret
from sdk.item_opinion import ItemOpinion
from sdk.publisher import Private, Publisher
from sdk.randomised_response import RandomisedResponse, advantage_bound
from sdk.selection import OwnItems
from sdk.sharing import SharingLevel, SharingPolicy
from tests.sdk.test_selection import ITEMS, catalog_of

EPSILONS = (1.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    people = made_people(seed=3, count=120, items=300, groups=6)
    return {row.policy: row for row in leaks(people, persons=60, targets=20, days=6, epsilons=EPSILONS, seed=5)}


@pytest.mark.parametrize("policy", ["private", "the same, targets denied"])
def test_what_is_never_told_cannot_be_guessed(rows: dict[str, Row], policy: str) -> None:
    leak = rows[policy].leak
    assert leak.games == 1_200
    assert abs(leak.advantage) <= 4 / np.sqrt(leak.games)
    assert leak.auc == pytest.approx(0.5, abs=4 / np.sqrt(leak.games))


def test_items_that_are_told_as_they_are_are_known(rows: dict[str, Row]) -> None:
    assert rows["items as they are"].leak.advantage > 0.9


@pytest.mark.parametrize("history", ["", ", liked before"])
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_under_epsilon_no_attacker_gains_more_than_the_bound(
    rows: dict[str, Row], epsilon: float, history: str
) -> None:
    row = rows[f"items, ε = {epsilon:g}{history}"]
    # What one answer can give away is tighter still than what ε allows.
    assert row.leak.advantage <= RandomisedResponse(epsilon).advantage + 3 * row.leak.error
    assert RandomisedResponse(epsilon).advantage <= row.advantage_bound == advantage_bound(epsilon)


def test_fresh_or_repeated_answers_tell_more_than_the_bound_allows_one(rows: dict[str, Row]) -> None:
    """Asked anew every time, the noise averages out; with coins that stay, whatever turns up late must be true."""
    kept = rows["items, ε = 2"]
    fresh, fixed = (rows[f"never do: {how} coins, ε = 2"].leak for how in ("fresh", "fixed"))
    assert kept.true_positive_bound is not None
    assert fixed.true_positive > kept.true_positive_bound
    assert kept.leak.advantage + 5 * kept.leak.error < min(fresh.advantage, fixed.advantage)


def test_fresh_answers_tell_the_more_the_longer_one_publishes() -> None:
    people = made_people(seed=4, count=40, items=300, groups=6)
    policy, catalog = SharingPolicy(level=SharingLevel.ITEMS, epsilon=2.0, made_up=3), PopularItems(people.popular)
    days = range(20_000, 20_030)
    most = RandomisedResponse(2.0).advantage
    leak = {}
    for how in (publish, publish_with_fresh_noise):
        shadow, played = (play(policy, people.likes, catalog, people.popular[:20], days, seed, how) for seed in (1, 2))
        leak[how] = attack(_counted(shadow), _counted(played))
    assert leak[publish].advantage <= most + 3 * leak[publish].error
    assert leak[publish_with_fresh_noise].advantage > most + 3 * leak[publish_with_fresh_noise].error


def _counted(games: Games) -> Games:
    """Games in which the attacker counts the days, for there are too many patterns of thirty days to learn each."""
    return Games([(True,) * sum(pattern) for pattern in games.patterns], games.members)


@pytest.mark.parametrize("epsilon", [None, 1.0])
def test_the_game_is_played_with_what_devices_publish(epsilon: float | None, tmp_path: Path) -> None:
    """The game keeps answers in memory, a device in its log: the same secret and history give the same records."""
    policy = SharingPolicy(level=SharingLevel.ITEMS, epsilon=epsilon, made_up=10, new_per_epoch=3, max_items=9)
    likes = {f"i{n:02}": (2 + n % 2, 20_000 + n % 9 * 5) for n in range(0, 90, 4)}
    days = list(range(20_000, 20_060, 4))
    device, day, record = Identity.from_seed(bytes(32)), days[0], AdjacencyRecord(PeerId(bytes(32)), 1, 0, (), ())
    catalog = catalog_of(namespace="privacy")
    publisher = Publisher(tmp_path, device, "", catalog, policy, lambda: record, lambda: day * 86_400.0)
    made = []
    for version, day in enumerate(days, 2):
        now = [
            ItemOpinion(item, level, since, frozenset({2})) for item, (level, since) in likes.items() if since <= day
        ]
        own = OwnItems(sorted(now, key=lambda o: (-o.level, -o.day, o.item)), [opinion.item for opinion in now])
        _, content = publisher.next(Private(own))
        record = AdjacencyRecord(record.author, version, day * 86_400, (), content.edges[0])
        publisher.note(record, content)
        made.append({shared.item for shared in content.items})
    publisher.close()
    assert made == publish(policy, likes, days, PopularItems(ITEMS), coin_secret(device.private_bytes, ""))
    assert len(made[-1]) > len(made[0]) > 0


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
