"""What a service manager is told: ready, alive, stopping (systemd's `sd_notify`, one datagram each)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """The service manager that started this process, if one did; without one every call does nothing.

    Args:
        environment: where `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        mine = pid in ("", str(os.getpid()))
        self._watchdog_s = int(usec) / 1e6 if usec.isdecimal() and int(usec) and mine else None

    @property
    def watchdog_s(self) -> float | None:
        """Seconds after which a service that was silent is killed; None if nobody watches."""
        return self._watchdog_s

    def tell(self, *lines: str) -> None:
        """Send assignments such as `READY=1`; a manager that does not listen is no reason to stop."""
        if self._address[:1] not in ("/", "@"):
            return
        # A leading @ stands for the zero byte of Linux's abstract names.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto("\n".join(lines).encode(), address)
            except OSError:
                return
