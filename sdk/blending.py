"""One ranking out of two: the model's list and the trust walk's list.

Their scores live on different scales. Each becomes a probability that the person wants the item (Platt's calibration,
on people whose later choices are known), and the two are pooled, (1 − w)·m + w·p (Stone, "The Opinion Pool", 1961). The
peers' part w grows with what the walk reached and falls with what the person has done; it was learned, and it is
bounded: see `blend_weights`. Without weights, or from scores that cannot be calibrated, ranks are fused instead
(reciprocal-rank fusion; Cormack, Clarke and Büttcher, SIGIR 2009).

What holds, however the weights were learned and whatever peers send:

- An item enters only through a list: what neither the model nor a trusted path proposes has no way in.
- Peers lift what they list and nothing else: an item that no trusted peer lists never stands above its place in the
  model's list.
- No score moves by more than w, which never exceeds `PeerShare.most`.
- A better score in either list never costs an item places.
- Adding a constant to all log-probabilities changes nothing. Equal scores stand in order of their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdk.blend_weights import BlendWeights, Calibration, PeerShare, shipped_weights

Floats = NDArray[np.float64]
Listed = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much each list rests on.

    Attributes:
        n_events: events of the person that the model read.
        n_peers: peers whom the walks trust.
        n_hits: hits of all items that some trusted peer supports (`trust.ItemRanking.peer_hits`).
    """

    n_events: int
    n_peers: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """How to blend.

    Attributes:
        weights: learned ones, by default those that come with the package; None to fuse ranks.
        half_events: events at which the model has half of its full weight, when ranks are fused.
        half_peers: trusted peers at which the walk has half of its full weight, when ranks are fused.
        walk_share: the walk's full weight when ranks are fused; the model's is 1.
        rank_offset: how flat votes are over ranks when ranks are fused. The original paper takes 60 for runs of a
            thousand documents; with lists of fifty that would keep out whatever only one list knows, which is what the
            walk is for.
    """

    weights: BlendWeights | None = field(default_factory=shipped_weights)
    half_events: float = 5.0
    half_peers: float = 2.0
    walk_share: float = 0.6
    rank_offset: float = 10.0


@dataclass(frozen=True, slots=True)
class Blended:
    """One item of the ranking.

    Attributes:
        item: catalog row.
        score: the higher, the better; comparable within one ranking.
        model_rank: 1-based rank in the model's list, None where absent.
        peer_rank: 1-based rank in the walk's list, None where absent.
        model_share: the model's part of the score, 0 to 1.
    """

    item: int
    score: float
    model_rank: int | None
    peer_rank: int | None
    model_share: float


def blend(model: Listed, peers: Listed, evidence: Evidence, config: BlendConfig) -> list[Blended]:
    """Merge two ranked lists of distinct items, best first.

    Args:
        model: (catalog row, log-probability), best first.
        peers: (catalog row, hit score within 0..1), best first.
        evidence: what both rest on.
        config: the weights.
    """
    by_model, by_peers = dict(model), dict(peers)
    items = np.array(sorted(by_model.keys() | by_peers.keys()), np.int64)
    if not len(items):
        return []
    model_rank = {item: rank for rank, item in enumerate(by_model, 1)}
    peer_rank = {item: rank for rank, item in enumerate(by_peers, 1)}
    parts = _pooled(items, by_model, by_peers, evidence, config.weights) if config.weights is not None else None
    ours, theirs = parts if parts is not None else _fused(items, model_rank, peer_rank, evidence, config)
    score = ours + theirs
    share = np.divide(ours, score, out=np.ones_like(score), where=score > 0)
    return [
        Blended(item, float(score[at]), model_rank.get(item), peer_rank.get(item), float(share[at]))
        for at, item in ((at, int(items[at])) for at in np.lexsort((items, -score)).tolist())
    ]


def calibrated(score: ArrayLike, evidence: ArrayLike, by: Calibration) -> Floats:
    """Probabilities σ(bias + slope·score + evidence part); arrays broadcast."""
    odds = by.bias + by.slope * np.asarray(score, np.float64) + by.evidence * np.asarray(evidence, np.float64)
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * odds))
    return found


def peer_share(n_events: ArrayLike, n_peers: ArrayLike, n_hits: ArrayLike, by: PeerShare) -> Floats:
    """The peers' part w of the pool; arrays broadcast."""
    events, peers, hits = (np.log1p(np.asarray(count, np.float64)) for count in (n_events, n_peers, n_hits))
    odds = by.bias + by.peers * peers + by.hits * hits - by.events * events + by.unknown * (events == 0.0)
    return by.most * calibrated(odds, 0.0, Calibration(0.0, 1.0, 0.0))


def _pooled(
    items: NDArray[np.int64],
    model: dict[int, float],
    peers: dict[int, float],
    evidence: Evidence,
    weights: BlendWeights,
) -> tuple[Floats, Floats] | None:
    """Both parts of every score, or None where scores cannot be calibrated."""
    log_probs, hits = np.array(list(model.values()), np.float64), np.array(list(peers.values()), np.float64)
    if not np.isfinite(log_probs).all() or not np.isfinite(hits).all() or (hits <= 0).any() or (hits > 1).any():
        return None
    share = float(peer_share(evidence.n_events, evidence.n_peers, evidence.n_hits, weights.share)) if len(hits) else 0.0
    ours, theirs = np.zeros(len(items)), np.zeros(len(items))
    if len(log_probs):
        normalised = log_probs - np.logaddexp.reduce(log_probs)
        places = np.searchsorted(items, list(model))
        ours[places] = (1.0 - share) * calibrated(normalised, np.log1p(evidence.n_events), weights.model)
    if len(hits):
        places = np.searchsorted(items, list(peers))
        theirs[places] = share * calibrated(np.log(hits), np.log1p(evidence.n_peers), weights.peers)
    return ours, theirs


def _fused(
    items: NDArray[np.int64],
    model_rank: dict[int, int],
    peer_rank: dict[int, int],
    evidence: Evidence,
    config: BlendConfig,
) -> tuple[Floats, Floats]:
    """Both parts of every score by rank."""
    events = max(1, evidence.n_events)  # without a single event the model still has its guess
    ours = events / (events + config.half_events)
    theirs = config.walk_share * evidence.n_peers / (evidence.n_peers + config.half_peers)
    votes = (
        np.array([weight / (config.rank_offset + rank[item]) if item in rank else 0.0 for item in items.tolist()])
        for weight, rank in ((ours, model_rank), (theirs, peer_rank))
    )
    mine, others = votes
    return mine, others
