"""Cut peers: through whom the walks to a peer, or the support of an item, had to pass.

A region of Sybils hangs behind whoever trusted it by mistake, so whatever it supports has that person as a cut peer,
however many identities the region holds. A stranger's share counts as it is. A direct friend is the ego's own choice,
and with few friends every walk passes through one: of a friend's share only what goes beyond the friend's part in all
walks counts, and nothing of what the friend itself supports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trust.kernels import CoVisits
from trust.rows import Bools, Floats, Ints, WeightedRows, ranges


@dataclass(frozen=True, slots=True, eq=False)
class CutPeers:
    """For each stranger, the peers through whom at least a quarter of its walks came, itself (share 1) included.

    Direct friends have no entries: what they support, the ego chose to hear.

    Attributes:
        peer: int64 [reached], numbers of the peers that walks hit, ascending; a "place" is one in it.
        indptr: int64 [reached + 1]; the peer at place p owns the entries indptr[p]:indptr[p + 1].
        through: int64 [entries], place of a peer.
        share: float64 [entries], in [0.25, 1].
        usual: float64 [reached], a direct friend's part in all walks that go anywhere; 0 for strangers.
    """

    peer: Ints
    indptr: Ints
    through: Ints
    share: Floats
    usual: Floats

    @classmethod
    def of(cls, shared: CoVisits, peer: Ints, hits: Ints, direct: Bools, going: int) -> CutPeers:
        """Collect the entries from co-visits, those of at least a quarter of a peer's walks.

        Args:
            shared: co-visits of the ranked peers that are no direct friends.
            peer: int64 [reached], numbers of the peers that walks hit, ascending.
            hits: int64 [reached].
            direct: bool [reached].
            going: number of walks that go anywhere.
        """
        own = np.flatnonzero(~direct)
        met = np.searchsorted(peer, shared.peer)
        whose = np.concatenate([met, own])
        through = np.concatenate([np.searchsorted(peer, shared.before), own])
        share = np.concatenate([shared.walks / hits[met], np.ones(len(own))])
        order = np.argsort(whose, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(whose, minlength=len(peer)))])
        usual = np.where(direct, hits / max(going, 1), 0.0)
        return cls(peer, indptr, through[order], share[order], usual)

    def largest_share(self, supporters: WeightedRows) -> Floats:
        """Return, per item, the largest share of its support that passed through one peer.

        Args:
            supporters: items → numbers of peers that walks hit, shares of an item's support.

        Returns:
            float64 [items], in [0, 1].
        """
        item = np.repeat(np.arange(supporters.n_rows), np.diff(supporters.indptr))
        place = np.searchsorted(self.peer, supporters.columns)
        count = np.diff(self.indptr)[place]
        entry = ranges(self.indptr[place], count)
        n_peers = max(len(self.peer), 1)
        pair = np.repeat(item, count) * n_peers + self.through[entry]
        part = np.repeat(supporters.shares, count) * self.share[entry]
        distinct, which = np.unique(pair, return_inverse=True)
        usual = self.usual[distinct % n_peers]
        beyond = np.bincount(which, weights=part, minlength=len(distinct)) - usual
        largest = np.zeros(supporters.n_rows)
        np.maximum.at(largest, distinct // n_peers, beyond / np.maximum(1.0 - usual, 1e-9))
        return np.minimum(largest, 1.0)


def smoothed(through: npt.ArrayLike, hits: npt.ArrayLike, prior_hits: float, prior_share: float) -> Floats:
    """Smoothed bottleneck share b̂ = (through + n0·b0)/(hits + n0), at most 1.

    Args:
        through: how many of the hits came through one peer.
        hits: how many there were.
        prior_hits: pseudo-hits n0.
        prior_share: share b0 of those that count as through one peer.
    """
    share: Floats = np.add(through, prior_hits * prior_share) / np.maximum(np.add(hits, prior_hits), 1.0)
    return np.minimum(share, 1.0)
