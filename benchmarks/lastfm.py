"""HetRec-2011 Last.FM as a world: friendships with similarity of taste as trust, listening shares as item edges."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.attacks import Edges, World

FRIENDS, PLAYS = "user_friends.dat", "user_artists.dat"
_MOST_FRIENDS, _MOST_ARTISTS = 32, 64


class DataMissing(Exception):
    """The data set is not where it was looked for."""


def find_folder(given: str | None) -> Path:
    """Find the folder of the data set.

    Args:
        given: the folder itself or one that holds `hetrec-lastfm`; the environment's MERITREC_DATA when None.

    Raises:
        DataMissing: neither leads to the files.
    """
    root = given or os.environ.get("MERITREC_DATA")
    for folder in (Path(root), Path(root) / "hetrec-lastfm") if root else ():
        if all((folder / name).is_file() for name in (FRIENDS, PLAYS)):
            return folder
    raise DataMissing(
        f"no {FRIENDS} and {PLAYS} in {root or 'MERITREC_DATA, which is not set'}; get hetrec2011-lastfm-2k.zip from "
        "https://grouplens.org/datasets/hetrec-2011/, unpack it and name the folder with --data"
    )


def file_hashes(folder: Path) -> dict[str, str]:
    """First 12 hex digits of each file's SHA-256, to state with results."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in (FRIENDS, PLAYS)}


def load(folder: Path) -> World:
    """Read the world.

    A person's item edges are the 64 artists listened to most, each with its share of the person's plays. Trust edges
    go to friends, at most the 32 most similar ones; weight is .05 plus the cosine of both listening profiles.
    """
    plays: dict[int, dict[int, float]] = defaultdict(dict)
    for user, artist, count in read_rows(folder / PLAYS):
        plays[user][artist] = float(count)
    friends: dict[int, list[int]] = defaultdict(list)
    for user, friend in read_rows(folder / FRIENDS):
        friends[user].append(friend)
    world: World = {}
    for user in sorted(plays.keys() | friends.keys()):
        near = {("p", friend): 0.05 + _cosine(plays[user], plays[friend]) for friend in sorted(set(friends[user]))}
        total = sum(plays[user].values()) or 1.0
        shares: Edges = {("i", artist): count / total for artist, count in plays[user].items() if count > 0}
        world["p", user] = (_strongest(dict(near), _MOST_FRIENDS), _strongest(shares, _MOST_ARTISTS))
    return world


def read_rows(path: Path) -> list[tuple[int, ...]]:
    """Read a file of whole numbers between tabs; a first line of names is passed over."""
    lines = path.read_text(encoding="latin-1").splitlines()
    return [tuple(int(cell) for cell in line.split("\t")) for line in lines if line and not line[0].isalpha()]


def _cosine(a: dict[int, float], b: dict[int, float]) -> float:
    shared = sum(np.sqrt(a[key] * b[key]) for key in a.keys() & b.keys())
    norm = np.sqrt(sum(a.values()) * sum(b.values()))
    return float(shared / norm) if norm else 0.0


def _strongest(edges: Edges, count: int) -> Edges:
    return dict(sorted(edges.items(), key=lambda pair: -pair[1])[:count])
