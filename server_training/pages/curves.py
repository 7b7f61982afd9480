"""A line chart as inline SVG, its values in a title for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 320.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 8.0, 312.0, 28.0, 128.0


def curve(title: str, points: Sequence[Point], written: str, counted: str = "epoch") -> str:
    """Draw values over epochs or steps; the first, the last and the extreme one carry their value.

    Args:
        title: what is drawn.
        points: (epoch, value), at least one, epochs ascending.
        written: format of a value, such as "{:.3f}".
        counted: what the points are counted by.
    """
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    at = [
        (
            _LEFT + (_RIGHT - _LEFT) * ((epoch - first) / (last - first) if last > first else 0.5),
            _BOTTOM - (_BOTTOM - _TOP) * ((value - low) / (high - low) if high > low else 0.5),
        )
        for epoch, value in points
    ]
    path = " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(at))
    best = max(range(len(values)), key=values.__getitem__) if values[-1] >= values[0] else len(values) - 1
    marks = "".join(
        f'<circle cx="{at[p][0]:.1f}" cy="{at[p][1]:.1f}" r="3.5"/>'
        f'<text x="{at[p][0]:.1f}" y="{at[p][1] - 9:.1f}" text-anchor="{_anchor(at[p][0])}">'
        f"{escape(written.format(values[p]))}</text>"
        for p in sorted({0, best})
    )
    start, end, top = (written.format(values[place]) for place in (0, -1, best))
    said = escape(f"{title}: from {start} to {end}, best {top}")
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{said}"><title>{said}</title>'
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM + 6}" y2="{_BOTTOM + 6}" class="axis"/>'
        f'<path d="{path}"/>{marks}'
        f'<text x="{_LEFT}" y="{_HEIGHT - 1}" class="soft">{escape(counted)} {first:g}</text>'
        f'<text x="{_RIGHT}" y="{_HEIGHT - 1}" class="soft" text-anchor="end">{last:g}</text></svg>'
    )


def _anchor(x: float) -> str:
    if x < _WIDTH * 0.25:
        return "start"
    return "end" if x > _WIDTH * 0.75 else "middle"
