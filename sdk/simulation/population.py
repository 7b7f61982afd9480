"""The honest people of a simulation: whom they trust, what they like, and what of it nobody is told.

Plain arrays, so that a million people take seconds and some hundred megabytes. People and items are numbered; attackers
and their spam are numbered behind them (`adversaries`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sdk.simulation.edges import Edges, Ints
from sdk.simulation.errors import DataMissing
from sdk.simulation.listening import Taste, read_lastfm, read_movielens
from sdk.simulation.scenario import PopulationConfig
from sdk.simulation.scenario_file import data_folder

MOST_FRIENDS, MOST_LIKES = 32, 64  # of one record
LEVELS = 3
_SPREAD = 0.6  # of log-normal degrees, about that of real friendships and listening lists
_OVERDRAWN = 2.5  # draws per wanted edge: popular targets are drawn more than once
_ACQUAINTED = 0.1  # share of all people whom one knows well enough to compare tastes


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """People.

    Attributes:
        people, items: how many.
        trust: person → person: what devices know and may publish.
        likes: person → item: the same.
        hidden: person → item: liked as well, but known to nobody; what a ranking is judged by.
        origin: where they come from, in words.
    """

    people: int
    items: int
    trust: Edges
    likes: Edges
    hidden: Edges
    origin: str

    def drifted(self, share: float, rng: np.random.Generator) -> Population:
        """Return the same people a day later: some of their likes, hidden ones too, give way to what friends like.

        Args:
            share: of likes that change.
            rng: decides which.
        """
        if share <= 0.0:
            return self
        likes = self._renewed(self.likes, share, rng)
        return replace(self, likes=likes, hidden=self._renewed(self.hidden, share, rng))

    def _renewed(self, edges: Edges, share: float, rng: np.random.Generator) -> Edges:
        source, targets = edges.sources(), edges.targets.copy()
        changing = np.flatnonzero(rng.random(len(targets)) < share)
        person = source[changing]
        friend = _one_of_each(self.trust, person, rng)
        item = _one_of_each(self.likes, friend, rng)
        targets[changing[item >= 0]] = item[item >= 0]
        return Edges.of_pairs(source, targets, edges.levels, len(edges))


def _one_of_each(edges: Edges, rows: Ints, rng: np.random.Generator) -> Ints:
    """Return a random target of each row; −1 for rows without any and for row −1."""
    lengths = np.where(rows >= 0, np.diff(edges.bounds)[rows], 0)
    place = edges.bounds[:-1][rows] + (rng.random(len(rows)) * lengths).astype(np.int64)
    found = np.full(len(rows), -1, np.int64)
    found[lengths > 0] = edges.targets[place[lengths > 0]]
    return found


def make_population(config: PopulationConfig, seed: int, beside: Path) -> Population:
    """Make or read a population.

    Args:
        config: which.
        seed: decides every draw.
        beside: the folder that relative paths of data begin at.

    Raises:
        DataMissing: the data is not there, or holds too little.
    """
    rng = np.random.default_rng((seed, 1))
    if config.source == "generated":
        return _generated(config, rng)
    folder = data_folder(config, beside)
    taste = read_lastfm(folder) if config.source == "lastfm" else read_movielens(folder)
    return _of_taste(_chosen(taste, config.peers, rng), config, rng, folder)


def _generated(config: PopulationConfig, rng: np.random.Generator) -> Population:
    """Groups of like-minded people: Zipf popularity inside, log-normal degrees, some ties across."""
    people, items = config.peers, config.items
    group = np.arange(people) * config.groups // people
    crowd = _Drawing(people, config, rng)
    shelf = _Drawing(items, config, rng)
    trust = crowd.edges(group, _degrees(config.friends, people, MOST_FRIENDS, rng), avoid_self=True)
    liked = shelf.edges(group, _degrees(config.likes / (1 - config.hidden), people, 2 * MOST_LIKES, rng))
    visible, hidden = _hide(liked, config.hidden, rng)
    origin = f"made up: {people:,} people in {config.groups:,} groups, {items:,} items"
    return Population(people, items, trust, visible, hidden, origin)


def _degrees(mean: float, people: int, most: int, rng: np.random.Generator) -> Ints:
    drawn = rng.lognormal(np.log(mean) - _SPREAD**2 / 2, _SPREAD, people)
    return np.clip(np.rint(drawn), 1, most).astype(np.int64)


class _Drawing:
    """Draws targets, out of one's own group of them by Zipf's law, or out of all."""

    def __init__(self, targets: int, config: PopulationConfig, rng: np.random.Generator) -> None:
        self._targets, self._config, self._rng = targets, config, rng
        self._starts = np.arange(config.groups + 1) * targets // config.groups
        self._cumulative = {
            size: _zipf(size, config.zipf) for size in np.unique(np.diff(self._starts)).tolist() if size
        }

    def edges(self, group: Ints, degrees: Ints, *, avoid_self: bool = False) -> Edges:
        """Draw distinct targets for everybody, with levels."""
        most = np.minimum(degrees, self._targets - avoid_self)
        source = np.repeat(np.arange(len(group)), np.ceil(most * _OVERDRAWN).astype(np.int64))
        target = self._drawn(group[source])
        if avoid_self:
            keep = source != target
            source, target = source[keep], target[keep]
        source, target = np.divmod(np.unique(source * self._targets + target), self._targets)
        bounds = np.searchsorted(source, np.arange(len(group) + 1))
        level = self._rng.integers(1, LEVELS + 1, len(source), dtype=np.int8)
        return _shortened(Edges(bounds, target, level), most, self._rng)

    def _drawn(self, group: Ints) -> Ints:
        drawn = self._rng.random(len(group))
        low, size = self._starts[group], np.diff(self._starts)[group]
        target = (self._rng.random(len(group)) * self._targets).astype(np.int64)
        near = (self._rng.random(len(group)) < self._config.locality) & (size > 0)
        for length, cumulative in self._cumulative.items():
            mine = np.flatnonzero(near & (size == length))
            target[mine] = low[mine] + np.searchsorted(cumulative, drawn[mine], side="right")
        return target


def _zipf(size: int, exponent: float) -> npt.NDArray[np.float64]:
    weights = np.arange(1, size + 1) ** -exponent
    cumulative: npt.NDArray[np.float64] = np.cumsum(weights) / weights.sum()
    cumulative[-1] = 1.0
    return cumulative


def _shortened(edges: Edges, most: Ints, rng: np.random.Generator) -> Edges:
    """Keep at most so many edges of each row, a random choice."""
    return _kept(edges, _shuffled_places(edges, rng) < most[edges.sources()])


def _shuffled_places(edges: Edges, rng: np.random.Generator) -> Ints:
    """Return each edge's place in a random order of its row, from 0."""
    source = edges.sources()
    order = np.argsort(source + rng.random(len(source)))
    place = np.empty(len(source), np.int64)
    place[order] = np.arange(len(source)) - edges.bounds[source]
    return place


def _kept(edges: Edges, mask: npt.NDArray[np.bool_]) -> Edges:
    counts = np.bincount(edges.sources()[mask], minlength=len(edges))
    return Edges(np.concatenate(([0], np.cumsum(counts))), edges.targets[mask], edges.levels[mask])


def _hide(liked: Edges, share: float, rng: np.random.Generator) -> tuple[Edges, Edges]:
    """Split likes into what is known and what is hidden; of several likes one at least stays known."""
    lengths = np.diff(liked.bounds)
    n_hidden = np.minimum(np.rint(lengths * share).astype(np.int64), np.maximum(lengths - 1, 0))
    away = _shuffled_places(liked, rng) < n_hidden[liked.sources()]
    return _shortened(_kept(liked, ~away), np.full(len(liked), MOST_LIKES), rng), _kept(liked, away)


def _chosen(taste: Taste, most: int, rng: np.random.Generator) -> Taste:
    """Keep at most so many people."""
    if taste.people <= most:
        return taste
    kept = np.sort(rng.permutation(taste.people)[:most])
    number = np.full(taste.people, -1, np.int64)
    number[kept] = np.arange(len(kept))
    likes = number[taste.person] >= 0
    items, item = np.unique(taste.item[likes], return_inverse=True)
    pairs = (number[taste.friend_of] >= 0) & (number[taste.friend] >= 0)
    friend_of, friend = number[taste.friend_of[pairs]], number[taste.friend[pairs]]
    person = number[taste.person[likes]]
    return Taste(len(kept), len(items), person, item, taste.strength[likes], friend_of, friend)


def _of_taste(taste: Taste, config: PopulationConfig, rng: np.random.Generator, folder: Path) -> Population:
    if taste.people < 2 or not len(taste.item):
        raise DataMissing(f"{folder} holds {taste.people} people with likes; a simulation needs two at least")
    strongest = np.lexsort((taste.item, -taste.strength, taste.person))
    level = _thirds(taste.person[strongest])
    liked = Edges.of_pairs(taste.person[strongest], taste.item[strongest], level, taste.people, most=2 * MOST_LIKES)
    visible, hidden = _hide(liked, config.hidden, rng)
    if len(taste.friend):
        similarity = _similarity(visible, taste.friend_of, taste.friend)
        order = np.lexsort((taste.friend, -similarity, taste.friend_of))
        source, friend = taste.friend_of[order], taste.friend[order]
        trust = Edges.of_pairs(source, friend, _thirds(source), taste.people, most=MOST_FRIENDS)
    else:
        trust = _like_minded(visible, config, rng)
    origin = f"{taste.people:,} people and {taste.items:,} items of {folder.name}"
    return Population(taste.people, taste.items, trust, visible, hidden, origin)


def _thirds(owner: Ints) -> Ints:
    """Return levels 3, 2, 1 for the strongest, middle and weakest third of each owner's edges, given in that order."""
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    lengths = np.bincount(owner)[owner] if len(owner) else np.zeros(0, np.int64)
    return LEVELS - place * LEVELS // np.maximum(lengths, 1)


def _similarity(likes: Edges, left: Ints, right: Ints) -> npt.NDArray[np.float64]:
    """Return the share of common likes (cosine of sets) of pairs of people."""
    sets = [frozenset(likes.row(person)[0].tolist()) for person in range(len(likes))]
    sizes = np.maximum(np.diff(likes.bounds), 1)
    common = np.fromiter((len(sets[a] & sets[b]) for a, b in zip(left, right, strict=True)), np.float64, len(left))
    found: npt.NDArray[np.float64] = common / np.sqrt(sizes[left] * sizes[right])
    return found


def _like_minded(likes: Edges, config: PopulationConfig, rng: np.random.Generator) -> Edges:
    """Let everybody trust the most like-minded of a random tenth of all people."""
    people = len(likes)
    known = max(2, round(people * _ACQUAINTED))
    degrees = _degrees(config.friends, people, min(MOST_FRIENDS, known), rng)
    source = np.repeat(np.arange(people), known)
    other = rng.integers(0, people, len(source))
    keep = source != other
    source, other = source[keep], other[keep]
    similarity = _similarity(likes, source, other)
    order = np.lexsort((other, -similarity, source))
    source, other = source[order], other[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    nearest = place < degrees[source]
    source, other = source[nearest], other[nearest]
    return Edges.of_pairs(source, other, _thirds(source), people)
