"""`python -m benchmarks.gossip`: how fast records spread, what that costs, and what a large network costs a device.

Three parts: real hosts on loopback beside py-libp2p's gossipsub; a network that was cut in two and heals; and bytes
per device and day against the size of the network, for following whom one's walks visit most and for being pushed
everyone's records, with how much of the best 50 items is the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.gossip_devices import Updates
from benchmarks.gossip_hosts import OURS, STOCK, Spread, fleet
from benchmarks.gossip_memory import (
    DAYS,
    WALKS,
    Likeness,
    Traffic,
    heal_seconds,
    pushed_bytes,
    simulate_some,
    simulate_whole,
)
from benchmarks.gossip_people import LOCAL, made_people

HOSTS = (2, 10, 30, 60)
PEERS = (300, 1_000, 10_000)
WHOLE_UP_TO = 300
WANTED = 500
HEALED = 60
_ROUNDS = 3


def main() -> None:
    """Run the parts that were asked for, print their tables, and keep the figures."""
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    figures: dict[str, object] = {}
    if arguments.hosts:
        spreads = measure_hosts(arguments.hosts, console)
        console.print(hosts_table(spreads))
        figures["hosts"] = [{"hosts": n, "kind": kind, **asdict(s)} for (n, kind), s in spreads.items()]
    if arguments.heal:
        seconds = heal_seconds(arguments.heal, arguments.seed)
        outcome = "NOT within ten minutes" if seconds is None else f"after {seconds:.0f} s"
        console.print(
            f"\n{arguments.heal} peers, a tenth of messages lost, cut in two for a minute while everyone publishes:\n"
            f"all stores are equal and complete {outcome} (virtual time) of healing\n"
        )
        figures["heal_s"] = seconds
    if arguments.peers:
        traffic = measure_traffic(arguments, console)
        console.print(traffic_table(traffic, arguments))
        figures["traffic"] = [
            {"peers": n, "way": way, "pushed": pushed, "devices": [asdict(t) for t in found]}
            for (n, way), (pushed, found) in traffic.items()
        ]
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gossip", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="*", default=HOSTS, help="real hosts (default: %(default)s)")
    parser.add_argument("--heal", type=int, default=HEALED, metavar="PEERS", help="0 leaves this part out")
    parser.add_argument("--peers", type=int, nargs="*", default=PEERS, help="network sizes (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=12, help="devices judged in each network (default: %(default)s)")
    parser.add_argument("--wanted", type=int, default=WANTED, help="authors a device follows (default: %(default)s)")
    parser.add_argument(
        "--local", type=float, default=LOCAL, help="share of trust within groups (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    return parser


def measure_hosts(counts: Sequence[int], console: Console) -> dict[tuple[int, str], Spread]:
    """Run fleets of both kinds; of some rounds the one with the median time to reach everyone counts."""
    spreads = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("real hosts", total=2 * len(counts) * _ROUNDS)
        for count in counts:
            for kind in (OURS, STOCK):
                with fleet(kind, count) as hosts:
                    rounds = []
                    for _ in range(_ROUNDS):
                        rounds.append(hosts.burst())
                        progress.advance(task)
                spreads[count, kind] = sorted(rounds, key=lambda spread: spread.all_s)[_ROUNDS // 2]
    return spreads


def hosts_table(spreads: dict[tuple[int, str], Spread]) -> Table:
    """Return the table of the first part; ratios are ours to the peer's, below 1 is better."""
    table = Table(title="Real hosts on loopback, a process each: everyone publishes at once")
    for column in ("hosts", "", "delivered", "p50 s", "p99 s", "to all s", "bytes / record", "CPU ms / record"):
        table.add_column(column, justify="left" if not column else "right")
    for (count, kind), s in spreads.items():
        costs = (s.p50_s, s.p99_s, s.all_s, s.bytes_per_record, s.cpu_ms_per_record)
        numbers = [f"{v:.2f}" for v in costs[:3]] + [f"{costs[3]:,.0f}", f"{costs[4]:.1f}"]
        table.add_row(str(count), kind, f"{s.delivered:.1%}", *numbers)
        if kind == STOCK:
            ours = spreads[count, OURS]
            mine = (ours.p50_s, ours.p99_s, ours.all_s, ours.bytes_per_record, ours.cpu_ms_per_record)
            ratios = (f"× {a / b:.2f}" if b else "" for a, b in zip(mine, costs, strict=True))
            table.add_row("", "ours to theirs", "", *ratios, end_section=True)
    return table


def measure_traffic(
    arguments: argparse.Namespace, console: Console
) -> dict[tuple[int, str], tuple[int, list[Traffic]]]:
    """Simulate each network; the smaller ones whole, and the largest of those in the other way too."""
    ways = [(n, "whole") for n in arguments.peers if n <= WHOLE_UP_TO]
    check = max((n for n, _ in ways), default=0)
    ways += [(n, "sampled") for n in arguments.peers if n > WHOLE_UP_TO or n == check]
    found = {}
    with Progress(console=console, transient=True) as progress:
        for n, way in sorted(ways):
            runs = 1 if way == "whole" else arguments.devices
            task = progress.add_task(f"{n} peers, {way}", total=runs * DAYS * 24)
            people = made_people(n, arguments.seed, arguments.local)
            simulate = simulate_whole if way == "whole" else simulate_some
            advance = partial(progress.advance, task)
            traffic = simulate(people, arguments.wanted, arguments.seed, advance, arguments.devices)
            found[n, way] = (pushed_bytes(people, Updates(people, arguments.seed)), traffic)
    return found


def traffic_table(found: dict[tuple[int, str], tuple[int, list[Traffic]]], arguments: argparse.Namespace) -> Table:
    """Return the table of the third part."""
    table = Table(
        title=f"Received per device and day; everyone publishes once a day; {arguments.wanted} authors are followed",
        caption="A sampled device's neighbours are real cores; the rest of the network is one. Pushed: everyone's\n"
        "records, each once, without overhead. Same top 50: as a device that holds everyone's records,\n"
        "in brackets how alike two such devices are that draw their walks differently.",
    )
    few, many = (f"{walks // 1000}k walks" for walks in WALKS)
    for column in ("peers", "", "held", "latest", "pushed KiB", "day 1 KiB", "day 2 KiB", "day 2 / pushed"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column(f"same top 50, {few}", justify="right")
    table.add_column(many, justify="right")
    for (n, way), (pushed, traffic) in found.items():
        days = [mean(t.days[day] for t in traffic) for day in range(DAYS)]
        judged = [t.likeness for t in traffic if t.likeness]
        alike = [_alike([likeness[walks] for likeness in judged]) for walks in WALKS]
        held, fresh = mean(t.held for t in traffic), mean(t.fresh for t in traffic)
        sizes = [f"{value / 1024:,.0f}" for value in (pushed, *days)]
        table.add_row(f"{n:,}", way, f"{held:.0f}", f"{fresh:.1%}", *sizes, f"{days[1] / pushed:.1%}", *alike)
    return table


def _alike(found: Sequence[Likeness]) -> str:
    return f"{mean(one.guided for one in found):.2f} ({mean(one.chance for one in found):.2f})"


if __name__ == "__main__":
    main()
