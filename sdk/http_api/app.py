"""The ASGI application over one `Recommender`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as AsgiRoute

from sdk.http_api.access import Access, AccessCheck
from sdk.http_api.checking import RequestChecks, compile_check
from sdk.http_api.keys import IdempotencyKeys
from sdk.http_api.openapi import IDEMPOTENCY_KEY, KEY_SCHEMA
from sdk.http_api.problems import Problem, problem_of
from sdk.http_api.route import JSON, Call, Json, Route
from sdk.http_api.routes import ROUTES
from sdk.http_api.workers import Workers
from sdk.recommender import Recommender

log = logging.getLogger("meritrec.http")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_JSON_TYPE = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds on what clients may cost.

    Attributes:
        body_bytes: longest body of a request.
        body_s: seconds in which a body must have come.
        header_s: seconds in which the header of a request must have come.
        threads: calls of the Recommender at once.
        waiting: calls that may wait beside them.
        connections: open at once.
    """

    body_bytes: int = 1 << 20
    body_s: float = 10.0
    header_s: float = 10.0
    threads: int = 8
    waiting: int = 64
    connections: int = 256


def create_app(me: Recommender, access: Access, limits: HttpLimits | None = None) -> Starlette:
    """Return the application; it uses `me` from many threads and leaves closing it to the caller.

    Args:
        me: an open Recommender.
        access: token and hosts that requests must show.
        limits: bounds; see `HttpLimits`.
    """
    api = _Api(me, limits or HttpLimits())
    app = Starlette(
        routes=[AsgiRoute(path, api.endpoint(at), methods=list(at)) for path, at in _by_path().items()],
        middleware=[Middleware(AccessCheck, access=access)],
        exception_handlers={HTTPException: _no_route},
        lifespan=api.lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _by_path() -> dict[str, dict[str, Route]]:
    found: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        path = route.path.replace("{id}", "{id:path}")  # ids of items may hold slashes
        found.setdefault(path, {})[route.method] = route
    return found


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        headers = dict(error.headers or {})
        return Problem(405, "method", f"this address takes {headers.get('Allow')}", headers=headers).response()
    return Problem(404, "path", f"there is nothing at {request.url.path}; see /openapi.json").response()


class _Api:
    """What the endpoints share."""

    def __init__(self, me: Recommender, limits: HttpLimits) -> None:
        self._me = me
        self._limits = limits
        self._workers = Workers(limits.threads, limits.waiting)
        self._keys = IdempotencyKeys()
        self._check_key = compile_check(KEY_SCHEMA, IDEMPOTENCY_KEY)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Let the calls that run come to their end when the server stops."""
        yield
        await asyncio.to_thread(self._workers.close)

    def endpoint(self, at: Mapping[str, Route]) -> Callable[[Request], object]:
        """Return what answers requests to one path, whatever their method."""
        checks = {method: RequestChecks(route) for method, route in at.items()}

        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            try:
                return await self._answer(request, at[method], checks[method])
            except Exception as error:
                problem = problem_of(error)
                if problem is None:
                    log.exception("%s failed", at[method].name)
                    problem = Problem(500, "unexpected", "something unexpected failed; the server's log says more")
                return problem.response()

        return answer

    async def _answer(self, request: Request, route: Route, checks: RequestChecks) -> Response:
        body = b"" if route.body is None else await self._body(request)
        path = request.path_params
        call = checks.call(path, request.scope["query_string"], body)
        key = self._key(request) if route.keyed else None
        content, again = await self._workers.run(lambda: self._run(route, call, key, body), route.patience_s)
        if route.answer is None:
            return Response(None, route.success, _HEADERS)
        text = json.dumps(content, ensure_ascii=False, allow_nan=False) if route.media_type == JSON else content
        headers = _HEADERS | ({"Idempotency-Replayed": "true"} if again else {})
        return Response(text.encode(), route.success, headers, route.media_type)

    def _run(self, route: Route, call: Call, key: str | None, body: bytes) -> tuple[Json, bool]:
        """Do it, on a worker's thread; return the answer and whether it is an earlier one's."""
        if key is None:
            return route.run(self._me, call), False
        done, answer = self._keys.begin(key, hashlib.sha256(route.name.encode() + b"\0" + body).digest())
        if done:
            return answer, True
        try:
            answer = route.run(self._me, call)
        except BaseException:
            self._keys.give_up(key)
            raise
        self._keys.finish(key, answer)
        return answer, False

    def _key(self, request: Request) -> str | None:
        keys = request.headers.getlist(IDEMPOTENCY_KEY)
        if not keys:
            return None
        self._check_key(", ".join(keys))
        return ", ".join(keys)

    async def _body(self, request: Request) -> bytes:
        types = request.headers.getlist("content-type")
        if len(types) != 1 or not _JSON_TYPE.fullmatch(types[0].strip()):
            raise Problem(415, "media-type", "send the body as Content-Type: application/json")
        most = self._limits.body_bytes
        declared = request.headers.get("content-length", "")
        too_long = Problem(413, "too-long", f"a body has at most {most} bytes; send it in parts")
        if declared.isdecimal() and int(declared[:20]) > most:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise too_long
        except TimeoutError as error:
            raise Problem(408, "too-slow", f"the body did not come within {self._limits.body_s:g} s") from error
        except ClientDisconnect as error:
            raise Problem(400, "disconnected", "the connection ended before the body did") from error
        return bytes(body)
