"""One request and one answer, as values: what the page asks is decided without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdk.errors import SDKError

JSON_TYPE = "application/json"
MAX_BODY_BYTES = 64 * 1024
MAX_TEXT = 4096  # characters of one text in a query or a body; item ids and addresses are far shorter


class ViewUnavailable(SDKError):
    """The page cannot be served: the port is taken, or the address is not this machine's."""


class Refused(Exception):
    """A request that is not carried out.

    Args:
        status: HTTP status.
        name: of the error, for programs.
        message: what to do, for people.
        headers: to send along.
    """

    def __init__(self, status: int, name: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Request:
    """A request, already bounded in size.

    Attributes:
        method: as sent.
        target: path and query as sent.
        headers: lower-case names; a header that was sent twice has both values.
        body: at most `MAX_BODY_BYTES`.
    """

    method: str
    target: str
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header's value, None where it was not sent.

        Raises:
            Refused: it was sent more than once.
        """
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise Refused(400, "BadRequest", f"send the header {name} once")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """Answer with JSON; anything beyond ASCII is escaped, so that lone surrogates of a title pass too."""
        body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
        return cls(status, body, JSON_TYPE, headers or {})

    @classmethod
    def refusal(cls, refused: Refused) -> Answer:
        """Answer with an error: its name for programs, and what to do for people."""
        content = {"error": refused.name, "message": refused.message}
        return cls.json(content, refused.status, refused.headers)


class Fields:
    """The fields of a body or a query, taken out one by one and checked; what is left over is refused."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = dict(content)

    def text(self, name: str) -> str:
        """Take a text that is not empty."""
        value = self._content.pop(name, None)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
            raise _wrong(f"{name} must be a text of 1 to {MAX_TEXT} characters")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _wrong(f"{name} must be valid Unicode") from error
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """Take a list of texts."""
        values = self._content.pop(name, None)
        if not isinstance(values, list) or len(values) > most:
            raise _wrong(f"{name} must be a list of at most {most} texts")
        return [Fields({name: value}).text(name) for value in values]

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Take a whole number; a query gives it as digits."""
        value = self._content.pop(name, default)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            raise _wrong(f"{name} must be a whole number from {least} to {most}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Take true or false; a query gives it as a word."""
        value = self._content.pop(name, default)
        value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise _wrong(f"{name} must be true or false")
        return value

    def key(self, name: str) -> bytes:
        """Take a public key in hex."""
        value = self._content.pop(name, None)
        try:
            key = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            key = b""
        if len(key) != 32:
            raise _wrong(f"{name} must be a public key: 64 hex digits")
        return key

    def has(self, name: str) -> bool:
        """Return whether a field is there and not null."""
        return self._content.get(name) is not None

    def any(self, name: str) -> Any:
        """Take a field as it is, for whoever checks it."""
        if name not in self._content:
            raise _wrong(f"{name} is missing")
        return self._content.pop(name)

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self._content:
            raise _wrong(f"there is no field {min(self._content)[:64]!r} here")


def json_object(body: bytes) -> Fields:
    """Read a body.

    Raises:
        Refused: it is not a JSON object.
    """
    try:
        content = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "BadJSON", f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise Refused(400, "BadJSON", "the body must be a JSON object")
    return Fields(content)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _wrong(message: str) -> Refused:
    return Refused(422, "InvalidInput", message)
