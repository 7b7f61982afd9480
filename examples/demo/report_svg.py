"""Drawings of the report as inline SVG: bars, lines, and the graph of who vouches for whom.

Bars and lines are laid out in per cent of the width and in pixels of the height, so that their text keeps its size on
a narrow screen. The graph has two layouts, one across and one upright, of which the style sheet shows the fitting one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from examples.demo.report_html import Html, clipped, el, html
from examples.demo.results import Peer, Vouch

_ROW, _BAR = 46, 12  # pixels
_TOP, _BOTTOM = 34.0, 132.0  # of a line's plot
_LONG_SIDE, _SHORT_SIDE = 930.0, 540.0  # of the graph
_CENTRE, _ATTACKER, _NEWCOMER = (240.0, 262.0), (640.0, 262.0), (505.0, 452.0)
_RING, _FAN = (165.0, 160.0), (200.0, 246.0)
_HOSTILE = ("attacker", "sybil")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its value, the value as written, and its kind: ours, other, on, off or hostile."""

    name: str
    value: float
    written: str
    kind: str


def bars(key: str, title: str, rows: Sequence[Bar], full: float) -> Html:
    """Draw horizontal bars, each under its name and value; bars of the kinds off and hostile are striped.

    Args:
        key: identifier, unique in the page.
        title: what the drawing shows, for those who do not see it.
        rows: the bars.
        full: value of a bar as wide as the drawing.
    """
    parts = [stripes(key)]
    for place, row in enumerate(rows):
        top = place * _ROW
        width = 100.0 * min(1.0, row.value / full) if full > 0 else 0.0
        paint = {"fill": f"url(#{key}-stripes)"} if row.kind in ("off", "hostile") else {}
        parts += [
            el("text", clipped(row.name, 42), x=0, y=top + 15, class_="name"),
            el("text", row.written, x="100%", y=top + 15, class_="value"),
            el("rect", x=0, y=top + 23, width="100%", height=_BAR, rx=3, class_="track"),
            el("rect", x=0, y=top + 23, width=f"{width:.2f}%", height=_BAR, rx=3, class_=f"bar {row.kind}", **paint),
        ]
    said = "; ".join(f"{row.name}: {row.written}" for row in rows)
    return _drawing(key, title, said, html(*parts), class_="bars", width="100%", height=len(rows) * _ROW - 8)


def line(key: str, title: str, points: Sequence[tuple[int, float]], written: str, labelled: Sequence[int]) -> Html:
    """Draw a line over epochs.

    Args:
        key: identifier, unique in the page.
        title: what the drawing shows, for those who do not see it.
        points: (epoch, value), at least one.
        written: format of a value, such as "{:.2f}".
        labelled: indices of the points that get a mark and their value.
    """
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, span = min(values), (max(values) - min(values)) or 1.0
    at = [
        (100.0 * (e - first) / max(1, last - first), _BOTTOM - (_BOTTOM - _TOP) * (v - low) / span) for e, v in points
    ]
    parts = [el("line", x1=0, x2="100%", y1=_BOTTOM + 14, y2=_BOTTOM + 14, class_="axis")]
    for (x1, y1), (x2, y2) in pairwise(at):
        parts.append(el("line", x1=f"{x1:.2f}%", y1=y1, x2=f"{x2:.2f}%", y2=y2, class_="line"))
    for place in labelled:
        x, y = at[place]
        parts.append(el("circle", cx=f"{x:.2f}%", cy=y, r=4, class_="dot"))
        parts.append(_edge_text(x, y - 12, written.format(values[place]), "value"))
    parts += [
        _edge_text(0.0, _BOTTOM + 34, f"epoch {first}", "soft"),
        _edge_text(100.0, _BOTTOM + 34, str(last), "soft"),
    ]
    said = ", ".join(f"epoch {epoch}: {written.format(value)}" for epoch, value in points)
    return _drawing(key, title, said, html(*parts), class_="lines", width="100%", height=172)


def trust_graph(
    key: str, title: str, peers: Sequence[Peer], edges: Sequence[Vouch], trust: Mapping[str, float], upright: bool
) -> Html:
    """Draw who vouches for whom: people in a ring, the newcomer below it, Sybils as a fan behind the attacker.

    Args:
        key: identifier, unique in the page.
        title: what the drawing shows, for those who do not see it.
        peers: everyone.
        edges: vouches among them.
        trust: score by peer; it sets the size of a node.
        upright: lay it out for a narrow screen.
    """
    place = _layout(peers, edges)
    if upright:
        place = {peer: (y, x) for peer, (x, y) in place.items()}
    roles = {peer["peer"]: peer["role"] for peer in peers}
    most = max(trust.values(), default=0.0) or 1.0
    size = {
        peer["peer"]: 19.0
        if peer["role"] == "newcomer"
        else 6.0 + 20.0 * math.sqrt(trust.get(peer["peer"], 0.0) / most)
        for peer in peers
    }
    both = {(edge["source"], edge["target"]) for edge in edges}
    arrows = [
        _arrow(key, edge, place, size, roles, mutual=(edge["target"], edge["source"]) in both)
        for edge in edges
        if not (_sham(edge, roles) and (edge["target"], edge["source"]) in both and edge["source"] > edge["target"])
    ]
    nodes = [_node(key, peer, place[peer["peer"]], size[peer["peer"]], trust, upright) for peer in peers]
    names = {peer["peer"]: peer["name"] for peer in peers if peer["role"] != "sybil"}
    said = "; ".join(
        f"{names[edge['source']]} vouches for {names[edge['target']]} at level {edge['level']}"
        for edge in edges
        if edge["source"] in names and edge["target"] in names
    )
    width, height = (_SHORT_SIDE, _LONG_SIDE) if upright else (_LONG_SIDE, _SHORT_SIDE)
    shape = f"0 0 {width:.0f} {height:.0f}"
    heads = html(*(_arrow_head(key, kind) for kind in ("vouch", "entry", "breach")))
    body = html(stripes(key), el("defs", heads), *arrows, *nodes)
    return _drawing(key, title, said, body, class_=f"graph {'upright' if upright else 'across'}", viewBox=shape)


def _layout(peers: Sequence[Peer], edges: Sequence[Vouch]) -> dict[str, Point]:
    by_role: dict[str, list[str]] = {"regular": [], "newcomer": [], "attacker": [], "sybil": []}
    for peer in peers:
        by_role[peer["role"]].append(peer["peer"])
    place: dict[str, Point] = {}
    ring = _ring_order(by_role["regular"], by_role["attacker"], edges)
    for number, key in enumerate(ring):
        angle = 2 * math.pi * number / len(ring)
        place[key] = (_CENTRE[0] + _RING[0] * math.cos(angle), _CENTRE[1] + _RING[1] * math.sin(angle))
    for number, key in enumerate(by_role["newcomer"]):
        place[key] = (_NEWCOMER[0] - 70.0 * number, _NEWCOMER[1])
    for number, key in enumerate(by_role["attacker"]):
        place[key] = (_ATTACKER[0], _ATTACKER[1] + 60.0 * number)
    for number, key in enumerate(by_role["sybil"]):
        angle = math.radians(150.0) * (number / max(1, len(by_role["sybil"]) - 1) - 0.5)
        reach = _FAN[number % len(_FAN)]
        place[key] = (_ATTACKER[0] + reach * math.cos(angle), _ATTACKER[1] + reach * math.sin(angle))
    return place


def _ring_order(people: Sequence[str], attackers: Sequence[str], edges: Sequence[Vouch]) -> list[str]:
    """Order people around the ring as a spring layout has them, whoever vouches for an attacker facing the attacker."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(people)
    graph.add_edges_from((e["source"], e["target"]) for e in edges if e["source"] in graph and e["target"] in graph)
    spot = nx.spring_layout(graph, seed=7)
    order = sorted(people, key=lambda peer: math.atan2(spot[peer][1], spot[peer][0]))
    doors = [edge["source"] for edge in edges if edge["target"] in attackers and edge["source"] in spot]
    turn = order.index(doors[0]) if doors else 0
    return order[turn:] + order[:turn]


def _sham(edge: Vouch, roles: Mapping[str, str]) -> bool:
    return roles[edge["source"]] in _HOSTILE


def _arrow(
    key: str,
    edge: Vouch,
    place: Mapping[str, Point],
    size: Mapping[str, float],
    roles: Mapping[str, str],
    mutual: bool,
) -> Html:
    source, target = edge["source"], edge["target"]
    (x1, y1), (x2, y2) = place[source], place[target]
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    if _sham(edge, roles):
        return el("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", class_="sham")
    # Two arrows between the same two people part ways instead of lying on each other.
    bend = 0.1 * length if mutual else 0.0
    from_, to = size[source] + 3.0, size[target] + 6.0
    start, end = (x1 + from_ * dx, y1 + from_ * dy), (x2 - to * dx, y2 - to * dy)
    middle = ((x1 + x2) / 2 - bend * dy, (y1 + y2) / 2 + bend * dx)
    kind = "breach" if roles[target] in _HOSTILE else "entry" if roles[source] == "newcomer" else "vouch"
    curve = f"M{start[0]:.1f} {start[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    width = 0.3 + 1.1 * edge["level"]
    return el("path", d=curve, class_=kind, stroke_width=width, marker_end=f"url(#{key}-{kind})")


def _node(key: str, peer: Peer, at: Point, radius: float, trust: Mapping[str, float], upright: bool) -> Html:
    (x, y), role = at, peer["role"]
    score = trust.get(peer["peer"], 0.0)
    if role in _HOSTILE:
        corner = f"M{x:.1f} {y - radius:.1f}l{radius:.1f} {radius:.1f}l{-radius:.1f} {radius:.1f}l{-radius:.1f} {-radius:.1f}z"
        fill = f"url(#{key}-stripes)" if role == "sybil" else None
        mark = el("path", d=corner, fill=fill, class_="diamond")
    else:
        mark = el("circle", cx=x, cy=y, r=radius, class_="disc")
        if role == "newcomer":
            mark = html(mark, el("circle", cx=x, cy=y, r=radius * 0.45, class_="pupil"))
    said = el("title", f"{peer['name']}, {role}" + ("" if role == "newcomer" else f", trust {score:.3f}"))
    if role == "sybil":
        return el("g", said, mark, class_=role)
    note = role if role in ("newcomer", "attacker") else f"{score:.2f}"
    return el("g", said, mark, _label(peer, at, radius, note, upright), class_=role)


def _label(peer: Peer, at: Point, radius: float, note: str, upright: bool) -> Html:
    """Name a node above or below it; people beside it where the drawing is upright, because there the arrows run down."""
    x, y = at
    if upright and peer["role"] != "newcomer":
        left = x < _CENTRE[1] + 1.0
        x, anchor = (x - radius - 9.0, "end") if left else (x + radius + 9.0, "start")
        first, gap, longest = y - 4.0, 22.0, 9
    else:
        below = peer["role"] != "attacker" and y > _CENTRE[1] + 1.0
        gap, longest, anchor = (22.0, 9, "middle") if upright else (17.0, 16, "middle")
        first = y + radius + 2.0 + gap if below or upright else y - radius - 8.0 - gap
    name = el("tspan", clipped(peer["name"], longest), x=x, y=first, class_="who")
    return el("text", name, el("tspan", note, x=x, y=first + gap, class_="note"), text_anchor=anchor)


def _drawing(key: str, title: str, said: str, body: Html, **attributes: str | float | None) -> Html:
    named = html(el("title", title, id=f"{key}-title"), el("desc", said, id=f"{key}-desc"))
    return el("svg", named, body, role="img", aria_labelledby=f"{key}-title {key}-desc", **attributes)


def stripes(key: str) -> Html:
    """Define the stripes that mark what is hostile, as the paint `url(#KEY-stripes)`."""
    stripe = html(el("rect", width=6, height=6, class_="pale"), el("rect", width=3, height=6, class_="strong"))
    return el(
        "defs",
        el(
            "pattern", stripe, id=f"{key}-stripes", width=6, height=6, patternUnits="userSpaceOnUse",
            patternTransform="rotate(45)",
        ),
    )  # fmt: skip


def _arrow_head(key: str, kind: str) -> Html:
    tip = el("path", d="M0 0.5L8 4L0 7.5L1.8 4z", class_=f"tip {kind}")
    return el(
        "marker", tip, id=f"{key}-{kind}", viewBox="0 0 8 8", refX=6, refY=4, markerWidth=11, markerHeight=11,
        markerUnits="userSpaceOnUse", orient="auto",
    )  # fmt: skip


def _edge_text(x: float, y: float, text: str, kind: str) -> Html:
    anchor = "start" if x < 1.0 else "end" if x > 99.0 else "middle"
    return el("text", text, x=f"{x:.2f}%", y=y, text_anchor=anchor, class_=kind)
