"""A model from a web server that may be slow, broken or hostile: resumed where it was cut off, bounded in every way.

What arrives is not trusted: signatures are checked afterwards, by the store of models. Here it is only seen to that a
server cannot fill the disk, hold the caller up, or lead elsewhere than to another web server. Proxies that the
environment names are not used.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from sdk.errors import UpdateFailed

Progress = Callable[[int, int | None], None]
_BLOCK = 1 << 16
_REDIRECTS = {301, 302, 303, 307, 308}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PREFIX = ".download-"


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What a server may do.

    Attributes:
        most_bytes: larger files are refused.
        timeout_s: longest wait for a connection, and for any single byte.
        least_bytes_per_s: slower transfers are given up, measured over `window_s`.
        window_s: see there; also the longest wait for the head of an answer.
        redirects: how many are followed, never from https to http.
    """

    most_bytes: int = 2 << 30
    timeout_s: float = 20.0
    least_bytes_per_s: float = 1024.0
    window_s: float = 30.0
    redirects: int = 5


def download(
    url: str,
    folder: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    limits: DownloadLimits | None = None,
) -> Path:
    """Fetch a file, going on where an earlier attempt was cut off if the server says that the file is still the same.

    Args:
        url: http or https.
        folder: where it is kept; downloads of other addresses are removed from it.
        sha256: of the whole file, 64 hex digits, when it is known beforehand.
        progress: told bytes so far and, if known, of how many.
        limits: what the server may do.

    Returns:
        The file; `discard` removes it.

    Raises:
        UpdateFailed: the server cannot be reached, refuses, breaks off, is too slow, or sends something else. What came
            so far is kept if it may be gone on from.
    """
    part = _Part.at(folder, url)
    try:
        _Transfer(url, part, limits or DownloadLimits(), progress or _ignore).run()
        if sha256 is not None and file_digest(part.path) != sha256.lower():
            part.discard()
            raise UpdateFailed(f"{url} is not the file that was asked for: its SHA-256 is not {sha256[:16]}…")
    except OSError as error:
        raise UpdateFailed(f"{url} could not be fetched ({error}); try again to go on where it stopped") from error
    except http.client.HTTPException as error:
        raise UpdateFailed(f"{url} answered with something else than HTTP ({error!r:.120}); try again later") from error
    return part.path


def discard(path: Path) -> None:
    """Remove a downloaded file and what is known about it; harmless if it is gone."""
    _Part(path).discard()


def _ignore(_: int, __: int | None) -> None:
    return


def file_digest(path: Path) -> str:
    """Return a file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Part:
    """What came of a file so far, and beside it what the server said of it."""

    path: Path

    @classmethod
    def at(cls, folder: Path, url: str) -> _Part:
        """The part of a URL; those of others are removed."""
        found = cls(folder / f"{_PREFIX}{hashlib.sha256(url.encode()).hexdigest()[:16]}")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in folder.glob(f"{_PREFIX}*"):
            if other.is_file() and other not in (found.path, found._facts):
                other.unlink(missing_ok=True)
        return found

    @property
    def _facts(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """What the server named this state of the file by, None where it did not."""
        try:
            found = json.loads(self._facts.read_text())["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) and found else None

    def begin(self, validator: str | None) -> None:
        """Start anew."""
        self.path.write_bytes(b"")
        self._facts.write_text(json.dumps({"validator": validator}))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)


class _Transfer:
    """One attempt: redirects, the head of the answer, the body."""

    def __init__(self, url: str, part: _Part, limits: DownloadLimits, progress: Progress) -> None:
        self._url, self._part, self._limits, self._progress = url, part, limits, progress

    def run(self) -> None:
        url = _checked(self._url)
        for _ in range(self._limits.redirects + 1):
            with self._answer(url) as (answer, watch):
                if answer.status in _REDIRECTS:
                    url = self._followed(url, answer.getheader("Location"))
                    continue
                self._take(answer, watch)
                return
        raise UpdateFailed(f"{self._url} leads on and on; check the address")

    def _followed(self, url: SplitResult, location: str | None) -> SplitResult:
        following = _checked(urljoin(url.geturl(), location or ""))
        if url.scheme == "https" and following.scheme != "https":
            raise UpdateFailed(f"{self._url} leads from https to {following.scheme}; ask its publisher")
        return following

    @contextmanager
    def _answer(self, url: SplitResult) -> Iterator[tuple[http.client.HTTPResponse, _Watch]]:
        connection = _connection(url, self._limits.timeout_s)
        try:
            connection.connect()
            with _Watch(connection.sock, self._limits) as watch:
                target = (url.path or "/") + (f"?{url.query}" if url.query else "")
                try:
                    connection.request("GET", target, headers=self._headers())
                    yield connection.getresponse(), watch
                except (OSError, http.client.HTTPException) as error:
                    if watch.gave_up:
                        raise UpdateFailed(f"{self._url} is too slow; try again to go on where it stopped") from error
                    raise
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "meritrec"}
        validator = self._part.validator()
        if self._part.size and validator:
            headers |= {"Range": f"bytes={self._part.size}-", "If-Range": validator}
        return headers

    def _take(self, answer: http.client.HTTPResponse, watch: _Watch) -> None:
        had = self._part.size
        if answer.status == 416 and had:  # it is shorter now than what is here
            self._part.discard()
            raise UpdateFailed(f"{self._url} has changed; try again to fetch it anew")
        if answer.status not in (200, 206):
            raise UpdateFailed(f"{self._url} answered {answer.status} {answer.reason:.80}; check the address")
        if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise UpdateFailed(f"{self._url} is sent in an encoding that was not asked for; ask its publisher")
        length = _length(answer)
        if answer.status == 206:
            total = self._continued(answer, had, length)
        else:
            self._part.begin(_validator(answer))
            had, total = 0, length
        if total is not None and total > self._limits.most_bytes:
            raise UpdateFailed(f"{self._url} has {total} bytes; at most {self._limits.most_bytes} are fetched")
        self._copy(answer, watch, had, total)

    def _continued(self, answer: http.client.HTTPResponse, had: int, length: int | None) -> int | None:
        found = _RANGE.fullmatch(answer.getheader("Content-Range") or "")
        if found is None or int(found[1]) != had or (length is not None and int(found[2]) - had + 1 != length):
            self._part.discard()
            raise UpdateFailed(f"{self._url} sent another part than was asked for; try again to fetch it anew")
        return None if found[3] == "*" else int(found[3])

    def _copy(self, answer: http.client.HTTPResponse, watch: _Watch, had: int, total: int | None) -> None:
        with self._part.path.open("ab") as file:
            while block := answer.read1(_BLOCK):
                had += len(block)
                if had > self._limits.most_bytes:
                    break
                file.write(block)
                watch.moved(len(block))
                self._progress(had, total)
        if had > self._limits.most_bytes or (total is not None and had > total):
            self._part.discard()
            raise UpdateFailed(f"{self._url} sent more than it announced or than {self._limits.most_bytes} bytes")
        if watch.gave_up or (total is not None and had < total):
            why = "is too slow" if watch.gave_up else f"broke off after {had} of {total} bytes"
            raise UpdateFailed(f"{self._url} {why}; try again to go on where it stopped")


class _Watch:
    """Cuts a connection off that moves too little: a blocked read cannot see that by itself."""

    def __init__(self, connection: socket.socket, limits: DownloadLimits) -> None:
        self._socket, self._limits = connection, limits
        self._moved = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meritrec-download-watch", daemon=True)
        self.gave_up = False

    def moved(self, count: int) -> None:
        """So many bytes came."""
        self._moved += count

    def _watch(self) -> None:
        before = 0
        while not self._over.wait(self._limits.window_s):
            now = self._moved
            if now - before < self._limits.least_bytes_per_s * self._limits.window_s:
                self.gave_up = True
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # it is closed already
                return
            before = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:
        raise UpdateFailed(f"{url!r:.200} is no address ({error})") from error
    if not usable or parts.username is not None or not url.isascii() or any(c.isspace() for c in url):
        raise UpdateFailed(f"a model is fetched by http or https, not from {url!r:.200}")
    return parts


def _connection(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    assert url.hostname is not None
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)


def _length(answer: http.client.HTTPResponse) -> int | None:
    said: Any = answer.getheader("Content-Length")
    return int(said) if said is not None and said.isascii() and said.isdigit() else None


def _validator(answer: http.client.HTTPResponse) -> str | None:
    """A strong ETag, or a date: what `If-Range` may name."""
    tag = answer.getheader("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return answer.getheader("Last-Modified")
