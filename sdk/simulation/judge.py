"""What one honest person's ranking is worth at one moment, and what attackers got out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sdk.simulation.world import World
from trust import ItemRanking, MeritRankConfig, PeerRanking


@dataclass(frozen=True, slots=True)
class Verdict:
    """One look at one person's ranking.

    Attributes:
        hour: virtual hours since the start.
        ego: the person's number.
        recall, ndcg: of the hidden likes, at k; 0 where the person has none.
        judged: whether the person has hidden likes.
        spam: share of spam among the first k.
        listed: how many items the ranking holds, at most k.
        attackers: share of all trust that attackers' identities hold.
        gain: what identities behind the first get, over the share of walks that reach the attackers people know.
        bound: the most that `gain` can be.
    """

    hour: float
    ego: int
    recall: float
    ndcg: float
    judged: bool
    spam: float
    listed: int
    attackers: float
    gain: float
    bound: float


def bound_of(config: MeritRankConfig) -> float:
    """Return the bound on what Sybils behind one attacker get, over the share of walks that reach the attacker.

    (1 − β·b0)(1 − α)/α; see `trust.MeritRankConfig`.
    """
    return (1.0 - config.beta * config.prior_share) * (1.0 - config.alpha) / config.alpha


def judge(
    ego: int,
    items: Sequence[int],
    scores: Mapping[int, float],
    reached: Mapping[int, float],
    world: World,
    config: MeritRankConfig,
    k: int,
    hour: float,
) -> Verdict:
    """Judge one ranking.

    Args:
        ego: whose.
        items: numbers of the ranked items, the best first, the person's own left out.
        scores: of the ranked peers, by number.
        reached: share of walks that hit each peer, by number.
        world: of the day.
        config: of the node walk.
        k: how many items are shown.
        hour: virtual hours since the start.
    """
    hidden = set(world.population.hidden.row(ego)[0].tolist())
    shown = list(items[:k])
    hits = [place for place, item in enumerate(shown) if item in hidden]
    ideal = sum(1.0 / math.log2(place + 2) for place in range(min(k, len(hidden))))
    found = sum(1.0 / math.log2(place + 2) for place in hits)
    attackers = {author for author in scores if author >= world.population.people or author in world.attackers.hijacked}
    friends = world.known_to(ego).trust
    known = {author for author in attackers if author in world.befriended or author in friends}
    entry = sum(reached.get(author, 0.0) for author in known)
    behind = sum(scores[author] for author in attackers - known)
    total = sum(scores.values())
    return Verdict(
        hour=hour,
        ego=ego,
        recall=len(hits) / min(k, len(hidden)) if hidden else 0.0,
        ndcg=found / ideal if hidden else 0.0,
        judged=bool(hidden),
        spam=sum(item in world.attackers.spam for item in shown) / max(1, len(shown)),
        listed=len(shown),
        attackers=sum(scores[author] for author in attackers) / total if total else 0.0,
        gain=behind / entry if entry else 0.0,
        bound=bound_of(config),
    )


def reached_by(peers: PeerRanking, walks: int, numbers: Mapping[bytes, int]) -> dict[int, float]:
    """Return the share of walks that hit each peer."""
    return {
        numbers[key]: hits / walks for key, hits in peers.hits().items() if isinstance(key, bytes) and key in numbers
    }


def item_numbers(items: ItemRanking, numbers: Mapping[bytes, int], own: set[int]) -> list[int]:
    """Return the ranked items by number, those left out that the person has, or that nobody listed."""
    listed = (numbers[item] for item, _ in items.supported(len(items)) if isinstance(item, bytes))
    return [item for item in listed if item not in own]


def mean_of(verdicts: Sequence[Verdict], name: str) -> float:
    """Return the mean of one number over verdicts; of quality, over the people who can be judged."""
    values = _counted(verdicts, name)
    return float(np.mean(values)) if values else 0.0


def error_of(verdicts: Sequence[Verdict], name: str) -> float:
    """Return the standard error of `mean_of`, people being a random sample; 0 for fewer than two."""
    values = _counted(verdicts, name)
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _counted(verdicts: Sequence[Verdict], name: str) -> list[float]:
    return [getattr(v, name) for v in verdicts if v.judged or name not in ("recall", "ndcg")]
