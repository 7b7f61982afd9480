"""Numbers for keys, in order of arrival, so that everything behind the store is plain arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from trust.rows import Ints


class KeyTable:
    """Keys and their numbers 0, 1, 2 …; keys are only ever appended.

    A list taken from `keys` therefore stays right for as long as somebody holds it: renumbering makes a new table.
    """

    def __init__(self, keys: Iterable[Hashable] = ()) -> None:
        self.keys: list[Hashable] = list(keys)
        self._number = {key: number for number, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._number

    def find(self, key: Hashable) -> int:
        """Return a key's number, −1 for one that has none."""
        return self._number.get(key, -1)

    def number(self, key: Hashable) -> int:
        """Return a key's number, giving it the next one if it has none."""
        number = self._number.get(key)
        if number is None:
            number = self._number[key] = len(self.keys)
            self.keys.append(key)
        return number

    def numbers(self, keys: Iterable[Hashable]) -> Ints:
        """int64 [keys]: the numbers of keys, new ones included."""
        keys = list(keys)
        found = list(map(self._number.get, keys))
        place = 0
        for _ in range(found.count(None)):
            place = found.index(None, place)
            found[place] = self.number(keys[place])
        return np.array(found, dtype=np.int64)
