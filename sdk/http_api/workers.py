"""Blocking calls on threads: a bounded number at once, a bounded number waiting, and patience that ends.

A thread cannot be stopped. When patience ends the client is told so, the call goes on, and its place stays taken until
it is done: that is why this is a pool of its own and not the one that everybody shares.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sdk.http_api.problems import Problem

T = TypeVar("T")


class Workers:
    """A few threads and a short queue.

    Args:
        threads: calls done at once.
        waiting: calls that may wait beside them; a further one is refused.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="meritrec-http")
        self._places = threading.BoundedSemaphore(threads + waiting)

    async def run(self, call: Callable[[], T], patience_s: float) -> T:
        """Return what `call` returns, or raise what it raises.

        Raises:
            Problem: 503 if all places are taken, or if `patience_s` seconds were not enough.
        """
        future = self._submit(call)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), patience_s)
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise  # the call's own
            raise Problem(
                503,
                "slow",
                f"not done within {patience_s:g} s; the device may still be working on it. Look before you try again",
            ) from error

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        if not self._places.acquire(blocking=False):
            raise Problem(503, "busy", "too many requests at once; try again in a moment")
        try:
            future = self._pool.submit(call)
        except RuntimeError as error:
            self._places.release()
            raise Problem(503, "closed", "the server is ending; try again when it is back") from error
        future.add_done_callback(lambda _: self._places.release())
        return future

    def close(self) -> None:
        """Take no more calls, drop those that wait, and wait for those that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)
