"""Sockets to listen on: loopback unless somebody insists, and Unix sockets that only their owner may use."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdk.errors import InvalidInput

_BACKLOG = 128


def is_loopback(host: str) -> bool:
    """Return whether nobody outside this machine reaches a host; a name other than localhost may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def tcp_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address; port 0 takes any free one.

    Raises:
        InvalidInput: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"cannot listen on {host} port {port}: {error}; choose another address") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise InvalidInput(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port or --host"
            ) from error
        yield listener


@contextmanager
def unix_socket(path: Path, mode: int = 0o600) -> Iterator[socket.socket]:
    """Listen on a Unix socket with these permissions; the file is taken away at the end.

    A socket file that a killed server left is replaced; any other file is not.

    Raises:
        InvalidInput: the path cannot be had, or another server listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _remove_stale(path)
        before = os.umask(0o177)  # nobody may connect before the mode is set
        try:
            listener.bind(str(path))
        except OSError as error:
            raise InvalidInput(
                f"cannot listen on {path}: {error.strerror or error}; choose another with --socket"
            ) from error
        finally:
            os.umask(before)
        mine = path.lstat()
        try:
            path.chmod(mode)
            listener.listen(_BACKLOG)
            yield listener
        finally:
            _remove(path, mine)


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except OSError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise InvalidInput(f"{path} exists and is no socket; choose another with --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            _remove(path, found)
            return
        except OSError as error:
            raise InvalidInput(f"{path} cannot be used: {error.strerror or error}; choose another") from error
    raise InvalidInput(f"another server listens on {path}; stop that one, or choose another with --socket")


def _remove(path: Path, known: os.stat_result) -> None:
    """Take a file away if it is still the one that is meant."""
    try:
        now = path.lstat()
        if (now.st_dev, now.st_ino) == (known.st_dev, known.st_ino):
            path.unlink()
    except OSError:
        return
