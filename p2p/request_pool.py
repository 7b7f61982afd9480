"""Runs requests on a few threads, and lets no single peer keep all of them busy by answering slowly.

Knows nothing of what is asked.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger("meritrec.p2p")


class RequestPool:
    """Jobs in order for each peer, a bounded number of them at a time and in waiting.

    Args:
        workers: threads in all.
        per_peer: jobs of one peer that run at a time.
        waiting: jobs of one peer that wait at most.
    """

    def __init__(self, workers: int, per_peer: int = 2, waiting: int = 256) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="meritrec-p2p-requests")
        self._per_peer = per_peer
        self._waiting_limit = waiting
        self._lock = threading.Lock()
        self._running: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[Callable[[], object]]] = {}
        self._closed = False

    def submit(self, peer: Hashable, job: Callable[[], object]) -> bool:
        """Run a job soon; return False if it was refused, because too many wait or the pool is closed."""
        with self._lock:
            if self._closed:
                return False
            if self._running.get(peer, 0) < self._per_peer:
                self._running[peer] = self._running.get(peer, 0) + 1
                self._pool.submit(self._work, peer, job)
                return True
            queue = self._waiting.setdefault(peer, deque())
            if len(queue) >= self._waiting_limit:
                return False
            queue.append(job)
            return True

    def close(self) -> None:
        """Drop what waits, and join the threads once what runs has ended."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)

    def _work(self, peer: Hashable, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception:
            logger.exception("a request ended with an unexpected error")
        with self._lock:
            queue = self._waiting.get(peer)
            if queue and not self._closed:
                # To the end of the pool's own queue, so that other peers get their turn first.
                self._pool.submit(self._work, peer, queue.popleft())
                return
            self._waiting.pop(peer, None)
            self._running[peer] -= 1
            if not self._running[peer]:
                del self._running[peer]
