"""All lists of all cases as arrays, made once and kept: walking for thousands of devices takes long.

Files are named by what they depend on, so that other data, seeds or settings never meet an old file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks import World
from benchmarks.blend_friends import Walked, walk, world_of
from benchmarks.blend_people import Case, Ints, People, load_people, make_cases

DEPTH = 200
_PEOPLE_AT_ONCE = 40
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lists:
    """One list per case; rows as in the cases they were made for.

    Attributes:
        items: int64 [cases, depth], places in the catalog, -1 after the end.
        scores: float64 [cases, depth], NaN after the end.
        n_peers, n_hits: int64 [cases], evidence of a walk; zeros otherwise.
    """

    items: Ints
    scores: Floats
    n_peers: Ints
    n_hits: Ints

    @classmethod
    def of(cls, found: Sequence[tuple[Ints, Floats, int, int]], depth: int) -> Lists:
        """Pad lists of different lengths."""
        items = np.full((len(found), depth), -1, np.int64)
        scores = np.full((len(found), depth), np.nan)
        for row, (places, values, _, _) in enumerate(found):
            items[row, : len(places)], scores[row, : len(places)] = places[:depth], values[:depth]
        n_peers, n_hits = (np.array([each[at] for each in found], np.int64) for at in (2, 3))
        return cls(items, scores, n_peers, n_hits)

    @classmethod
    def joined(cls, parts: Sequence[Lists]) -> Lists:
        """One after the other."""
        return cls(
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.n_peers for part in parts]),
            np.concatenate([part.n_hits for part in parts]),
        )

    def row(self, at: int, depth: int | None = None) -> tuple[Ints, Floats]:
        """One list without its padding."""
        real = self.items[at, :depth] >= 0
        return self.items[at, :depth][real], self.scores[at, :depth][real]

    def some(self, rows: Sequence[int]) -> Lists:
        """Only these rows."""
        return Lists(self.items[rows], self.scores[rows], self.n_peers[rows], self.n_hits[rows])

    def save(self, path: Path) -> None:
        """Write the arrays; a file is either whole or not there."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, items=self.items, scores=self.scores, n_peers=self.n_peers, n_hits=self.n_hits)
        part.rename(path)

    @classmethod
    def load(cls, path: Path) -> Lists:
        """Read what `save` wrote."""
        with np.load(path) as kept:
            return cls(kept["items"], kept["scores"], kept["n_peers"], kept["n_hits"])


def kept(folder: Path, settings: Mapping[str, object], make: Callable[[], Lists]) -> Lists:
    """Return the lists that were made with these settings before, or make and keep them."""
    path = named(folder, settings)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make().save(path)
    return Lists.load(path)


def named(folder: Path, settings: Mapping[str, object]) -> Path:
    """The file for these settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{settings['what']}-{digest}.npz"


@dataclass(frozen=True, slots=True)
class WalkJob:
    """A walk for some people, to be done in any process.

    Attributes:
        data: the data set's folder.
        seed, most: of `load_people`.
        people: keys, every class of each.
    """

    data: Path
    seed: int
    most: int | None
    people: tuple[int, ...] = ()

    def __call__(self) -> Lists:
        """Walk."""
        people, world, cases = _loaded(self.data, self.seed, self.most)
        chosen = set(self.people)
        found = walk(people, world, [case for case in cases if case.person in chosen], DEPTH)
        return walked_lists(each for _, each in found)


def walked_lists(found: Iterable[Walked]) -> Lists:
    """Pad walks."""
    return Lists.of([(each.items, each.scores, each.n_peers, each.n_hits) for each in found], DEPTH)


@cache
def _loaded(data: Path, seed: int, most: int | None) -> tuple[People, World, list[Case]]:
    people = load_people(data, seed, most)
    return people, world_of(people, seed), make_cases(people, seed)


def walk_all(
    job: WalkJob,
    settings: Mapping[str, object],
    cases: Sequence[Case],
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None],
) -> Lists:
    """Walk for every case, some people at a time, in `workers` processes; what was finished before is read.

    Args:
        job: a walk for nobody yet.
        settings: that the lists depend on.
        cases: all classes of each person one after the other.
        folder: of kept lists.
        workers: processes.
        progress: told (pieces done, pieces).
    """
    keys = list(dict.fromkeys(case.person for case in cases))
    pieces = [tuple(keys[start : start + _PEOPLE_AT_ONCE]) for start in range(0, len(keys), _PEOPLE_AT_ONCE)]
    paths = [named(folder, {**settings, "what": "walks", "people": piece}) for piece in pieces]
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(piece, path) for piece, path in zip(pieces, paths, strict=True) if not path.exists()]
    done = len(pieces) - len(missing)
    progress(done, len(pieces))
    with ProcessPoolExecutor(workers) as pool:
        jobs: dict[Future[Lists], Path] = {pool.submit(replace(job, people=piece)): path for piece, path in missing}
        for walked in as_completed(jobs):
            walked.result().save(jobs[walked])
            done += 1
            progress(done, len(pieces))
    return Lists.joined([Lists.load(path) for path in paths])
