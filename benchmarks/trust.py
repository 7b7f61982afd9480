"""`python -m benchmarks.trust`: the trust walks beside meritrank-python on the same graphs, in the same run.

Every figure is a median of repeated calls in this process, except the rates (a few seconds of calls, one after the
other). Ratios above 1 say how many times faster ours is.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import partial

import networkx as nx
import numpy as np
from meritrank_python.rank import IncrementalMeritRank
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.trust_graphs import MadeGraph, made_graph, median_ms, timed_ms
from trust import AuthorEdges, PeerRanking, PeerWalks, TrustGraph, rank_items

EDGES = (1_000, 10_000, 100_000, 1_000_000)
BATCH = 64
_SECONDS = 2.0
_COMPILE = (
    "import time\nfrom trust import PeerWalks, TrustGraph, AuthorEdges\n"
    "graph = TrustGraph()\ngraph.replace('e', AuthorEdges({'a': 1.0}, {}))\n"
    "began = time.perf_counter()\nwalks = PeerWalks(graph, 'e', accelerate=True)\nwalks.ranking()\n"
    "graph.set_trust('e', 'b', 1.0)\nwalks.ranking()\nprint(time.perf_counter() - began)\n"
)


@dataclass
class Figures:
    """What was measured on one graph: row title → one figure for each column."""

    edges: int
    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def note(self, title: str, column: str, value: float) -> None:
        """Keep one figure."""
        self.rows.setdefault(title, {})[column] = value


FULL = "full calculation, ms"
EGO = "edit at the ego, ms"
SINGLE = "random edits, one by one, 1/s"
BATCHED = f"random edits, {BATCH} per refresh, 1/s"
REPLACE = "replace an author's 96 edges, ms"
FRIEND = "the same of the ego's best friend, ms"
TOP = "top 10 after an edit, ms"
ITEMS = "recommend: 10k item walks, top 50, p50 ms"
ITEMS95 = "the same, p95 ms"
LOAD = "bulk load, million edges/s"
MEMORY = "graph and walks, MB"
BIGGER_IS_BETTER = {SINGLE, BATCHED, LOAD}


def edits(made: MadeGraph, rng: np.random.Generator) -> Iterator[tuple[str, str, float]]:
    """Draw edges of the graph again and again, each with a new weight."""
    while True:
        for edge in rng.integers(0, len(made.author), 4096).tolist():
            yield made.peers[made.author[edge]], made.peers[made.friend[edge]], 0.5 + edge % 97 / 64


def rate(one: Callable[[], int]) -> float:
    """Calls (or what each returns, summed up) per second."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        done += one()
    return done / (time.perf_counter() - began)


def ego_edits(made: MadeGraph) -> Iterator[tuple[str, str, float]]:
    """Change the weights of the ego's edges in turn."""
    ego = made.busiest
    friends = [made.peers[peer] for peer in made.friend[made.author == made.peers.index(ego)]]
    for turn in itertools.count():
        yield ego, friends[turn % len(friends)], 0.5 + turn * 7 % 16 / 10


def measure_ours(made: MadeGraph, figures: Figures, accelerate: bool) -> None:
    """Measure one of our kernels."""
    column, graph, ego = "numba" if accelerate else "numpy", made.load(), made.busiest
    figures.note(FULL, column, median_ms(lambda: PeerWalks(graph, ego, accelerate=accelerate).ranking()))
    walks = PeerWalks(graph, ego, accelerate=accelerate)
    mine, others = ego_edits(made), edits(made, np.random.default_rng(1))

    def edit(changes: Iterator[tuple[str, str, float]], count: int = 1) -> int:
        for change in itertools.islice(changes, count):
            graph.set_trust(*change)
        walks.refresh()
        return count

    figures.note(EGO, column, median_ms(lambda: edit(mine), 31))
    figures.note(SINGLE, column, rate(lambda: edit(others)))
    figures.note(BATCHED, column, rate(lambda: edit(others, BATCH)))
    rng, friend = np.random.default_rng(2), walks.top(1)[0].peer

    def replace(author: Hashable) -> float:
        stated = AuthorEdges(_drawn(made.peers, 32, rng, author), _drawn(made.items, 64, rng, author))
        return timed_ms(lambda: (graph.replace(author, stated), walks.refresh()))

    figures.note(
        REPLACE,
        column,
        statistics.median(replace(made.peers[i]) for i in rng.integers(0, min(100, len(made.peers)), 31)),
    )
    figures.note(FRIEND, column, statistics.median(replace(friend) for _ in range(31)))
    tops = []
    for _ in range(31):
        edit(others)
        tops.append(timed_ms(lambda: walks.top(10)))
    figures.note(TOP, column, statistics.median(tops))
    ranking = walks.ranking()
    recommended = partial(_recommended, graph, ego, ranking, accelerate)
    recommended(0)  # compiled, or read from disk, once per process
    times = [timed_ms(partial(recommended, seed)) for seed in range(41)]
    figures.note(ITEMS, column, statistics.median(times))
    figures.note(ITEMS95, column, sorted(times)[38])


def _recommended(graph: TrustGraph, ego: str, ranking: PeerRanking, accelerate: bool, seed: int) -> object:
    return rank_items(graph, ego, ranking, seed=seed, accelerate=accelerate).top(50)


def _drawn(keys: list[str], count: int, rng: np.random.Generator, but: Hashable) -> dict[Hashable, float]:
    chosen: dict[Hashable, float] = dict.fromkeys(
        (keys[i] for i in rng.integers(0, len(keys), 2 * count).tolist()), 1.0
    )
    chosen.pop(but, None)
    return dict(list(chosen.items())[:count])


def measure_store(made: MadeGraph, figures: Figures) -> None:
    """Measure loading and memory."""
    edges = len(made.author) + len(made.fan)
    figures.note(LOAD, "numpy", edges / median_ms(made.load, 5) / 1e3)
    tracemalloc.start()
    graph = made.load()
    walks = PeerWalks(graph, made.busiest)
    walks.refresh()
    figures.note(MEMORY, "numpy", tracemalloc.get_traced_memory()[0] / 1e6)
    tracemalloc.stop()
    figures.note("  of these arrays, MB", "numpy", (graph.bytes + walks.bytes) / 1e6)


def measure_package(made: MadeGraph, figures: Figures) -> None:
    """Measure meritrank-python, which knows transitivity decay and unit hits only, no connectivity decay."""
    network = nx.DiGraph()
    names = [made.peers[i] for i in range(len(made.peers))]
    network.add_weighted_edges_from(
        (names[a], names[b], w)
        for a, b, w in zip(made.author.tolist(), made.friend.tolist(), made.weight.tolist(), strict=True)
    )
    package = IncrementalMeritRank(network)
    ego = made.busiest
    began = time.perf_counter()
    package.calculate(ego, 10_000)
    first = (time.perf_counter() - began) * 1e3
    figures.note(FULL, "package", min(first, timed_ms(lambda: IncrementalMeritRank(network).calculate(ego, 10_000))))
    mine, others = ego_edits(made), edits(made, np.random.default_rng(1))

    def edit(changes: Iterator[tuple[str, str, float]]) -> int:
        package.add_edge(*next(changes))
        return 1

    figures.note(EGO, "package", median_ms(lambda: edit(mine), 15))
    figures.note(SINGLE, "package", rate(lambda: edit(others)))
    figures.note(TOP, "package", median_ms(lambda: package.get_ranks(ego, 10), 5))


def compile_seconds() -> tuple[float, float]:
    """Seconds of the first calls with an empty compilation cache, and of those of the next process."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", _COMPILE],
                    env={**os.environ, "NUMBA_CACHE_DIR": cache},
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(2)
        ]
    return seconds[0], seconds[1]


def table(figures: Figures) -> Table:
    """Lay out what was measured on one graph."""
    shown = Table(title=f"{figures.edges:,} trust edges, as many item edges, 10,000 walks", title_justify="left")
    shown.add_column("")
    for column in ("numpy", "numba", "meritrank-python", "numpy is", "numba is"):
        shown.add_column(column, justify="right")
    for title, row in figures.rows.items():
        theirs = row.get("package")
        ratios = [
            ""
            if theirs is None or ours is None
            else f"{ours / theirs if title in BIGGER_IS_BETTER else theirs / ours:,.1f}x"
            for ours in (row.get("numpy"), row.get("numba"))
        ]
        values = [f"{row[c]:,.{3 if row[c] < 10 else 1}f}" if c in row else "" for c in ("numpy", "numba", "package")]
        shown.add_row(title, *values, *ratios)
    return shown


def growth(all_figures: list[Figures]) -> Table:
    """How each figure of the numba kernel grows with the graph."""
    shown = Table(title="how it grows (numba where there are both)", title_justify="left")
    shown.add_column("")
    for figures in all_figures:
        shown.add_column(f"{figures.edges:,}", justify="right")
    for title in all_figures[0].rows:
        rows = [figures.rows[title] for figures in all_figures]
        values = [row.get("numba", row.get("numpy", 0.0)) for row in rows]
        shown.add_row(title, *(f"{value:,.{3 if value < 10 else 1}f}" for value in values))
    return shown


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, nargs="+", default=list(EDGES), metavar="N", help="graph sizes")
    sizes = parser.parse_args().edges
    console, all_figures = Console(width=130), []
    cold, warm = compile_seconds()
    console.print(f"numba, first calls of a process: {cold:.1f} s to compile, {warm:.2f} s from the cache on disk\n")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=4 * len(sizes))
        for edges in sizes:
            made, figures = made_graph(edges), Figures(edges)
            steps: list[tuple[str, Callable[[MadeGraph, Figures], None]]] = [
                ("numpy", partial(measure_ours, accelerate=False)),
                ("numba", partial(measure_ours, accelerate=True)),
                ("meritrank-python", measure_package),
                ("store", measure_store),
            ]
            for name, step in steps:
                progress.update(task, description=f"{edges:,} edges, {name}")
                step(made, figures)
                progress.advance(task)
            console.print(table(figures))
            all_figures.append(figures)
    console.print(growth(all_figures))
    console.print(
        "meritrank-python has no connectivity decay and, when a weight changes, never moves walks off the edge: part "
        "of its speed in random edits is work that it leaves out (see tests/trust/test_stored_walks.py)."
    )


if __name__ == "__main__":
    main()
