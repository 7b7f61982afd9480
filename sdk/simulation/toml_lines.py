"""In which line of a TOML file a key stands: `tomllib` tells values only.

Reads tables, arrays of tables and keys at the beginning of lines, which is how scenarios are written; inside strings
and arrays of several lines nothing is taken for a key. Where a key cannot be found, its table's line is given.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"^\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)
_QUOTES = ('"""', "'''", '"', "'")
_TOKEN = re.compile("|".join(map(re.escape, (*_QUOTES, *"[]{}#"))))

Place = tuple[str | int, ...]
"""A way to a value: names of tables and keys, numbers of tables in arrays."""


class Lines:
    """Lines of one file's keys."""

    def __init__(self, text: str) -> None:
        self._line: dict[Place, int] = {}
        self._read(text)

    def of(self, place: Place) -> int:
        """Return the line of a key, of its table where the key was not found, 0 where nothing was."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._line:
                return self._line[place[:length]]
        return 0

    def _read(self, text: str) -> None:
        table: Place = ()
        counts: dict[Place, int] = {}
        depth, quote = 0, ""
        for number, line in enumerate(text.splitlines(), 1):
            if not depth and not quote:
                if header := _TABLE.match(line):
                    table = self._entered(header, counts, number)
                    continue
                if key := _KEY.match(line):
                    self._line.setdefault((*table, *_names(key.group(1))), number)
                    line = key.group(2)
            depth, quote = _open_after(line, depth, quote)

    def _entered(self, header: re.Match[str], counts: dict[Place, int], number: int) -> Place:
        """Return the table that a header opens, of arrays the last one so far, and note its line."""
        place: Place = ()
        names = _names(header.group(2))
        for depth, name in enumerate(names, 1):
            place = (*place, name)
            if header.group(1) == "[[" and depth == len(names):
                counts[place] = counts.get(place, -1) + 1
            if place in counts:
                self._line.setdefault(place, number)
                place = (*place, counts[place])
        self._line.setdefault(place, number)
        return place


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _open_after(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Return how many brackets are open behind a line, and which string of several lines is."""
    place = 0
    while place < len(line):
        if quote:
            place, quote = _behind_string(line, place, quote)
            continue
        token = _TOKEN.search(line, place)
        if token is None or token.group() == "#":
            break
        place = token.end()
        if token.group() in _QUOTES:
            quote = token.group()
        else:
            depth = max(0, depth + (1 if token.group() in "[{" else -1))
    return depth, quote if len(quote) == 3 else ""


def _behind_string(line: str, place: int, quote: str) -> tuple[int, str]:
    """Return where a string ends that is open at a place, and what is open behind it."""
    while place < len(line):
        if quote[0] == '"' and line[place] == "\\":
            place += 2
        elif line.startswith(quote, place):
            return place + len(quote), ""
        else:
            place += 1
    return place, quote
