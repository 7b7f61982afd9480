"""The one thread pool of the process: who may size it, and when.

ExecuTorch has a single pool per process, and a loaded XNNPACK method keeps a pointer to it, so replacing the pool under
a loaded method would be a use after free. The first open session sizes it; later ones take it as it is until all are
closed. This is the package's only shared state, because what it guards is shared.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class ProcessPool:
    """Counts the open sessions of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions = 0
        self._threads = 0

    def join(self, threads: int, resize: Callable[[int], None]) -> int:
        """Register a session before it loads a method; return how many threads it gets.

        Args:
            threads: what it asks for.
            resize: replaces the pool; called only when no session is open.
        """
        with self._lock:
            if self._sessions == 0:
                resize(threads)
                self._threads = threads
            elif self._threads != threads:
                _log.warning(
                    "the session gets %d threads, not %d: another open session of this process chose that",
                    self._threads,
                    threads,
                )
            self._sessions += 1
            return self._threads

    def leave(self) -> None:
        """Take a session out after its methods are freed."""
        with self._lock:
            self._sessions -= 1


PROCESS_POOL = ProcessPool()
