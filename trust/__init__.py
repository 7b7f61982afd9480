"""Graph mathematics of trust: bounded graph store, MeritRank over peers, trust-weighted SALSA over items.

Depends on numpy alone; does no I/O, reads no clock, and takes its randomness as an argument.
"""

from trust.edges import AuthorEdges, decay
from trust.errors import ConfigError, EdgeError, SelfEdgeError, TooManyEdgesError, TrustError, WeightError
from trust.graph import GraphLimits, GraphSnapshot, TrustGraph
from trust.item_ranking import ItemRanking, ItemScore
from trust.meritrank import MeritRankConfig, rank_peers
from trust.peer_ranking import PeerRanking, PeerScore
from trust.salsa import SalsaConfig, rank_items

__all__ = [
    "AuthorEdges",
    "ConfigError",
    "EdgeError",
    "GraphLimits",
    "GraphSnapshot",
    "ItemRanking",
    "ItemScore",
    "MeritRankConfig",
    "PeerRanking",
    "PeerScore",
    "SalsaConfig",
    "SelfEdgeError",
    "TooManyEdgesError",
    "TrustError",
    "TrustGraph",
    "WeightError",
    "decay",
    "rank_items",
    "rank_peers",
]
