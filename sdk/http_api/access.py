"""Who may ask: bearer tokens, and the checks that keep web pages away from a server on the loopback interface.

A page in the person's browser can send requests to 127.0.0.1, and by DNS rebinding even read the answers under a name
of its own. So the Host must be one that was agreed on, and whatever a browser marks as sent by a page is refused: this
API is for programs.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sdk.errors import InvalidInput
from sdk.http_api.problems import Problem

PUBLIC_PATHS = frozenset({"/healthz", "/openapi.json"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{22,512}", re.ASCII)  # RFC 6750's letters; 22 of them hold 128 bits
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must show.

    Attributes:
        token: the bearer token; None where the socket's permissions decide.
        hosts: names that `Host` may have, without port; None for a Unix socket, which no web page reaches.
    """

    token: str | None
    hosts: frozenset[str] | None = LOOPBACK_NAMES


class AccessCheck:
    """ASGI middleware that lets through what `Access` allows and answers the rest with a problem."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = self._refusal(scope["path"], Headers(scope=scope))
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem.response()(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Problem | None:
        if self._access.hosts is not None and not _is_agreed(headers.getlist("host"), self._access.hosts):
            return Problem(
                403, "host", "the Host is not one of this server; use 127.0.0.1, or start it with --allow-host NAME"
            )
        if headers.get("origin") is not None or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Problem(403, "web-page", "web pages may not use this API; call it from a program")
        if self._access.token is None or path in PUBLIC_PATHS:
            return None
        if not _shows(headers.getlist("authorization"), self._access.token):
            return Problem(
                401,
                "token",
                "send `Authorization: Bearer TOKEN` with the token from the server's token file",
                headers={"WWW-Authenticate": 'Bearer realm="meritrec"'},
            )
        return None


def _is_agreed(given: list[str], agreed: frozenset[str]) -> bool:
    match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    return match is not None and match[1].lower() in agreed


def _shows(given: list[str], token: str) -> bool:
    scheme, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    same = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return same and scheme.lower() == "bearer"


def host_names(names: Iterable[str]) -> frozenset[str]:
    """Return names for `Access.hosts`: the loopback's, and others as somebody typed them.

    Raises:
        InvalidInput: one is no host name.
    """
    checked = {name.lower() for name in names}
    for name in checked:
        match = _HOST.fullmatch(name)
        if match is None or match[2] is not None:
            raise InvalidInput(f"{name!r} is no host name; give a name or address without a port, IPv6 in brackets")
    return LOOPBACK_NAMES | checked


def read_token(path: Path) -> str:
    """Return the token in a file, which is made with a new one (mode 0600) if it is not there.

    Raises:
        InvalidInput: others may read the file, or it holds no token.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _existing_token(path)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token


def _existing_token(path: Path) -> str:
    with path.open(errors="replace") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise InvalidInput(f"{path} is not a file; give --token-file a file that holds the token")
        if about.st_mode & 0o077:
            raise InvalidInput(f"others may read {path} (mode {about.st_mode & 0o777:o}); run chmod 600 {path}")
        token = file.read(1024).strip()
    if not _TOKEN.fullmatch(token):
        raise InvalidInput(
            f"{path} holds no token of 22 to 512 letters, digits or ._~+/=-; delete it and a new one is made"
        )
    return token
