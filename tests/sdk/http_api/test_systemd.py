"""What a service manager hears."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sdk.http_api.systemd import ServiceManager


@pytest.mark.parametrize("abstract", [False, True])
def test_each_message_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@meritrec-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(name.replace("@", "\0", 1) if abstract else name)
        ServiceManager({"NOTIFY_SOCKET": name}).tell("READY=1", "STATUS=serving")
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "vsock:2:1234"])
def test_a_manager_that_is_not_there_is_no_trouble(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).tell("READY=1")
    ServiceManager({}).tell("READY=1")


def test_the_watchdog_counts_for_its_own_process_only() -> None:
    mine, other = str(os.getpid()), str(os.getpid() + 1)
    assert ServiceManager({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": mine}).watchdog_s == 3.0
    assert ServiceManager({"WATCHDOG_USEC": "3000000"}).watchdog_s == 3.0
    assert ServiceManager({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": other}).watchdog_s is None
    for wrong in ("", "0", "x", "-1"):
        assert ServiceManager({"WATCHDOG_USEC": wrong}).watchdog_s is None
