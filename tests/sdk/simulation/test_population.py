"""Populations: bounds of records, hidden likes apart, and data files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.simulation.edges import Edges
from sdk.simulation.errors import DataMissing
from sdk.simulation.population import MOST_FRIENDS, MOST_LIKES, Population, make_population
from sdk.simulation.scenario import PopulationConfig


def _sound(people: Population) -> None:
    for edges, most, targets in (
        (people.trust, MOST_FRIENDS, people.people),
        (people.likes, MOST_LIKES, people.items),
        (people.hidden, people.items, people.items),
    ):
        lengths = np.diff(edges.bounds)
        assert len(edges) == people.people
        assert lengths.max(initial=0) <= most
        assert edges.targets.max(initial=0) < targets
        assert set(edges.levels.tolist()) <= {1, 2, 3}
        rows = [edges.row(person)[0].tolist() for person in range(people.people)]
        assert all(row == sorted(set(row)) for row in rows)
    assert not (people.trust.sources() == people.trust.targets).any()
    for person in range(people.people):
        assert not set(people.likes.row(person)[0].tolist()) & set(people.hidden.row(person)[0].tolist())


@given(
    st.integers(2, 40), st.integers(1, 60), st.floats(0.5, 32), st.floats(1, 64), st.floats(0, 1), st.floats(0, 3),
    st.floats(0, 0.9), st.integers(0, 5),
)  # fmt: skip
def test_made_up_people_fit_into_records(
    peers: int, items: int, friends: float, likes: float, locality: float, zipf: float, hidden: float, seed: int
) -> None:
    config = PopulationConfig(
        peers=peers, items=items, groups=min(3, peers), friends=friends, likes=likes, locality=locality, zipf=zipf,
        hidden=hidden,
    )  # fmt: skip
    people = make_population(config, seed, Path())
    _sound(people)
    again = make_population(config, seed, Path())
    assert np.array_equal(people.trust.targets, again.trust.targets)
    assert np.array_equal(people.likes.targets, again.likes.targets)
    drifted = people.drifted(0.5, np.random.default_rng(0))
    assert np.diff(drifted.likes.bounds).max(initial=0) <= MOST_LIKES


def test_means_and_groups_are_what_was_asked_for() -> None:
    config = PopulationConfig(peers=2_000, items=5_000, groups=10, friends=8, likes=20, hidden=0.2)
    people = make_population(config, 0, Path())
    assert len(people.trust.targets) / 2_000 == pytest.approx(8, rel=0.15)
    assert len(people.likes.targets) / 2_000 == pytest.approx(20, rel=0.15)
    assert len(people.hidden.targets) / len(people.likes.targets) == pytest.approx(0.25, rel=0.15)
    same = people.trust.sources() // 200 == people.trust.targets // 200
    assert same.mean() == pytest.approx(0.9, abs=0.03)


def test_drift_follows_friends() -> None:
    people = make_population(PopulationConfig(peers=50, items=300, groups=2), 0, Path())
    assert people.drifted(0.0, np.random.default_rng(0)) is people
    later = people.drifted(1.0, np.random.default_rng(0))
    for person in range(50):
        friends = people.trust.row(person)[0].tolist()
        liked = {item for friend in friends for item in people.likes.row(friend)[0].tolist()}
        assert set(later.likes.row(person)[0].tolist()) <= liked or not friends


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(1, 3)), max_size=30), st.integers(1, 3))
def test_rows_of_pairs(pairs: list[tuple[int, int, int]], most: int) -> None:
    source, target, level = (np.array(column, np.int64) for column in zip(*pairs, strict=True)) if pairs else (
        np.zeros(0, np.int64),
    ) * 3  # fmt: skip
    edges = Edges.of_pairs(source, target, level, 5, most=most)
    for row in range(5):
        first: dict[int, int] = {}
        for s, t, stated in pairs:
            if s == row:
                first.setdefault(t, stated)
        kept = dict(list(first.items())[:most])
        assert dict(zip(*(column.tolist() for column in edges.row(row)), strict=True)) == kept


LASTFM = "userID\tartistID\tweight\n1\t10\t5\n1\t11\t9\n2\t10\t1\n2\t12\t3\n3\t11\t2\n"
FRIENDS = "1\t2\n2\t1\n2\t3\n3\t9\n"


def _lastfm(folder: Path, plays: str = LASTFM, friends: str = FRIENDS) -> PopulationConfig:
    (folder / "user_artists.dat").write_text(plays)
    (folder / "user_friends.dat").write_text(friends)
    return PopulationConfig(source="lastfm", data=".", hidden=0.0)


def test_listening_and_friendships_are_read(tmp_path: Path) -> None:
    people = make_population(_lastfm(tmp_path), 0, tmp_path)
    _sound(people)
    assert (people.people, people.items) == (3, 3)
    assert people.trust.row(1)[0].tolist() == [0, 2]
    assert people.trust.row(2)[0].tolist() == []  # a friend who listens to nothing is nobody here
    assert people.likes.row(0)[1].tolist() == [2, 3]  # the more plays, the higher the level


def test_ratings_are_read(tmp_path: Path) -> None:
    rows = [f"{user}\t{item}\t{rating}\t0" for user in range(12) for item, rating in ((user % 3, 5), (7, 4), (8, 2))]
    (tmp_path / "u.data").write_text("\n".join(rows))
    people = make_population(PopulationConfig(source="movielens", data=".", hidden=0.0), 0, tmp_path)
    _sound(people)
    assert (people.people, people.items) == (12, 4)  # a rating of 2 is no like


@pytest.mark.parametrize(
    ("plays", "said"),
    [
        ("1\tx\t3\n1\ty\t3\n", "line 2"),
        ("1\t2\t3\n1\n", "expected 3 columns"),
        ("1\t2\t1e400\n1\t2\t1e400\n", "line 2"),
        ("a\tb\tc\n", "two at least"),
    ],
)
def test_damaged_data_is_named(tmp_path: Path, plays: str, said: str) -> None:
    with pytest.raises(DataMissing, match=said):
        make_population(_lastfm(tmp_path, plays), 0, tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    config = _lastfm(tmp_path)
    (tmp_path / "user_artists.dat").write_bytes(b"1\t2\t\xff\n")
    with pytest.raises(DataMissing, match="cannot be read"):
        make_population(config, 0, tmp_path)
