"""Who uses ExecuTorch's thread pool. A process has one, whichever runtimes its sessions have: they share the library.

XNNPACK's methods keep a pointer into the pool from when they were loaded. Making the pool wider or narrower frees what
they point to, so its width may change only while no session uses it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from device_runtime.errors import ModelFailed

_lock = threading.Lock()
_users = 0
_width = 0


def hold_pool(threads: int, resize: Callable[[int], None]) -> Callable[[], None]:
    """Use the pool, made `threads` wide; the caller calls what is returned once, when it uses it no more.

    Args:
        threads: its width, the caller's thread included.
        resize: makes it so wide; not called while others use it.

    Raises:
        ModelFailed: an open session uses it at another width.
    """
    global _users, _width
    with _lock:
        if _users and _width != threads:
            raise ModelFailed(
                f"an open session uses {_width} threads and all sessions of a process share one pool; "
                f"ask for as many instead of {threads}, or close it"
            )
        if not _users:
            resize(threads)
        _users, _width = _users + 1, threads
    return _release


def _release() -> None:
    global _users
    with _lock:
        _users -= 1
