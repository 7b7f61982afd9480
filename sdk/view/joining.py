"""Going online without holding up the page: dialling takes seconds, and may fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from p2p import P2PError
from sdk.errors import SDKError

Connect = Callable[[Sequence[str], bool], list[str]]


class Joining:
    """Dials, and remembers what came of it.

    Args:
        connect: given addresses and whether to look on the local network, joins and returns the device's own addresses.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._running = 0
        self._addresses: tuple[str, ...] = ()
        self._trouble: str | None = None

    @property
    def running(self) -> bool:
        """Whether it is dialling now."""
        return self._running > 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this device can be dialled; empty before it was online."""
        return self._addresses

    @property
    def trouble(self) -> str | None:
        """Why the latest attempt failed, None if it did not."""
        return self._trouble

    def join(self, addresses: Sequence[str], *, lan: bool = False) -> None:
        """Go online, and then dial: who does not answer does not keep the device offline.

        Raises:
            p2p.P2PError, SDKError: as `Recommender.connect`; `trouble` says it too.
        """
        with self._lock:
            self._running += 1
        try:
            self._addresses = tuple(self._connect((), lan))
            if addresses:
                self._connect(addresses, lan)
            self._trouble = None
        except (P2PError, SDKError) as error:
            self._trouble = str(error)
            raise
        finally:
            with self._lock:
                self._running -= 1

    def start(self, addresses: Sequence[str], *, lan: bool, told: Callable[[str], None]) -> threading.Thread:
        """Go online on a thread of its own; `told` is called with what went wrong."""

        def work() -> None:
            try:
                self.join(addresses, lan=lan)
            except (P2PError, SDKError) as error:
                told(str(error))

        thread = threading.Thread(target=work, name="meritrec-view-joining", daemon=True)
        thread.start()
        return thread
