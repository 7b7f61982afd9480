"""Learning the blend's weights from people whose other choices are known.

First each list is calibrated by itself: logistic regression of "the person wants it" on its score and its evidence
(Platt 1999). Then the peers' part of the pool, with slopes that cannot turn negative: first the one under which what
people want has the largest share of all scores (listwise likelihood), which is smooth, and from there the one with the
best NDCG@10, which is what counts (Nelder and Mead 1965). Every case counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.blend_lists import Lists
from benchmarks.blend_measures import DISCOUNT as _DISCOUNT
from benchmarks.blend_measures import TOP
from benchmarks.blend_people import Case, Ints
from sdk.blend_weights import BlendWeights, Calibration, PeerShare
from sdk.blending import calibrated, peer_share

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST = 0.95
"""The peers' part that no weights learned here may exceed."""
_RIDGE = 1e-3
_TRIALS = 250
METHOD = (
    "Platt's calibration of each list; the peers' part by listwise likelihood and, from there, by NDCG@10 (Nelder and "
    "Mead); slopes kept at or above 0 (benchmarks.blend_fit)"
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What both lists hold of each case, side by side.

    Attributes:
        log_prob: float64 [cases, n], normalised over the model's list; NaN where the model does not list an item.
        log_hit: float64 [cases, n], logarithm of the hit score; NaN where no peer lists an item.
        wanted: bool [cases, n].
        events, peers, hits: float64 [cases, 1], log(1 + n) of each kind of evidence.
    """

    log_prob: Floats
    log_hit: Floats
    wanted: Bools
    events: Floats
    peers: Floats
    hits: Floats

    @classmethod
    def of(cls, cases: Sequence[Case], model: Lists, walks: Lists, depth: int) -> Candidates:
        """Join the first `depth` items of both lists; items after the last one are NaN in both."""
        width = 2 * depth
        log_prob, log_hit = np.full((len(cases), width), np.nan), np.full((len(cases), width), np.nan)
        wanted = np.zeros((len(cases), width), bool)
        for at, case in enumerate(cases):
            ours, log_probs = model.row(at, depth)
            theirs, hits = walks.row(at, depth)
            items: Ints = np.union1d(ours, theirs)
            log_prob[at, np.searchsorted(items, ours)] = log_probs - np.logaddexp.reduce(log_probs)
            log_hit[at, np.searchsorted(items, theirs)] = np.log(hits)
            wanted[at, : len(items)] = np.isin(items, case.wanted)
        events = np.array([[len(case.known)] for case in cases], np.float64)
        counts = (events, walks.n_peers[:, None].astype(np.float64), walks.n_hits[:, None].astype(np.float64))
        return cls(log_prob, log_hit, wanted, *(np.log1p(count) for count in counts))

    def some(self, chosen: Bools) -> Candidates:
        """Only the chosen cases."""
        log_prob, log_hit, wanted = self.log_prob[chosen], self.log_hit[chosen], self.wanted[chosen]
        return Candidates(log_prob, log_hit, wanted, self.events[chosen], self.peers[chosen], self.hits[chosen])


def fit(candidates: Candidates, learned_from: Mapping[str, Any], most: float = MOST) -> BlendWeights:
    """Learn all weights."""
    c = candidates
    model = _calibration(c.log_prob, c.events, c.wanted)
    peers = _calibration(c.log_hit, c.peers, c.wanted)
    m = np.where(np.isnan(c.log_prob), 0.0, calibrated(c.log_prob, c.events, model))
    p = np.where(np.isnan(c.log_hit), 0.0, calibrated(c.log_hit, c.peers, peers))
    told: Bools = np.asarray(c.wanted.any(axis=1))
    share = _share(Candidates(m, p, c.wanted, c.events, c.peers, c.hits).some(told), most)
    return BlendWeights(model, peers, share, dict(learned_from))


def _calibration(score: Floats, evidence: Floats, wanted: Bools) -> Calibration:
    known = ~np.isnan(score)
    x, y = score[known], wanted[known].astype(np.float64)
    e = np.broadcast_to(evidence, score.shape)[known]

    def loss(theta: Floats) -> tuple[float, Floats]:
        odds = theta[0] + theta[1] * x + theta[2] * e
        missed = calibrated(odds, 0.0, Calibration(0.0, 1.0, 0.0)) - y
        gradient = np.array([missed.mean(), (missed * x).mean(), (missed * e).mean()]) + 2 * _RIDGE * theta
        return float((np.logaddexp(0.0, odds) - y * odds).mean() + _RIDGE * theta @ theta), gradient

    found = minimize(loss, np.array([-2.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[_ANY, _RISING, _ANY])
    return Calibration(*(round(float(value), 4) for value in found.x))


_ANY, _RISING = (-20.0, 20.0), (0.0, 20.0)


def _share(pool: Candidates, most: float) -> PeerShare:
    """The peers' part, given both sides' probabilities in place of scores."""
    wanted = pool.wanted / pool.wanted.sum(axis=1, keepdims=True)
    events, peers, hits = (np.expm1(column) for column in (pool.events, pool.peers, pool.hits))

    ideal = np.cumsum(_DISCOUNT)

    def missed(theta: Floats) -> float:
        w = peer_share(events, peers, hits, PeerShare(most, *theta))
        score = (1.0 - w) * pool.log_prob + w * pool.log_hit
        top = np.argpartition(-score, TOP, axis=1)[:, :TOP]
        order = np.take_along_axis(top, np.argsort(-np.take_along_axis(score, top, 1), axis=1, kind="stable"), 1)
        found = np.take_along_axis(pool.wanted, order, 1) @ _DISCOUNT
        return float(-(found / ideal[np.minimum(pool.wanted.sum(axis=1), TOP) - 1]).mean())

    def loss(theta: Floats) -> float:
        w = peer_share(events, peers, hits, PeerShare(most, *theta))
        score = (1.0 - w) * pool.log_prob + w * pool.log_hit
        total = np.log(score.sum(axis=1) + 1e-300)
        return float((total - (wanted * np.log(score + 1e-300)).sum(axis=1)).mean() + _RIDGE * theta @ theta)

    bounds = [_ANY, _RISING, _RISING, _RISING, _RISING]
    likely = minimize(loss, np.array([0.0, 0.1, 0.1, 0.1, 0.1]), method="L-BFGS-B", bounds=bounds).x
    best = minimize(
        lambda theta: missed(np.append(theta, likely[-1])),
        likely[:-1],
        method="Nelder-Mead",
        bounds=bounds[:-1],
        options={"initial_simplex": _around(likely[:-1]), "maxfev": _TRIALS},
    ).x
    # What is added for people without events moves nobody else, so it is searched for by itself.
    unknown = min(np.arange(0.0, 6.5, 0.5), key=lambda value: missed(np.append(best, value)))
    return PeerShare(most, *(round(float(value), 4) for value in (*best, unknown)))


def _around(start: Floats) -> Floats:
    """Where the search begins: half a unit apart, far enough to see orders change."""
    return start + np.vstack([np.zeros(len(start)), 0.5 * np.eye(len(start))])
