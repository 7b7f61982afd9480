"""HetRec-2011 Last.FM as people with devices: what each listens to, in order of time, whose friend each is.

An artist with one listener can be recommended to nobody, so those are left out, of the lists and of the catalog; three
of them stay in the catalog as what attackers push. Listening is not dated, tagging is: an artist that a person tagged
has the day of the first tag, the others a day drawn between the person's first and last one.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lastfm import FRIENDS, PLAYS, read_rows

Ints = NDArray[np.int64]
SPAM_ARTISTS = 3
DAY_S = 86_400
_TAGS, _ARTISTS = "user_taggedartists_full.dat", "artists.dat"
_FEWEST_LISTENERS = 2
_HIDDEN_SHARE = 0.2
_SPAN = (int(datetime(2008, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2011, 5, 1, tzinfo=UTC).timestamp()))
ASKED_AT = _SPAN[1] + DAY_S
REGULAR = -1
"""The class of people of whom four fifths of the artists are known."""
CLASSES = (0, 1, 3, 5, REGULAR)


@dataclass(frozen=True, slots=True)
class Person:
    """One person; arrays are aligned and in order of time.

    Attributes:
        key: in the data set.
        artists: int64 [n], places in the catalog.
        levels: int64 [n], 1 to 3: in which third of the person's own play counts an artist is.
        times: int64 [n], Unix seconds.
        friends: keys of friends.
    """

    key: int
    artists: Ints
    levels: Ints
    times: Ints
    friends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class People:
    """Everybody, and the catalog.

    Attributes:
        catalog: ids of artists.
        titles: of the same.
        persons: by key.
        spam: places in the catalog of what attackers push; nobody listens to them.
    """

    catalog: tuple[str, ...]
    titles: tuple[str, ...]
    persons: dict[int, Person]
    spam: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """What one person's device knows, and what is to be found.

    Attributes:
        person: key.
        kind: number of events that are known, or `REGULAR`.
        known: int64 [k], places in the person's arrays, ascending.
        wanted: int64 [w], places in the catalog: every artist of the person that is not known.
    """

    person: int
    kind: int
    known: Ints
    wanted: Ints


def load_people(folder: Path, seed: int = 0, most: int | None = None) -> People:
    """Read everybody, or the `most` people with the lowest keys."""
    plays: dict[int, dict[int, int]] = defaultdict(dict)
    for user, artist, count in read_rows(folder / PLAYS):
        plays[user][artist] = count
    chosen = set(sorted(plays)[:most])
    listeners = Counter(artist for user in chosen for artist in plays[user])
    heard = sorted(artist for artist, count in listeners.items() if count >= _FEWEST_LISTENERS)
    spam = sorted(artist for artist, count in listeners.items() if count < _FEWEST_LISTENERS)[:SPAM_ARTISTS]
    artists = sorted([*heard, *spam])
    place = {artist: number for number, artist in enumerate(artists)}
    friends: dict[int, set[int]] = defaultdict(set)
    for user, friend in read_rows(folder / FRIENDS):
        friends[user].add(friend)
    dated = _first_tags(folder / _TAGS)
    rng = np.random.default_rng(seed)
    persons = {}
    for user in sorted(chosen):
        mine = {artist: count for artist, count in plays[user].items() if artist in place and artist not in spam}
        known = tuple(sorted(friends[user] & chosen - {user}))
        persons[user] = _person(user, mine, place, dated.get(user, {}), known, rng)
    names = _names(folder / _ARTISTS)
    titles = tuple(names.get(artist, "") for artist in artists)
    return People(tuple(map(str, artists)), titles, persons, tuple(place[artist] for artist in spam))


def _person(
    key: int,
    plays: dict[int, int],
    place: dict[int, int],
    dated: dict[int, int],
    friends: tuple[int, ...],
    rng: np.random.Generator,
) -> Person:
    artists = sorted(plays)
    days = [dated[artist] for artist in artists if artist in dated]
    first, last = (min(days), max(days)) if len(set(days)) > 1 else _SPAN
    times = np.array([dated.get(artist, int(rng.integers(first, last))) for artist in artists], np.int64)
    counts = np.array([plays[artist] for artist in artists], np.int64)
    rank = np.argsort(np.argsort(counts, kind="stable"), kind="stable")
    order = np.argsort(times, kind="stable")
    levels = 1 + 3 * rank // max(1, len(artists))
    places = np.array([place[artist] for artist in artists], np.int64)
    return Person(key, places[order], levels[order], times[order], friends)


def _first_tags(path: Path) -> dict[int, dict[int, int]]:
    """User → artist → Unix seconds of the first tag; dates that cannot be true are left out."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for user, artist, _, day, month, year in read_rows(path) if path.is_file() else ():
        at = int(datetime(year, month, day, tzinfo=UTC).timestamp())
        if 0 < at <= _SPAN[1] and at < found[user].get(artist, _SPAN[1] + 1):
            found[user][artist] = at
    return found


def _names(path: Path) -> dict[int, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    cells = [line.split("\t") for line in lines]
    return {int(cell[0]): cell[1] for cell in cells if len(cell) > 1 and cell[0].isdigit()}


def make_cases(people: People, seed: int, fewest: int = 10) -> list[Case]:
    """One case of every class for everyone with at least `fewest` artists and a friend.

    A fifth of the artists, drawn, is hidden from regulars. What a newcomer is known for is drawn from the rest; the
    same draw decides all classes, so that each knows what the one before it knows.
    """
    cases = []
    for person in people.persons.values():
        n = len(person.artists)
        if n < fewest or not person.friends:
            continue
        drawn = np.random.default_rng((seed, person.key)).permutation(n)
        for kind in CLASSES:
            count = n - max(1, round(_HIDDEN_SHARE * n)) if kind == REGULAR else kind
            known = np.sort(drawn[:count])
            wanted = np.sort(person.artists[drawn[count:]])
            cases.append(Case(person.key, kind, known, wanted))
    return cases


def folds_of(cases: Iterable[Case], count: int, seed: int) -> dict[int, int]:
    """Person → fold, for everyone with a case."""
    keys = sorted({case.person for case in cases})
    order = np.random.default_rng(seed).permutation(len(keys))
    return {keys[place]: number % count for number, place in enumerate(order.tolist())}


def write_events(people: People, without: set[int], folder: Path) -> Path:
    """Write what a server would learn from, the events of everyone but `without`, as CSV; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("item", "title"))
        rows.writerows(zip(people.catalog, people.titles, strict=True))
    path = folder / "interactions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("user", "item", "timestamp", "action"))
        for person in people.persons.values():
            if person.key in without:
                continue
            for artist, at in zip(person.artists.tolist(), person.times.tolist(), strict=True):
                rows.writerow((person.key, people.catalog[artist], at, "like"))
    return path
