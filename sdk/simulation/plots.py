"""Line charts as inline SVG: some series over one axis, each with a name, a dash of its own and its last value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 440.0, 14.0, 204.0
_TICKS = 4
_LEAST_GAP = 15.0  # between two names at the right


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and points with ascending x."""

    name: str
    points: tuple[tuple[float, float], ...]


def chart(title: str, series: Sequence[Series], x_name: str, written: str, *, from_zero: bool = True) -> str:
    """Draw lines.

    Args:
        title: what is drawn, for those who do not see it.
        series: at least one with a point.
        x_name: of the axis.
        written: format of a value, such as "{:.3f}".
        from_zero: whether the y axis begins at 0 even where no value is near.
    """
    drawn = [line for line in series if line.points]
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    scale = _Scale(min(xs), max(xs), 0.0 if from_zero else min(ys), max(ys))
    lines = "".join(_line(number, line, scale) for number, line in enumerate(drawn))
    names = _names(drawn, scale, written)
    said = escape(f"{title}. " + "; ".join(_said(line, written) for line in drawn))
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{said}"><title>{said}</title>'
        f"{_axes(scale, x_name, written)}{lines}{names}</svg>"
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places in the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low
        return _LEFT + (_RIGHT - _LEFT) * ((value - self.x_low) / span if span else 0.5)

    def y(self, value: float) -> float:
        span = self.y_high - self.y_low
        return _BOTTOM - (_BOTTOM - _TOP) * ((value - self.y_low) / span if span else 0.5)


def _axes(scale: _Scale, x_name: str, written: str) -> str:
    parts = []
    levels = [scale.y_low + (scale.y_high - scale.y_low) * tick / _TICKS for tick in range(_TICKS + 1)]
    for level in levels if scale.y_high > scale.y_low else levels[:1]:
        y = scale.y(level)
        parts.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        label = escape(written.format(level))
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" class="soft">{label}</text>')
    ends = ((scale.x_low, "start"), (scale.x_high, "end"))
    for value, anchor in ends if scale.x_high > scale.x_low else ((scale.x_low, "middle"),):
        parts.append(
            f'<text x="{scale.x(value):.1f}" y="{_BOTTOM + 18}" text-anchor="{anchor}" class="soft">{value:g}</text>'
        )
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_BOTTOM + 30}" text-anchor="middle" class="soft">{escape(x_name)}</text>')
    return "".join(parts)


def _line(number: int, line: Series, scale: _Scale) -> str:
    at = [(scale.x(x), scale.y(y)) for x, y in line.points]
    path = " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(at))
    x, y = at[-1]
    return f'<path d="{path}" class="s{number % 6}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="s{number % 6}"/>'


def _names(drawn: Sequence[Series], scale: _Scale, written: str) -> str:
    """Write each name beside the end of its line, moved apart where lines end close together."""
    order = sorted(range(len(drawn)), key=lambda number: scale.y(drawn[number].points[-1][1]))
    parts, last = [], -1e9
    for number in order:
        line = drawn[number]
        y = max(scale.y(line.points[-1][1]) + 4, last + _LEAST_GAP)
        last = y
        text = escape(f"{line.name} {written.format(line.points[-1][1])}")
        parts.append(f'<text x="{_RIGHT + 10}" y="{y:.1f}" class="t{number % 6}">{text}</text>')
    return "".join(parts)


def _said(line: Series, written: str) -> str:
    first, last = line.points[0], line.points[-1]
    if len(line.points) == 1:
        return f"{line.name}: {written.format(last[1])}"
    return f"{line.name}: from {written.format(first[1])} at {first[0]:g} to {written.format(last[1])} at {last[0]:g}"
