"""Rank fidelity: no messages, everything published is known to everybody, and many people's rankings are judged.

The walks are those of `trust` on one graph of the whole network; a person's own device knows more of itself than it
publishes, so its row is put in place for its own ranking. Compiled kernels are used where numba is installed: same
walks, same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sdk.simulation.course import Course
from sdk.simulation.device import social_config
from sdk.simulation.edges import Edges, Ints
from sdk.simulation.judge import Verdict, judge, mean_of
from sdk.simulation.scenario import Scenario, TrustConfig
from sdk.simulation.world import Statement, World
from sdk.social import LEVEL_WEIGHT
from trust import AuthorEdges, GraphLimits, TrustGraph, from_arrays, rank_items, rank_peers

_WEIGHTS = np.array([0.0, *(LEVEL_WEIGHT[level] for level in (1, 2, 3))])


def published_graph(world: World, policies: Sequence[str]) -> TrustGraph:
    """Return what everybody publishes on a day as one graph, over the numbers of authors and items.

    Args:
        world: of the day.
        policies: of the honest people.
    """
    trust, likes = world.edges()
    open_to = np.array([("private", "items", "network").index(policy) for policy in policies])
    level = np.concatenate([open_to, np.full(world.authors - len(open_to), 2)])
    level[list(world.attackers.hijacked)] = 2
    retired = [a for a in range(world.population.people, world.authors) if a not in world.attackers.statements]
    level[retired] = 0  # an identity that is not in use yet, or not any more, states nothing
    items = world.population.items + len(world.attackers.spam)
    return from_arrays(
        range(world.authors),
        _weighted(trust, level >= 2),
        range(items),
        _weighted(likes, level >= 1),
        limits=GraphLimits(authors=world.authors + 1),
    )


def _weighted(edges: Edges, stating: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    source = edges.sources()
    kept = stating[source]
    return source[kept], edges.targets[kept], _WEIGHTS[edges.levels[kept]]


class Ranker:
    """Judges people's rankings on one day.

    Args:
        scenario: which.
        world: of the day.
        policies: of the honest people.
    """

    def __init__(self, scenario: Scenario, world: World, policies: Sequence[str]) -> None:
        self._scenario, self._world = scenario, world
        self._graph = published_graph(world, policies)

    def judged(self, ego: int, hour: float, trust: TrustConfig | None = None) -> Verdict:
        """Judge one person's ranking.

        Args:
            ego: the person.
            hour: for the verdict.
            trust: other walks than the scenario's.
        """
        config = social_config(trust or self._scenario.trust)
        known = self._world.known_to(ego)
        k = self._scenario.measure.k
        with self._graph.standing_in(ego, _edges(known)):  # the device knows more of its owner than it publishes
            peers = rank_peers(self._graph, ego, config.peers, self._seed(ego))
            items = rank_items(self._graph, ego, peers, config.items, self._seed(ego))
        listed = items.supported(k + len(known.items))
        ranked = [item for item, _ in listed if isinstance(item, int) and item not in known.items]
        # The graph holds nobody but the world's authors, so its numbers are theirs.
        scores = dict(zip(peers.columns.peer.tolist(), peers.columns.score.tolist(), strict=True))
        reached = {peer: hits / config.peers.walks for peer, hits in peers.hits().items() if isinstance(peer, int)}
        return judge(ego, ranked, scores, reached, self._world, config.peers, k, hour)

    def _seed(self, ego: int) -> int:
        return self._scenario.seed * 1_000_003 + ego


def _edges(statement: Statement) -> AuthorEdges:
    trust: dict[Hashable, float] = {peer: LEVEL_WEIGHT[level] for peer, level in statement.trust.items()}
    items: dict[Hashable, float] = {item: LEVEL_WEIGHT[level] for item, level in statement.items.items()}
    return AuthorEdges(trust, items)


class Judging:
    """Judges people at rising hours; keeps the network of the day.

    Args:
        course: of the scenario; its days pass.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._ranker: Ranker | None = None
        self._day = -1

    def verdict(self, hour: float, ego: int) -> Verdict:
        """Judge one person at an hour, not before that of the call before."""
        day = min(int(hour // 24), self._course.scenario.days - 1)
        if self._ranker is None or day != self._day:
            self._day = day
            self._ranker = Ranker(self._course.scenario, self._course.world(day), self._course.policies)
        return self._ranker.judged(ego, hour)


_judging: list[Judging] = []  # of a process of the pool


def _begin(scenario: Scenario, beside: Path) -> None:
    _judging[:] = [Judging(Course(scenario, beside))]


def _verdict(place: tuple[float, int]) -> Verdict:
    return _judging[0].verdict(*place)


def judge_all(course: Course, places: Sequence[tuple[float, int]], processes: int) -> Iterator[Verdict]:
    """Yield a verdict for every (hour, person), in order; the same for any number of processes.

    Args:
        course: of the scenario; with one process its days pass.
        places: hours ascending.
        processes: how many judge side by side; each holds the whole network.
    """
    if processes <= 1 or len(places) < 2 * processes:
        judging = Judging(course)
        yield from (judging.verdict(hour, ego) for hour, ego in places)
        return
    with get_context("spawn").Pool(processes, _begin, (course.scenario, Path(course.beside))) as pool:
        yield from pool.imap(_verdict, places, chunksize=max(1, min(32, len(places) // (4 * processes))))


def look_hours(scenario: Scenario) -> list[float]:
    """Return the virtual hours at which rankings are judged: every so often, and at the end."""
    end, step = 24.0 * scenario.days, scenario.measure.every_h
    hours = [step * number for number in range(1, int(end / step) + 1)]
    return hours if hours and hours[-1] == end else [*hours, end]


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of a sweep: the walks' α and β, and what they lead to on the last day, as means over people."""

    alpha: float
    beta: float
    ndcg: float
    recall: float
    spam: float
    attackers: float


def swept(course: Course, told: Callable[[Setting], None]) -> list[Setting]:
    """Judge the last day with other settings of the walks, everything published being known.

    Args:
        course: of the scenario whose `measure.alphas` and `measure.betas` are tried; its days pass.
        told: called for every setting.
    """
    scenario, found = course.scenario, list[Setting]()
    measure, trust = scenario.measure, scenario.trust
    pairs = [(alpha, trust.beta) for alpha in measure.alphas] + [(trust.alpha, beta) for beta in measure.betas]
    if not pairs:
        return []
    ranker = Ranker(scenario, course.world(scenario.days - 1), course.policies)
    for alpha, beta in dict.fromkeys(pairs):
        walks = replace(trust, alpha=alpha, beta=beta)
        verdicts = [ranker.judged(ego, 24.0 * scenario.days, walks) for ego in course.egos.tolist()]
        means = {name: mean_of(verdicts, name) for name in ("ndcg", "recall", "spam", "attackers")}
        found.append(Setting(alpha, beta, **means))
        told(found[-1])
    return found
