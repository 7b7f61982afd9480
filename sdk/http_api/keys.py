"""Requests sent again with one `Idempotency-Key` are done once; remembered until the server ends, up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from sdk.http_api.problems import Problem
from sdk.http_api.route import Json

_MOST = 10_000


@dataclass(slots=True)
class _Remembered:
    request: bytes
    done: bool = False
    answer: Json = None


class IdempotencyKeys:
    """What was answered under which key, the latest `most`; safe to use from any thread."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    def begin(self, key: str, request: bytes) -> tuple[bool, Json]:
        """Claim a key for a request, or return what was answered to it.

        Args:
            key: the client's.
            request: digest of all that the request asks for.

        Returns:
            Whether it was done before, and the answer then.

        Raises:
            Problem: 409 while the first one is still being done, or if that was another request.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None:
                self._known[key] = _Remembered(request)
                self._forget_oldest()
                return False, None
            if known.request != request:
                raise Problem(409, "key-used", "this Idempotency-Key was used for another request; take a new one")
            if not known.done:
                raise Problem(409, "key-busy", "the request with this Idempotency-Key is being done; ask again later")
            return True, known.answer

    def finish(self, key: str, answer: Json) -> None:
        """Remember the answer."""
        with self._lock:
            if (known := self._known.get(key)) is not None:
                known.done, known.answer = True, answer

    def give_up(self, key: str) -> None:
        """Forget a key whose request failed, so that it may be tried again."""
        with self._lock:
            self._known.pop(key, None)

    def _forget_oldest(self) -> None:
        while len(self._known) > self._most:
            self._known.popitem(last=False)
