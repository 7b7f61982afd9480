"""The exact oracle: dense linear algebra over the same definitions, sharing no code with the package."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import numpy as np
import pytest

from trust import AuthorEdges, GraphLimits, TrustGraph

Edges = Mapping[Hashable, Mapping[Hashable, float]]


class Exact:
    """Closed answers for walks that stop with probability alpha before each step."""

    def graph(self, trust: Edges, items: Edges | None = None) -> TrustGraph:
        items = items or {}
        graph = TrustGraph(GraphLimits(authors=100_000, trust_edges=100_000, item_edges=100_000))
        for author in {**trust, **items}:
            graph.replace(author, AuthorEdges(trust.get(author, {}), items.get(author, {})))
        return graph

    def nodes(self, trust: Edges) -> list[Hashable]:
        return list(dict.fromkeys([*trust, *(target for row in trust.values() for target in row)]))

    def transition(self, trust: Edges, nodes: list[Hashable]) -> np.ndarray:
        place = {node: index for index, node in enumerate(nodes)}
        matrix = np.zeros((len(nodes), len(nodes)))
        for source, row in trust.items():
            for target, weight in row.items():
                matrix[place[source], place[target]] = weight / sum(row.values())
        return matrix

    def green(self, step: np.ndarray, alpha: float) -> np.ndarray:
        return np.linalg.inv(np.eye(len(step)) - (1 - alpha) * step)

    def visits(self, trust: Edges, ego: Hashable, alpha: float) -> dict[Hashable, float]:
        nodes = self.nodes(trust)
        green = self.green(self.transition(trust, nodes), alpha)
        return dict(zip(nodes, green[nodes.index(ego)], strict=True))

    def hits(self, trust: Edges, ego: Hashable, alpha: float) -> dict[Hashable, float]:
        """h(v) = G(e, v)/G(v, v) for every v but the ego."""
        nodes = self.nodes(trust)
        green = self.green(self.transition(trust, nodes), alpha)
        start = nodes.index(ego)
        return {node: green[start, v] / green[v, v] for v, node in enumerate(nodes) if v != start}

    def entry(self, trust: Edges, ego: Hashable, region: Iterable[Hashable], alpha: float) -> float:
        """h(R): the probability that a walk ever enters the region."""
        cut = set(region)
        absorbing = {node: ({} if node in cut else row) for node, row in trust.items()}
        visits = self.visits(absorbing, ego, alpha)
        return float(sum(visits.get(node, 0.0) for node in cut))

    def then(self, trust: Edges, ego: Hashable, v: Hashable, sinks: Iterable[Hashable], alpha: float) -> float:
        """P(a walk hits v and later a node of `sinks`, which must be dead ends)."""
        nodes = self.nodes(trust)
        green = self.green(self.transition(trust, nodes), alpha)
        start, goal = nodes.index(ego), nodes.index(v)
        later = sum(green[goal, nodes.index(sink)] for sink in sinks if sink in nodes)
        return float(green[start, goal] / green[goal, goal] * later)

    def bottleneck(self, trust: Edges, ego: Hashable, v: Hashable, alpha: float) -> float:
        """max over x ∉ {ego, v} of P(a walk meets x and later v for the first time) / h(v)."""
        nodes = self.nodes(trust)
        step = self.transition(trust, nodes)
        start, goal = nodes.index(ego), nodes.index(v)
        green = self.green(step, alpha)
        taboo = step.copy()
        taboo[goal] = 0.0
        before = self.green(taboo, alpha)
        shares = [
            before[start, x] / before[x, x] * green[x, goal] / green[goal, goal]
            for x in range(len(nodes))
            if x not in (start, goal)
        ]
        return max(shares, default=0.0) / (green[start, goal] / green[goal, goal])

    def item_hits(
        self,
        items: Edges,
        starts: Mapping[Hashable, float],
        entry: Mapping[Hashable, float],
        alpha: float,
    ) -> dict[Hashable, float]:
        """Unit hits of the item walk as a Markov chain on items.

        A start peer is drawn from `starts` (probabilities) and goes to an item by affinity; then, with
        probability (1 − alpha)² per round, on to a peer by affinity × `entry` and from there to an item.
        """
        names = list(dict.fromkeys(item for row in items.values() for item in row))
        peers = list(items)
        forward = np.zeros((len(peers), len(names)))
        for p, peer in enumerate(peers):
            for item, weight in items[peer].items():
                forward[p, names.index(item)] = weight / sum(items[peer].values())
        back = forward.T * np.array([entry.get(peer, 0.0) for peer in peers])
        totals = back.sum(axis=1, keepdims=True)
        back = np.divide(back, totals, out=np.zeros_like(back), where=totals > 0)
        first = np.array([starts.get(peer, 0.0) for peer in peers]) @ forward
        green = np.linalg.inv(np.eye(len(names)) - (1 - alpha) ** 2 * back @ forward)
        return dict(zip(names, first @ green / np.diag(green), strict=True))

    def noise(self, share: float, walks: int) -> float:
        """Five standard errors of a share of walks, and five walks for shares so rare that it is skewed."""
        return 5.0 * (max(share * (1.0 - share), 0.0) / walks) ** 0.5 + 5.0 / walks


@pytest.fixture(scope="session")
def exact() -> Exact:
    return Exact()
