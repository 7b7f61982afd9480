"""One ranking out of two: the model's list and the trust walk's list.

The two scores live on different scales, so ranks are fused: reciprocal-rank fusion (Cormack, Clarke and Büttcher,
SIGIR 2009), weighted by the evidence behind each list. An item enters only through a list: a stranger's item that
neither the model nor a trusted path proposes has no way in.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """One item of the fused ranking, with its 1-based rank in each list (None where absent)."""

    item: int
    score: float
    model_rank: int | None
    peer_rank: int | None


def blend(
    model_items: list[int], peer_items: list[int], *, n_events: int, n_peers: int, config: BlendConfig
) -> list[Blended]:
    """Fuse two ranked lists of distinct items, best first; ties go to the smaller item number.

    Args:
        model_items: the model's list.
        peer_items: the walk's list.
        n_events: how many events the model read.
        n_peers: how many trusted peers the walk's list comes from.
        config: the weights.
    """
    model_weight = n_events / (n_events + config.half_events)
    peer_weight = config.walk_share * n_peers / (n_peers + config.half_peers)
    model_rank = {item: rank for rank, item in enumerate(model_items, 1)}
    peer_rank = {item: rank for rank, item in enumerate(peer_items, 1)}
    blended = [
        Blended(
            item,
            _vote(model_weight, model_rank.get(item), config) + _vote(peer_weight, peer_rank.get(item), config),
            model_rank.get(item),
            peer_rank.get(item),
        )
        for item in sorted(model_rank.keys() | peer_rank.keys())
    ]
    return sorted(blended, key=lambda b: (-b.score, b.item))


def _vote(weight: float, rank: int | None, config: BlendConfig) -> float:
    return 0.0 if rank is None else weight / (config.rank_offset + rank)
