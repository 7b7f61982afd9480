"""Trust edges from and to networkx graphs; networkx is needed for the export only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trust.bulk import from_arrays
from trust.errors import ConfigError, EdgeError
from trust.graph import GraphLimits, TrustGraph

if TYPE_CHECKING:
    import networkx as nx


def from_networkx(graph: nx.Graph, weight: str = "weight", *, limits: GraphLimits | None = None) -> TrustGraph:
    """Take the edges of a networkx graph as trust edges; each undirected edge counts both ways.

    Args:
        graph: Any graph without parallel edges.
        weight: Edge attribute that holds the weight; 1 where it is missing.
        limits: How much to store; by default as much as the graph has.

    Raises:
        EdgeError: A weight, an edge or the graph itself cannot be accepted (see `from_arrays`).
    """
    if graph.is_multigraph():
        raise EdgeError("parallel edges have no one weight; make a DiGraph and add their weights up first")
    peers = list(graph.nodes)
    place = {peer: index for index, peer in enumerate(peers)}
    edges = [(place[a], place[b], stated) for a, b, stated in graph.edges(data=weight, default=1.0)]
    if not graph.is_directed():
        edges += [(b, a, stated) for a, b, stated in edges if a != b]
    author = np.array([a for a, _, _ in edges], dtype=np.int64)
    if limits is None:
        most = int(np.bincount(author).max(initial=1))
        limits = GraphLimits(authors=max(len(peers), 2), trust_edges=most, item_edges=max(64, most))
    return from_arrays(
        peers,
        (author, np.array([b for _, b, _ in edges], dtype=np.int64), [stated for _, _, stated in edges]),
        limits=limits,
    )


def to_networkx(graph: TrustGraph) -> nx.DiGraph:
    """Copy peers and trust edges, weights as stated, into a networkx graph.

    Raises:
        ConfigError: networkx is not installed.
    """
    try:
        import networkx as nx
    except ImportError as error:
        raise ConfigError("networkx is not installed; `pip install networkx`") from error
    copied: Any = nx.DiGraph()
    keys = graph.peers.keys
    for author in graph.authors:
        copied.add_node(author)
        columns, weights, *_ = graph.trust_rows.row(graph.peers.find(author))
        pairs = zip(columns.tolist(), weights.tolist(), strict=True)
        copied.add_weighted_edges_from((author, keys[peer], weight) for peer, weight in pairs)
    return copied
