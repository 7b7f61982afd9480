"""How fast and how large simulations run.

`python -m benchmarks.simulate [--peers 100 300 1000] [--rank 10000 100000] [--egos 400] [--walks 1000] [--processes 1]`

Protocol fidelity: one virtual day of a generated network in which everybody is online and publishes, a tenth of all
identities are Sybils; seconds of one core, and the most resident memory, in a process of its own per size, so that
growth with the number of peers can be read off. Rank fidelity: rankings judged per second, the network's loading apart.
Beside it, on the same network and people: networkx's personalised PageRank, which ranks peers only and bounds nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import networkx as nx

from sdk.simulation.course import Course
from sdk.simulation.engines import one_process
from sdk.simulation.protocol import Progress, simulate
from sdk.simulation.rank import Judging, judge_all
from sdk.simulation.scenario import AttackConfig, MeasureConfig, PopulationConfig, Scenario, TrustConfig
from sdk.simulation.world import World

_HERE = Path()
_PEER_EGOS = 3  # PageRank takes seconds for each


def scenario_of(peers: int, egos: int, walks: int) -> Scenario:
    """Return the network that is measured."""
    return Scenario(
        population=PopulationConfig(peers=peers, groups=max(1, peers // 100), items=2 * peers),
        trust=TrustConfig(walks=walks),
        measure=MeasureConfig(egos=egos),
        attacks=(AttackConfig(share=0.1),),
    )


def protocol_day(peers: int, walks: int) -> dict[str, float]:
    """Simulate a day; return seconds of the processor and megabytes."""
    scenario = scenario_of(peers, min(50, peers), walks)
    before = time.process_time()
    workers = one_process(scenario, _HERE)
    made = time.process_time()
    progress = simulate(scenario, workers, Progress(), lambda _: None)
    taken = time.process_time()
    known = min(row.known for row in progress.traffic)
    return {"make_s": made - before, "day_s": taken - made, "rss_mb": _largest_resident_mb(), "known": known}


def _largest_resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _measured(peers: int, walks: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.simulate", "--worker", str(peers), "--walks", str(walks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peers} peers failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def rank_speed(peers: int, egos: int, walks: int, processes: int) -> tuple[float, float]:
    """Return seconds to load the network and rankings per second."""
    scenario = replace(scenario_of(peers, egos, walks), fidelity="rank")
    began = time.perf_counter()
    course = Course(scenario, _HERE)
    places = [(24.0, int(ego)) for ego in course.egos]
    if processes == 1:
        judging = Judging(course)
        judging.verdict(*places[0])
        loaded = time.perf_counter()
        for place in places:
            judging.verdict(*place)
        return loaded - began, len(places) / (time.perf_counter() - loaded)
    answers = judge_all(course, [*places[: 2 * processes], *places], processes)
    for _ in range(2 * processes):  # each process has loaded the network when it answers
        next(answers)
    loaded = time.perf_counter()
    judged = sum(1 for _ in answers)
    return loaded - began, judged / (time.perf_counter() - loaded)


def pagerank_speed(peers: int, egos: int, walks: int) -> float:
    """Return rankings per second by networkx."""
    scenario = scenario_of(peers, egos, walks)
    course = Course(scenario, _HERE)
    graph = _graph(course.world(0))
    began = time.perf_counter()
    chosen = course.egos.tolist()[:_PEER_EGOS]
    for ego in chosen:
        nx.pagerank(graph, alpha=1 - scenario.trust.alpha, personalization={ego: 1.0}, weight="weight")
    return len(chosen) / (time.perf_counter() - began)


def _graph(world: World) -> nx.DiGraph:
    trust, _ = world.edges()
    graph = nx.DiGraph()
    rows = zip(trust.sources().tolist(), trust.targets.tolist(), trust.levels.tolist(), strict=True)
    graph.add_weighted_edges_from(rows)
    return graph


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description="How fast and how large simulations run.")
    parser.add_argument("--peers", type=int, nargs="*", default=[100, 300, 1000], help="protocol fidelity")
    parser.add_argument("--rank", type=int, nargs="*", default=[10_000, 100_000], help="rank fidelity")
    parser.add_argument("--egos", type=int, default=400, help="rankings judged (default: 400)")
    parser.add_argument("--walks", type=int, default=1_000, help="walks of either kind (default: 1000)")
    parser.add_argument("--processes", type=int, default=1, help="that judge side by side (default: 1)")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(protocol_day(arguments.worker, arguments.walks)))
        return
    print(f"protocol fidelity, one virtual day, {arguments.walks} walks, one core")
    print(f"{'peers':>8}{'make s':>9}{'day s':>9}{'ms per peer':>13}{'MB':>8}{'KB per peer':>13}{'least known':>13}")
    for peers in arguments.peers:
        found = _measured(peers, arguments.walks)
        print(
            f"{peers:>8}{found['make_s']:>9.1f}{found['day_s']:>9.1f}{found['day_s'] / peers * 1e3:>13.0f}"
            f"{found['rss_mb']:>8.0f}{found['rss_mb'] * 1024 / peers:>13.0f}{found['known']:>13.0%}"
        )
    print(f"\nrank fidelity, {arguments.walks} walks, {arguments.processes} process(es)")
    print(f"{'peers':>8}{'load s':>9}{'rankings/s':>12}{'networkx PageRank/s':>21}{'ratio':>9}")
    for peers in arguments.rank:
        load, speed = rank_speed(peers, min(arguments.egos, peers), arguments.walks, arguments.processes)
        other = pagerank_speed(peers, min(arguments.egos, peers), arguments.walks)
        print(f"{peers:>8}{load:>9.1f}{speed:>12.0f}{other:>21.2f}{speed / other:>8.0f}x")


if __name__ == "__main__":
    main()
