"""Building HTML and SVG so that text is escaped unless it is already markup, and writing figures as people read them.

Knows nothing of the demo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

_EMPTY = {"meta", "rect", "circle", "line", "path"}
# Control characters and lone surrogates are not XML; directional overrides would reorder the text around them.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Html(str):
    """Markup. Any other string is text, and is escaped when it enters markup."""

    __slots__ = ()


def html(*parts: str) -> Html:
    """Join parts into markup, escaping those that are text."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def el(tag: str, *children: str, **attributes: str | float | None) -> Html:
    """Return an element.

    Args:
        tag: its name.
        children: markup, or text to be escaped.
        attributes: values; None leaves one out. `class_` and `aria_label` become `class` and `aria-label`.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY and not children:
        return Html(f"<{tag}{written}/>")
    return Html(f"<{tag}{written}>{html(*children)}</{tag}>")


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numeric_from: int = 1, label: str = ""
) -> Html:
    """Return a table that scrolls by itself where the page is too narrow for it.

    Args:
        caption: sentence above it.
        head: column headings.
        rows: cells; the first of each is the row's heading.
        numeric_from: columns from here on are numbers, set flush right.
        label: short name of the scrolling region; the caption if empty.
    """

    def kind(column: int) -> str | None:
        return "number" if column >= numeric_from else None

    top = [el("th", name, scope="col", class_=kind(column)) for column, name in enumerate(head)]
    body = [
        el(
            "tr",
            el("th", row[0], scope="row"),
            *(el("td", cell, class_=kind(column)) for column, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    inner = el("table", el("caption", caption), el("thead", el("tr", *top)), el("tbody", *body))
    return el("div", inner, class_="scroll", role="region", tabindex="0", aria_label=label or caption)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return a list of terms and what is said of them."""
    return el("dl", *(html(el("dt", name), el("dd", value)) for name, value in pairs), class_="facts")


def words(number: int) -> str:
    """Return a number as prose has it: in letters up to twelve."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else f"{number:,}"


def some(number: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun, "one device" or "30 devices"."""
    return f"{words(number)} {noun if number == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str]) -> str:
    """Return names as prose lists them: "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def percent(share: float) -> str:
    """Return a share in per cent, with one decimal unless it is a whole number."""
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def signed(number: float) -> str:
    """Return a change with its sign and one decimal."""
    return f"{number:+.1f}".replace("-", "\N{MINUS SIGN}")


def kib(number: float) -> str:
    """Return bytes in KiB."""
    return f"{number / 1024:,.0f} KiB"


def clipped(text: str, longest: int) -> str:
    """Return a text no longer than a drawing has room for."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _escaped(text: str) -> str:
    return escape(_UNFIT.sub("\ufffd", text), quote=True)


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return _escaped(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
