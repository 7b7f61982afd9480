"""Tastes and friendships from public data: HetRec-2011 Last.fm and MovieLens-100K, as they are distributed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.simulation.edges import Ints
from sdk.simulation.errors import DataMissing

_GOOD_RATING = 4


@dataclass(frozen=True, slots=True, eq=False)
class Taste:
    """Who likes what how much, and who is whose friend.

    Attributes:
        people, items: how many.
        person, item: int64 [likes].
        strength: int64 [likes], the more the better; comparable within one person.
        friend_of, friend: int64 [pairs]; empty where the data has no friendships.
    """

    people: int
    items: int
    person: Ints
    item: Ints
    strength: Ints
    friend_of: Ints
    friend: Ints


def read_lastfm(folder: Path) -> Taste:
    """Read `user_artists.dat` (user, artist, plays) and `user_friends.dat` (user, friend).

    Raises:
        DataMissing: a file is not there, or a line is not what it should be.
    """
    plays = np.array(list(_numbers(folder / "user_artists.dat", 3)), np.int64).reshape(-1, 3)
    friends = np.array(list(_numbers(folder / "user_friends.dat", 2)), np.int64).reshape(-1, 2)
    users, person = np.unique(plays[:, 0], return_inverse=True)
    artists, item = np.unique(plays[:, 1], return_inverse=True)
    known = np.isin(friends, users).all(axis=1) & (friends[:, 0] != friends[:, 1])
    pairs = np.searchsorted(users, friends[known])
    return Taste(len(users), len(artists), person, item, plays[:, 2], pairs[:, 0], pairs[:, 1])


def read_movielens(folder: Path) -> Taste:
    """Read ratings, of which 4 and 5 count as likes: `u.data` (user, item, rating, time) or RecBole's `ml-100k.inter`.

    Raises:
        DataMissing: neither file is there, or a line is not what it should be.
    """
    path = next((folder / name for name in ("u.data", "ml-100k.inter") if (folder / name).is_file()), folder / "u.data")
    rows = np.array(list(_numbers(path, 3)), np.int64).reshape(-1, 3)
    liked = rows[rows[:, 2] >= _GOOD_RATING]
    users, person = np.unique(liked[:, 0], return_inverse=True)
    films, item = np.unique(liked[:, 1], return_inverse=True)
    nobody = np.zeros(0, np.int64)
    return Taste(len(users), len(films), person, item, liked[:, 2], nobody, nobody)


def _numbers(path: Path, columns: int) -> Iterator[list[int]]:
    """Yield the first columns of a tab-separated file; a first line of names is passed over."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
                try:
                    yield [int(float(cell)) for cell in row[:columns]] if len(row) >= columns else _short(columns, row)
                except (ValueError, OverflowError) as error:
                    if number > 1:
                        raise DataMissing(f"{path}, line {number}: {error}; get the data set again") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataMissing(f"{path} cannot be read ({error}); a scenario takes its people from it") from error


def _short(columns: int, row: list[str]) -> list[int]:
    raise ValueError(f"expected {columns} columns, got {len(row)}")
