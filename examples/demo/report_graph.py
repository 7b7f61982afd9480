"""Drawings of the report, as inline SVG: the trust graph, bars, the training curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import networkx as nx

_WIDTH, _HEIGHT = 900, 520
_RADIUS = {"regular": 13.0, "newcomer": 17.0, "attacker": 15.0, "sybil": 5.0}


def trust_graph(
    peers: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], trust: Mapping[str, float]
) -> str:
    """Draw who vouches for whom: honest people laid out by their vouches, Sybils as a fan behind the attacker.

    Args:
        peers: peer, name and role of each.
        edges: source, target and level of each vouch.
        trust: score of a peer as the newcomer's device sees it.
    """
    place = _layout(peers, edges)
    lines = [_arrow(place, edge) for edge in edges]
    dots = [_dot(place[p["peer"]], p, trust.get(p["peer"], 0.0)) for p in peers]
    title = "Who vouches for whom"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="graph-title graph-text">'
        f'<title id="graph-title">{title}</title><desc id="graph-text">{escape(_described(peers, edges))}</desc>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0,1 L7,4 L0,7 z" class="tip"/></marker></defs>{"".join(lines)}{"".join(dots)}</svg>'
    )


def _layout(peers: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    people = [p["peer"] for p in peers if p["role"] != "sybil"]
    graph = nx.Graph([(e["source"], e["target"]) for e in edges if e["source"] in people and e["target"] in people])
    graph.add_nodes_from(people)
    raw = nx.spring_layout(graph, seed=7, k=1.4, iterations=300)
    attacker = next((p["peer"] for p in peers if p["role"] == "attacker"), None)
    # The attacker to the right edge of the crowd, so that the fan behind it has room.
    place = {peer: (220.0 + 190.0 * x, _HEIGHT / 2 + 200.0 * y) for peer, (x, y) in raw.items()}
    if attacker is not None:
        place[attacker] = (570.0, _HEIGHT / 2)
        sybils = [p["peer"] for p in peers if p["role"] == "sybil"]
        for number, peer in enumerate(sybils):
            angle = math.pi * (number / max(1, len(sybils) - 1) - 0.5) * 0.9
            reach = 190.0 + 55.0 * (number % 2)
            place[peer] = (570.0 + reach * math.cos(angle), _HEIGHT / 2 + reach * math.sin(angle))
    return place


def _arrow(place: Mapping[str, tuple[float, float]], edge: Mapping[str, Any]) -> str:
    (x1, y1), (x2, y2) = place[edge["source"]], place[edge["target"]]
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    x1, y1 = x1 + 16 * (x2 - x1) / length, y1 + 16 * (y2 - y1) / length
    x2, y2 = x2 - 18 * (x2 - x1) / length, y2 - 18 * (y2 - y1) / length
    kind = "sham" if edge.get("sham") else "vouch"
    return (
        f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" class="{kind}" '
        f'stroke-width="{0.6 + 0.7 * edge["level"]:.1f}" marker-end="url(#tip)"/>'
    )


def _dot(at: tuple[float, float], peer: Mapping[str, Any], trust: float) -> str:
    x, y = at
    role, radius = peer["role"], _RADIUS[peer["role"]]
    tip = f"<title>{escape(peer['name'])}, {role}, trust {trust:.3f} as the newcomer sees it</title>"
    if role in ("attacker", "sybil"):  # squares, so that colour is not the only sign
        side = 1.7 * radius
        shape = f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" height="{side:.1f}"'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    label = "" if role == "sybil" else f'<text x="{x:.0f}" y="{y - radius - 7:.0f}">{escape(peer["name"])}</text>'
    return f'<g class="{role}">{shape}>{tip}</{shape.split()[0][1:]}>{label}</g>'


def _described(peers: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> str:
    names = {p["peer"]: p["name"] for p in peers if p["role"] != "sybil"}
    known = [e for e in edges if e["source"] in names and e["target"] in names]
    return "; ".join(f"{names[e['source']]} vouches for {names[e['target']]} at level {e['level']}" for e in known)


def bars(rows: Sequence[tuple[str, float, str]], largest: float, unit: str, label: str) -> str:
    """Draw horizontal bars.

    Args:
        rows: name, value and class of each bar.
        largest: value of a full bar.
        unit: format of the value, such as "{:.0%}".
        label: what the picture shows, for those who do not see it.
    """
    step = 30
    parts = []
    for number, (name, value, kind) in enumerate(rows):
        y = number * step
        width = 420 * value / largest if largest else 0.0
        parts.append(
            f'<text x="230" y="{y + 19}" class="name">{escape(name)}</text>'
            f'<rect x="240" y="{y + 5}" width="{max(width, 1.5):.1f}" height="19" rx="3" class="{kind}"/>'
            f'<text x="{248 + width:.0f}" y="{y + 19}" class="value">{unit.format(value)}</text>'
        )
    text = "; ".join(f"{name} {unit.format(value)}" for name, value, _ in rows)
    return (
        f'<svg viewBox="0 0 740 {len(rows) * step + 4}" role="img" class="bars">'
        f"<title>{escape(label)}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )


def curve(points: Sequence[Mapping[str, Any]]) -> str:
    """Draw the training loss over epochs, with the validation NDCG@10 written where it was measured."""
    losses = [p["loss"] for p in points]
    low, high = min(losses), max(losses)
    span = (high - low) or 1.0

    def xy(number: int) -> tuple[float, float]:
        return 50 + 640 * number / max(1, len(points) - 1), 20 + 150 * (high - losses[number]) / span

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(xy, range(len(points))))
    marks = ""
    for number, point in enumerate(points):
        if point["valid_ndcg_at_10"] is not None:
            x, y = xy(number)
            marks += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/><text x="{x:.0f}" y="{y - 10:.0f}">'
            marks += f"{point['valid_ndcg_at_10']:.3f}</text>"
    return (
        '<svg viewBox="0 0 740 205" role="img" class="curve"><title>Training loss by epoch</title>'
        f"<desc>From {losses[0]:.2f} to {losses[-1]:.2f} in {len(points)} epochs.</desc>"
        f'<polyline points="{path}"/>{marks}<text x="50" y="198" class="axis">epoch 1</text>'
        f'<text x="690" y="198" class="axis">epoch {len(points)}</text></svg>'
    )
