"""The devices' half of the demo: eight processes gossip on loopback, then answer with their lists."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.cast import N_SYBILS, Cast, Part
from examples.demo.fleet import Answer, Fleet
from server_training.console import console, counting_bar

ATTACKER = "Mallory"
_CONVERGE_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Gossiped:
    """What the processes answered.

    Attributes:
        hello: identity and start-up by device name.
        status: traffic and records by device name.
        timing: latency and memory by device name; not the attacker's.
        lists: lists and trust by device name; not the attacker's.
        convergence_s: from the first dial until every process held every record.
        records: how many records there are.
        edges: (source peer, target peer, level), as published.
    """

    hello: dict[str, Answer]
    status: dict[str, Answer]
    timing: dict[str, Answer]
    lists: dict[str, Answer]
    convergence_s: float
    records: int
    edges: list[tuple[str, str, int]]


def gossip(cast: Cast, bundle: Path, publisher: bytes, namespace: str, folder: Path) -> Gossiped:
    """Run the whole network part.

    Raises:
        FleetError: a process died, or the devices did not converge.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part.name: part for part in cast.parts}
    with Fleet(folder) as fleet:
        for name in parts:
            fleet.start(name, "examples.demo.device", str(folder / name), str(bundle), publisher.hex())
        fleet.start(ATTACKER, "examples.demo.attacker", str(folder / ATTACKER), str(N_SYBILS))
        hello = fleet.ask_all("hello")
        console.print(f"network   {len(hello)} processes started, runtime {hello[cast.parts[0].name]['runtime']}")
        setup = _setup(cast, parts, hello, namespace)
        fleet.ask_all("setup", setup)
        addresses = {name: answer["addresses"][0] for name, answer in fleet.ask_all("listen").items()}
        records = len(cast.parts) + 1 + N_SYBILS
        with counting_bar("gossip: records held by all") as bar:
            convergence = _converge(fleet, addresses, records, bar)
        console.print(f"gossip    {records} signed records on {len(hello)} devices after {convergence:.1f} s")
        asked = {name: {"asked_at": part.asked_at} for name, part in parts.items()}
        # One after the other: eight processes timing at once on two cores would measure each other.
        timing = {name: fleet.members[name].ask("time", **asked[name]) for name in parts}
        status = fleet.ask_all("status")
        lists = fleet.ask_some(parts, "lists", lambda name: asked[name])
    edges = _edges(parts, hello, setup)
    return Gossiped(hello, status, timing, lists, convergence, records, edges)


def _setup(
    cast: Cast, parts: dict[str, Part], hello: dict[str, Answer], namespace: str
) -> Callable[[str], dict[str, Any]]:
    def arguments(name: str) -> dict[str, Any]:
        if name == ATTACKER:
            return {"namespace": namespace, "bait": list(cast.bait), "spam": list(cast.spam)}
        vouches = [(hello[friend]["peer"], level) for friend, level in parts[name].vouches]
        if name == cast.fooled:
            vouches.append((hello[ATTACKER]["peer"], 2))
        return {"events": [list(event) for event in parts[name].events], "vouches": vouches}

    return arguments


def _converge(fleet: Fleet, addresses: dict[str, str], records: int, progress: Callable[[int, int], None]) -> float:
    """Dial a ring with one chord each, and wait until all hold all records."""
    names = list(addresses)

    def targets(name: str) -> dict[str, object]:
        place = names.index(name)
        return {"addresses": [addresses[names[(place + step) % len(names)]] for step in (1, 3)]}

    began = time.perf_counter()
    fleet.ask_all("dial", targets)
    fleet.wait_for_records(records, _CONVERGE_WITHIN_S, progress)
    return time.perf_counter() - began


def _edges(
    parts: dict[str, Part], hello: dict[str, Answer], setup: Callable[[str], dict[str, Any]]
) -> list[tuple[str, str, int]]:
    edges = [(hello[name]["peer"], peer, level) for name in parts for peer, level in setup(name)["vouches"]]
    attacker = hello[ATTACKER]["peer"]
    for sybil in hello[ATTACKER]["sybils"]:
        edges += [(attacker, sybil, 3), (sybil, attacker, 3)]
    return edges


def save_answers(path: Path, gossiped: Gossiped) -> None:
    """Keep the raw answers next to the report, for whoever wants to check it."""
    content = {"hello": gossiped.hello, "status": gossiped.status, "timing": gossiped.timing, "lists": gossiped.lists}
    path.write_text(json.dumps(content, indent=1))
