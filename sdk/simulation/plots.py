"""Line charts as inline SVG: some series over one axis, each with a name, a dash of its own and its last value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain

_PLOT_WIDTH, _PLOT_HEIGHT = 384.0, 190.0
_TOP, _BELOW = 14.0, 46.0  # room above, and below for the axis
_TICK_ROOM = 72.0  # least room at the left, so that the charts of a page stand below each other
_NAMES = 130.0  # least room at the right
_LARGER = 1.28  # pixels per unit, the same for all charts unless the page is narrow
_LETTER = 6.9  # about the width of one
_LONGEST_NAME = 34
_LEAST_GAP = 15.0  # between two names at the right
_Y_TICKS, _X_TICKS = 5, 8  # at most so many steps


@dataclass(frozen=True, slots=True)
class Unit:
    """How values are written: times `scale`, with so many decimals, and a sign behind."""

    decimals: int
    sign: str = ""
    scale: float = 1.0

    def written(self, value: float) -> str:
        """Return a value as text."""
        return f"{value * self.scale:,.{self.decimals}f}{self.sign}"

    def ticks(self, high: float) -> dict[float, str]:
        """Return round values from 0 to `high` or just above it, no two of which are written alike."""
        high = max(high * self.scale, 0.0) or 1.0
        step = next(step for step in _round_steps(high) if high / step <= _Y_TICKS)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        values = [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]
        return {value / self.scale: f"{value:,.{decimals}f}{self.sign}" for value in values}


SCORE = Unit(3)
SHARE = Unit(1, "%", 100.0)
SMALL_SHARE = Unit(2, "%", 100.0)
TIMES = Unit(2, "×")
KILOBYTES = Unit(0, " KB")


@dataclass(frozen=True, slots=True)
class Axis:
    """What runs to the right: its name, where it begins (None: at the first point), and which steps are round."""

    name: str
    begins: float | None = None
    steps: tuple[float, ...] = ()

    def ticks(self, low: float, high: float) -> list[float]:
        """Return round values between two."""
        if low == high:
            return [low]
        rounded = chain(self.steps, _round_steps(max(self.steps, default=high - low)))
        step = next(step for step in rounded if (high - low) / step <= _X_TICKS)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [step * number for number in range(first, last + 1)]


HOURS = Axis("virtual hours", 0.0, (1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 72.0, 120.0, 240.0))


def _round_steps(size: float) -> Iterator[float]:
    """Yield 1, 2 and 5 times powers of ten, from a hundredth of a size upwards."""
    power = math.floor(math.log10(size)) - 2
    while True:
        yield from (float(f"{digit}e{power}") for digit in (1, 2, 5))
        power += 1


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and points with ascending x."""

    name: str
    points: tuple[tuple[float, float], ...]


def chart(title: str, series: Sequence[Series], axis: Axis, unit: Unit) -> str:
    """Draw lines, from 0 upwards.

    Args:
        title: what is drawn, for those who do not see it.
        series: at least one with a point.
        axis: what runs to the right.
        unit: of the values.
    """
    drawn = [line for line in series if line.points]
    levels = unit.ticks(max(y for line in drawn for _, y in line.points))
    xs = [x for line in drawn for x, _ in line.points]
    low = min(xs) if axis.begins is None else min(axis.begins, *xs)
    labels = [_shortened(line.name) + " " + unit.written(line.points[-1][1]) for line in drawn]
    left = max(_TICK_ROOM, 12.0 + _LETTER * max(map(len, levels.values())))
    height = max(_PLOT_HEIGHT, _LEAST_GAP * (len(drawn) - 1))
    scale = _Scale(left, height, low, max(xs), max(levels))
    width = left + _PLOT_WIDTH + max(_NAMES, 12.0 + _LETTER * max(map(len, labels)))
    lines = "".join(_line(number, line, scale) for number, line in enumerate(drawn))
    said = escape(f"{title}. " + "; ".join(_said(line, unit) for line in drawn))
    return (
        f'<svg viewBox="0 0 {width:.0f} {_TOP + height + _BELOW:.0f}" style="max-width:{_LARGER * width:.0f}px" '
        f'role="img" aria-label="{said}">'
        f"<title>{said}</title>{_axes(scale, axis, levels)}{lines}{_names(drawn, labels, scale)}</svg>"
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places in the drawing."""

    left: float
    height: float
    x_low: float
    x_high: float
    y_high: float

    @property
    def right(self) -> float:
        return self.left + _PLOT_WIDTH

    @property
    def bottom(self) -> float:
        return _TOP + self.height

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low
        return self.left + _PLOT_WIDTH * ((value - self.x_low) / span if span else 1.0)

    def y(self, value: float) -> float:
        return self.bottom - self.height * value / self.y_high


def _axes(scale: _Scale, axis: Axis, levels: dict[float, str]) -> str:
    parts = []
    for level, label in levels.items():
        y = scale.y(level)
        parts.append(f'<line x1="{scale.left:.1f}" x2="{scale.right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{scale.left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end" class="soft">{label}</text>')
    for value in axis.ticks(scale.x_low, scale.x_high):
        x, y = scale.x(value), scale.bottom
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + 4:.1f}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle" class="soft">{value:g}</text>')
    middle, under = (scale.left + scale.right) / 2, scale.bottom + 37
    parts.append(f'<text x="{middle:.1f}" y="{under:.1f}" text-anchor="middle" class="soft">{escape(axis.name)}</text>')
    return "".join(parts)


def _line(number: int, line: Series, scale: _Scale) -> str:
    at = [(scale.x(x), scale.y(y)) for x, y in line.points]
    path = " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(at))
    x, y = at[-1]
    return f'<path d="{path}" class="s{number % 6}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="s{number % 6}"/>'


def _names(drawn: Sequence[Series], labels: Sequence[str], scale: _Scale) -> str:
    """Write each name beside the end of its line, moved apart where lines end close together."""
    order = sorted(range(len(drawn)), key=lambda number: -drawn[number].points[-1][1])
    places: list[float] = []
    for number in order:
        wanted = scale.y(drawn[number].points[-1][1])
        places.append(max(wanted, places[-1] + _LEAST_GAP) if places else wanted)
    lowest = scale.bottom
    for place in reversed(range(len(places))):  # up again, where they were pushed below the axis
        places[place] = min(places[place], lowest)
        lowest = places[place] - _LEAST_GAP
    return "".join(
        f'<text x="{scale.right + 10:.1f}" y="{y + 4:.1f}" class="t{number % 6}">{escape(labels[number])}</text>'
        for number, y in zip(order, places, strict=True)
    )


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _said(line: Series, unit: Unit) -> str:
    first, last = line.points[0], line.points[-1]
    if len(line.points) == 1:
        return f"{line.name}: {unit.written(last[1])}"
    return f"{line.name}: from {unit.written(first[1])} at {first[0]:g} to {unit.written(last[1])} at {last[0]:g}"
