"""From a request to an answer: who may ask, then which of the device's methods; no socket, no clock, no state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from device_runtime import DeviceError
from p2p import P2PError
from sdk.errors import Closed, InvalidInput, NotConnected, SDKError, StoreCorrupted, StoreUnavailable, UnknownItem
from sdk.view.files import page_files
from sdk.view.gate import Gate
from sdk.view.request import Answer, Fields, Refused, Request, json_object

API = "/api/"
SESSION = "session"
_MAX_TARGET = 8192
_MAX_QUERY_FIELDS = 16
# What the device says no to, as HTTP says it; the first that fits.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (UnknownItem, 404),
    (InvalidInput, 422),
    (NotConnected, 409),
    (Closed, 503),
    (StoreUnavailable, 507),
    (StoreCorrupted, 503),
    (SDKError, 409),
    (DeviceError, 409),
    (P2PError, 502),
)

logger = logging.getLogger("meritrec.view")

Operation = Callable[[Fields], object]


class ViewApi:
    """Answers the page's requests.

    Args:
        gate: says who may ask.
        reads: operations that change nothing, by path below `/api/`; asked by GET, fields in the query.
        writes: operations that change something; asked by POST, fields in a JSON body.
    """

    def __init__(self, gate: Gate, reads: Mapping[str, Operation], writes: Mapping[str, Operation]) -> None:
        self._gate = gate
        self._reads = reads
        self._writes = writes

    def answer(self, request: Request) -> Answer:
        """Answer one request; whatever goes wrong is an answer too."""
        try:
            self._gate.check_host(request)
            path, _, query = request.target.partition("?")
            if len(request.target) > _MAX_TARGET:
                raise Refused(414, "TooLarge", f"an address has at most {_MAX_TARGET} characters")
            if path.startswith(API):
                return self._api(request, path.removeprefix(API), query)
            return _file(request, path)
        except Refused as refused:
            return Answer.refusal(refused)
        except (SDKError, DeviceError, P2PError) as error:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            return Answer.refusal(Refused(status, type(error).__name__, str(error)))
        except OSError as error:
            where = error.filename or "a file"
            return Answer.refusal(Refused(507, "FileSystem", f"{where}: {error.strerror or error}"))
        except Exception:
            logger.exception("%s %.200s failed", request.method, request.target)
            return Answer.refusal(
                Refused(500, "Failed", "something unforeseen happened; the terminal of `meritrec view` has the details")
            )

    def _api(self, request: Request, path: str, query: str) -> Answer:
        changes = request.method == "POST"
        self._gate.check_origin(request, changes=changes)
        if path == SESSION:
            return Answer.json(self._enter(request))
        self._gate.check_key(request)
        if path not in self._reads and path not in self._writes:
            raise Refused(404, "NotFound", f"the page has no {path[:64]!r}")
        operations = self._writes if changes else self._reads
        if path not in operations or request.method not in ("GET", "POST"):
            allowed = ", ".join(
                method for method, known in (("GET", self._reads), ("POST", self._writes)) if path in known
            )
            raise _wrong_method(allowed)
        fields = self._body(request) if changes else _query(query)
        return Answer.json(operations[path](fields))

    def _enter(self, request: Request) -> object:
        if request.method != "POST":
            raise _wrong_method("POST")
        fields = self._body(request)
        token = fields.text("token")
        fields.finish()
        return {"key": self._gate.enter(token)}

    def _body(self, request: Request) -> Fields:
        self._gate.check_body(request)
        return json_object(request.body)


def _file(request: Request, path: str) -> Answer:
    found = page_files().get(path)
    if found is None:
        raise Refused(404, "NotFound", "there is no such page; open the link that `meritrec view` printed")
    if request.method not in ("GET", "HEAD"):
        raise _wrong_method("GET, HEAD")
    return found


def _wrong_method(allowed: str) -> Refused:
    return Refused(405, "WrongMethod", f"use {allowed} here", {"Allow": allowed})


def _query(query: str) -> Fields:
    if not query:
        return Fields({})
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
        )
    except ValueError as error:
        raise Refused(400, "BadRequest", "the query of the address cannot be read") from error
    if len({name for name, _ in pairs}) < len(pairs):
        raise Refused(400, "BadRequest", "the query names a field twice")
    return Fields(dict(pairs))
