"""Graph mathematics of trust: bounded graph store, MeritRank over peers, trust-weighted SALSA over items.

Depends on numpy alone (numba, where installed, only makes it faster); does no I/O, reads no clock, and takes its
randomness as a seed.
"""

from trust.bulk import from_arrays
from trust.edges import AuthorEdges, decay
from trust.errors import (
    ConfigError,
    EdgeError,
    EdgeTimeError,
    SelfEdgeError,
    TooManyEdgesError,
    TrustError,
    WeightError,
)
from trust.graph import GraphLimits, TrustGraph
from trust.item_ranking import ItemRanking, ItemScore
from trust.meritrank import MeritRankConfig, PeerWalks, rank_peers
from trust.networks import from_networkx, to_networkx
from trust.peer_ranking import PeerRanking, PeerScore
from trust.salsa import SalsaConfig, rank_items
from trust.snapshot import GraphSnapshot

__all__ = [
    "AuthorEdges",
    "ConfigError",
    "EdgeError",
    "EdgeTimeError",
    "GraphLimits",
    "GraphSnapshot",
    "ItemRanking",
    "ItemScore",
    "MeritRankConfig",
    "PeerRanking",
    "PeerScore",
    "PeerWalks",
    "SalsaConfig",
    "SelfEdgeError",
    "TooManyEdgesError",
    "TrustError",
    "TrustGraph",
    "WeightError",
    "decay",
    "from_arrays",
    "from_networkx",
    "rank_items",
    "rank_peers",
    "to_networkx",
]
