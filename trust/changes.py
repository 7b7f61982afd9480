"""Which rows changed, in order, for readers that catch up now and then."""

from __future__ import annotations

_KEPT = 4096


class ChangeLog:
    """Numbers of changed rows; each reader remembers how far it has read.

    Only the latest few thousand changes are kept: a reader further behind is better off starting afresh.
    """

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._dropped = 0

    @property
    def position(self) -> int:
        """Where the next change will stand."""
        return self._dropped + len(self._rows)

    def add(self, row: int) -> None:
        """Note a change."""
        self._rows.append(row)
        if len(self._rows) > 2 * _KEPT:
            del self._rows[:_KEPT]
            self._dropped += _KEPT

    def since(self, position: int) -> list[int] | None:
        """Rows changed from a position on, each once, in order; None if that reaches back too far."""
        if position < self._dropped:
            return None
        return list(dict.fromkeys(self._rows[position - self._dropped :]))
