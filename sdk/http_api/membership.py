"""A served device in the peer network: dial until somebody answers, publish what changed, write the status file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from p2p import P2PError
from sdk.errors import Closed
from sdk.recommender import Recommender
from sdk.status import remove_status, write_status

log = logging.getLogger("meritrec.http")
_EVERY_S = 2.0
_FIRST_REDIAL_S, _LAST_REDIAL_S = 5.0, 300.0
_PUBLISH_EVERY_S = 600.0


class Membership:
    """Keeps a connected device in the network on a thread of its own, until closed.

    A box often starts before its network does, so a peer that does not answer is dialled again, more and more seldom;
    one that was reached is dialled again by the node itself.

    Args:
        me: connected already.
        folder: of the device, for the status file that `meritrec peer --status` reads.
        addresses: where this device listens.
        peers: multiaddrs to dial.
    """

    def __init__(self, me: Recommender, folder: Path, addresses: list[str], peers: Sequence[str]) -> None:
        self._me = me
        self._folder = folder
        self._addresses = addresses
        self._unreached = list(peers)
        self._redial_s = _FIRST_REDIAL_S
        self._next_dial = self._next_publish = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meritrec-membership", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and take the status file away."""
        self._ending.set()
        self._thread.join()
        remove_status(self._folder)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._dial(time.monotonic())
                self._publish(time.monotonic())
                write_status(self._folder, self._me.network_status(), self._addresses, time.time())
            except Closed:
                return
            except (P2PError, OSError) as error:
                log.warning("the network: %s", error)
            self._ending.wait(_EVERY_S)

    def _dial(self, now: float) -> None:
        if not self._unreached or now < self._next_dial:
            return
        for address in list(self._unreached):
            if self._ending.is_set():
                return
            try:
                self._me.connect([address])
                self._unreached.remove(address)
            except P2PError as error:
                log.warning("%s; it is dialled again in %g s", error, self._redial_s)
        self._next_dial = time.monotonic() + self._redial_s
        self._redial_s = min(2 * self._redial_s, _LAST_REDIAL_S)

    def _publish(self, now: float) -> None:
        if now >= self._next_publish:
            self._next_publish = now + _PUBLISH_EVERY_S
            self._me.publish()
