"""Populations for the privacy benchmark: who likes what, how strongly, and who is whose friend."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks import lastfm
from benchmarks.lastfm import DataMissing

Person = TypeVar("Person", bound=Hashable)
_RATINGS, _TRUST = "ratings.txt", "trust.txt"
_LIKED_FROM = 3.0  # of FilmTrust's ratings, 0.5 to 4


@dataclass(frozen=True)
class Population:
    """People and what they like.

    Attributes:
        name: says what it is.
        likes: for each person its items with levels 2 or 3, the strongest first.
        friends: for each person the people whom it trusts.
        popular: all items, the most popular first: what a publisher knows and everybody may.
    """

    name: str
    likes: Sequence[Mapping[str, int]]
    friends: Sequence[Sequence[int]]
    popular: Sequence[str]


def find_population(given: str | None, seed: int) -> Population:
    """Return FilmTrust or Last.fm from a folder, or people made from a seed where no folder is named.

    Args:
        given: a folder with either's files, or one that holds `filmtrust` or `hetrec-lastfm`; MERITREC_DATA when None.
        seed: of made people.

    Raises:
        DataMissing: the folder holds neither.
    """
    root = given or os.environ.get("MERITREC_DATA")
    if root is None:
        return made_people(seed)
    for folder in (Path(root), Path(root) / "filmtrust"):
        if (folder / _RATINGS).is_file() and (folder / _TRUST).is_file():
            return filmtrust(folder)
    try:
        return last_fm(lastfm.find_folder(root))
    except DataMissing as error:
        raise DataMissing(
            f"neither FilmTrust ({_RATINGS}, {_TRUST}) nor Last.fm (user_artists.dat, user_friends.dat) is in {root}"
        ) from error


def filmtrust(folder: Path) -> Population:
    """Read FilmTrust: a film is liked from a rating of 3 on, and strongly at 4; trust is directed."""
    ratings: dict[str, dict[str, float]] = {}
    for line in (folder / _RATINGS).read_text().splitlines():
        user, film, rating = line.split()
        if float(rating) >= _LIKED_FROM:
            ratings.setdefault(user, {})[film] = float(rating)
    friends: dict[str, set[str]] = {}
    for line in (folder / _TRUST).read_text().splitlines():
        one, other = line.split()[:2]
        friends.setdefault(one, set()).add(other)
    likes = {user: {film: 3 if rating >= 4 else 2 for film, rating in rated.items()} for user, rated in ratings.items()}
    return _population("FilmTrust", likes, friends)


def last_fm(folder: Path) -> Population:
    """Read Last.fm: an artist is liked by who listens to it, strongly by who listens to it more than on average."""
    world = lastfm.load(folder)
    likes: dict[Hashable, dict[str, int]] = {}
    friends: dict[Hashable, set[Hashable]] = {}
    for person, (trust, shares) in world.items():
        mean = sum(shares.values()) / max(1, len(shares))
        likes[person] = {str(artist): 3 if share > mean else 2 for artist, share in shares.items()}
        friends[person] = set(trust)
    return _population("Last.fm", likes, friends)


def made_people(seed: int = 0, count: int = 600, items: int = 1_200, groups: int = 12) -> Population:
    """Make people in groups; most friends, and most of what one likes, are of one's group; popularity is Zipf's."""
    rng = np.random.default_rng(seed)
    weight = np.arange(1, items + 1) ** -0.8
    of_group = [weight * np.where(np.arange(items) % groups == group, 20.0, 1.0) for group in range(groups)]
    likes, friends = {}, {}
    for person in range(count):
        chance = of_group[person % groups]
        number = int(np.clip(rng.lognormal(np.log(30), 0.5), 5, 120))
        chosen = rng.choice(items, number, replace=False, p=chance / chance.sum())
        likes[person] = {f"item {item}": int(rng.integers(2, 4)) for item in chosen}
        near = rng.choice(np.arange(person % groups, count, groups), 6, replace=False)
        far = rng.choice(count, 2, replace=False)
        friends[person] = {int(other) for other in (*near, *far) if other != person}
    return _population(f"{count} made people, seed {seed}", likes, friends)


def _population(
    name: str, likes: Mapping[Person, Mapping[str, int]], friends: Mapping[Person, set[Person]]
) -> Population:
    people = sorted(likes, key=str)
    number = {person: place for place, person in enumerate(people)}
    counts = Counter(item for liked in likes.values() for item in liked)
    return Population(
        name,
        [dict(sorted(likes[person].items(), key=lambda pair: (-pair[1], pair[0]))) for person in people],
        [sorted(number[friend] for friend in friends.get(person, ()) if friend in number) for person in people],
        sorted(counts, key=lambda item: (-counts[item], item)),
    )
