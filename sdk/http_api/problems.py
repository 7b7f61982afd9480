"""What went wrong with a request, as `application/problem+json` (RFC 9457): one table from errors to statuses.

A problem says what happened and what to do about it: the `detail` is the error's own sentence. What nobody expected is
logged, and the client is told no more than that.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from device_runtime import BundleError, BundleMissing, DeviceError, NotSteerable, StoreInvalid, UnknownCategory
from device_runtime import UnknownItem as UnknownCatalogItem
from p2p import P2PError
from p2p.errors import TransportUnavailable
from sdk.errors import (
    AlreadyOpen,
    Closed,
    DeviceFolderInvalid,
    DiskFull,
    InvalidInput,
    NotConnected,
    SDKError,
    StoreCorrupted,
    StoreUnavailable,
    UnknownItem,
    UpdateFailed,
)

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:meritrec:problem:"
RETRY_AFTER_S = 1

TITLES: Mapping[int, str] = {
    400: "the request cannot be read",
    401: "a token is needed",
    403: "refused",
    404: "there is no such thing",
    405: "this address does not take that method",
    408: "the request came too slowly",
    409: "not in this state",
    413: "the body is too long",
    415: "the body is of another type",
    422: "the request asks for something that is not allowed",
    500: "something failed on the device",
    503: "not now",
    507: "the disk is full",
}
# The first class that fits decides; the order goes from the special to the general.
STATUS_OF_ERROR: Sequence[tuple[type[Exception], int, str]] = (
    (UnknownItem, 404, "unknown-item"),
    (InvalidInput, 422, "invalid-input"),
    (AlreadyOpen, 409, "already-open"),
    (NotConnected, 409, "not-connected"),
    (Closed, 503, "closed"),
    (DiskFull, 507, "disk-full"),
    (StoreUnavailable, 503, "store-unavailable"),
    (StoreCorrupted, 500, "store-corrupted"),
    (DeviceFolderInvalid, 500, "device-folder-invalid"),
    (UpdateFailed, 422, "update-failed"),
    (SDKError, 500, "device"),
    (BundleMissing, 404, "no-bundle"),
    (BundleError, 422, "bundle-refused"),
    (UnknownCatalogItem, 404, "unknown-item"),
    (UnknownCategory, 404, "unknown-category"),
    (NotSteerable, 422, "not-steerable"),
    (StoreInvalid, 409, "models"),
    (DeviceError, 500, "model"),
    (TransportUnavailable, 503, "network-unavailable"),
    (P2PError, 422, "network"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One place in the request that is not as described: `at` is body, query or path with the way to the value."""

    at: str
    message: str


@dataclass(eq=False)
class Problem(Exception):
    """A request that is refused or failed.

    Attributes:
        status: of the response.
        name: short name of the kind, the last part of the problem's `type`.
        detail: one sentence: what is wrong and what to do.
        faults: which values are wrong, if some are.
        headers: further headers of the response.
    """

    status: int
    name: str
    detail: str
    faults: tuple[Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the problem's members."""
        content: dict[str, Any] = {
            "type": _TYPE_PREFIX + self.name,
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
        }
        if self.faults:
            content["faults"] = [{"at": fault.at, "message": fault.message} for fault in self.faults]
        return content

    def response(self) -> Response:
        """Return the problem as a response."""
        headers = dict(self.headers)
        if self.status == 503:
            headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        body = json.dumps(self.as_json(), ensure_ascii=False).encode("utf-8", "replace")
        return Response(body, self.status, headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem | None:
    """Return an error of the rooms below as a problem; None for what nobody expected."""
    if isinstance(error, Problem):
        return error
    for kind, status, name in STATUS_OF_ERROR:
        if isinstance(error, kind):
            return Problem(status, name, str(error))
    if disk_full(error):
        return Problem(507, "disk-full", "the device's disk is full; nothing was stored. Free some space and try again")
    return None


def disk_full(error: Exception) -> bool:
    """Return whether an error means that a disk or quota is full."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
