"""One ranking out of two: the model's list and the trust walk's list.

The two scores live on different scales, so ranks are fused: reciprocal-rank fusion (Cormack, Clarke and Büttcher,
SIGIR 2009), weighted by the evidence behind each list. An item enters only through a list: a stranger's item that
neither the model nor a trusted path proposes has no way in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind the two lists.

    Attributes:
        n_events: events of the person that a model may read.
        n_peers: peers with trust.
        n_hits: hits of walks on items that peers list, all together.
    """

    n_events: int
    n_peers: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """How fast evidence earns a list its weight.

    Attributes:
        half_events: events at which the model has half of its full weight.
        half_peers: trusted peers with item lists at which the walk has half of its full weight.
        walk_share: the walk's full weight; the model's is 1.
        rank_offset: how flat votes are over ranks. The original paper takes 60 for runs of a thousand documents; with
            lists of fifty that would keep out whatever only one list knows, which is what the walk is for.
    """

    half_events: float = 5.0
    half_peers: float = 2.0
    walk_share: float = 0.6
    rank_offset: float = 10.0


@dataclass(frozen=True, slots=True)
class Blended:
    """One item of the fused ranking.

    Attributes:
        item: catalog row.
        score: the higher, the better.
        model_rank, peer_rank: 1-based rank in each list, None where absent.
        model_share: how much of the score the model's list gave, 0 to 1.
    """

    item: int
    score: float
    model_rank: int | None
    peer_rank: int | None
    model_share: float


def blend(
    model: Sequence[tuple[int, float]], peers: Sequence[tuple[int, float]], evidence: Evidence, config: BlendConfig
) -> list[Blended]:
    """Fuse two ranked lists of distinct items, best first; ties go to the smaller item number.

    Args:
        model: (catalog row, log-probability), best first.
        peers: (catalog row, hit score), best first.
        evidence: what stands behind them.
        config: the weights.
    """
    known = max(1, evidence.n_events)  # without a single event the model still has its guess
    model_weight = known / (known + config.half_events)
    peer_weight = config.walk_share * evidence.n_peers / (evidence.n_peers + config.half_peers)
    model_rank = {item: rank for rank, (item, _) in enumerate(model, 1)}
    peer_rank = {item: rank for rank, (item, _) in enumerate(peers, 1)}
    blended = []
    for item in sorted(model_rank.keys() | peer_rank.keys()):
        own = _vote(model_weight, model_rank.get(item), config)
        theirs = _vote(peer_weight, peer_rank.get(item), config)
        share = own / (own + theirs) if own + theirs else 0.0
        blended.append(Blended(item, own + theirs, model_rank.get(item), peer_rank.get(item), share))
    return sorted(blended, key=lambda b: (-b.score, b.item))


def _vote(weight: float, rank: int | None, config: BlendConfig) -> float:
    return 0.0 if rank is None else weight / (config.rank_offset + rank)
