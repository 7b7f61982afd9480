"""Fetching from a web server: resumed, bounded, and refused wherever the server misbehaves. Real sockets throughout."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sdk.downloading import DownloadLimits, discard, download
from sdk.errors import UpdateFailed
from tests.sdk.web import Handler, serving

BODY = os.urandom(300_000)
QUICK = DownloadLimits(most_bytes=1_000_000, timeout_s=5, least_bytes_per_s=1e6, window_s=0.3)
CALM = DownloadLimits(most_bytes=1_000_000, timeout_s=5)


def ranged(handler: Handler, *, tag: str = '"v1"', body: bytes = BODY, cut: int | None = None) -> None:
    """An honest server with strong validators; `cut` breaks off after so many bytes."""
    asked = handler.headers.get("Range")
    if asked is None or handler.headers.get("If-Range") != tag:
        handler.send_response(200)
        start = 0
    else:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    handler.send_header("Content-Length", str(len(body) - start))
    handler.send_header("ETag", tag)
    handler.end_headers()
    handler.wfile.write(body[start : None if cut is None else start + cut])


def test_a_file_is_fetched_whole_and_progress_told(tmp_path: Path) -> None:
    said: list[tuple[int, int | None]] = []
    with serving(ranged) as server:
        path = download(
            server.url,
            tmp_path,
            sha256=hashlib.sha256(BODY).hexdigest().upper(),
            progress=lambda done, total: said.append((done, total)),
            limits=CALM,
        )
    assert path.read_bytes() == BODY
    assert said[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in said] == sorted({done for done, _ in said})
    discard(path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_cut_off_is_gone_on_from(tmp_path: Path) -> None:
    with serving(lambda handler: ranged(handler, cut=100_000)) as server:
        for expected in (100_000, 200_000):
            with pytest.raises(UpdateFailed, match=f"broke off after {expected} of 300000"):
                download(server.url, tmp_path, limits=CALM)
        assert download(server.url, tmp_path, limits=CALM).read_bytes() == BODY
        assert [asked.get("range") for asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_another_file_at_the_same_address_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    with serving(lambda handler: ranged(handler, cut=100_000)) as server:
        with pytest.raises(UpdateFailed):
            download(server.url, tmp_path, limits=CALM)
        other = BODY[::-1]
        server.behaviour = lambda handler: ranged(handler, tag='"v2"', body=other)
        assert download(server.url, tmp_path, limits=CALM).read_bytes() == other


@pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_strong_validator_nothing_is_gone_on_from(tmp_path: Path, validator: dict[str, str]) -> None:
    with serving(lambda h: h.say(200, BODY[:1000], Content_Length="300000", **validator)) as server:
        with pytest.raises(UpdateFailed, match="broke off"):
            download(server.url, tmp_path, limits=CALM)
        server.behaviour = lambda h: h.say(200, BODY, **validator)
        assert download(server.url, tmp_path, limits=CALM).read_bytes() == BODY
        assert "range" not in server.asked[1]


def _wait(handler: Handler) -> None:
    handler.server.stopping.wait(20)


def _drip_head(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.server.stopping.wait(0.05):
        handler.wfile.write(b"a")


def _drip_body(handler: Handler) -> None:
    handler.say(200, b"", Content_Length="300000")
    while not handler.server.stopping.wait(0.05):
        handler.wfile.write(b"a")


def _endless(handler: Handler) -> None:
    handler.say(200, b"", Content_Length="")
    while not handler.server.stopping.is_set():
        handler.wfile.write(bytes(1 << 16))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (lambda h: h.say(404), "answered 404"),
        (lambda h: h.say(500, b"x"), "answered 500"),
        (lambda h: h.say(204), "answered 204"),
        (lambda h: h.say(302, Location="file:///etc/passwd"), "by http or https, not from 'file:"),
        (lambda h: h.say(302, Location="ftp://127.0.0.1/x"), "by http or https"),
        (lambda h: h.say(302, Location="http://user:secret@127.0.0.1/x"), "by http or https"),
        (lambda h: h.say(302), "leads on and on"),
        (lambda h: h.say(307, Location=h.path), "leads on and on"),
        (lambda h: h.say(200, b"x", Content_Length="5000000"), "5000000 bytes; at most 1000000"),
        (lambda h: h.say(200, b"x" * 10, Content_Length="20"), "broke off after 10 of 20"),
        (lambda h: h.say(200, b"x", Content_Encoding="gzip"), "encoding"),
        (lambda h: h.say(206, b"x", Content_Range="bytes 5-5/6"), "another part"),
        (lambda h: h.wfile.write(b"\x00\x01 not http\r\n\r\n"), "something else than HTTP"),
        (lambda h: h.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000), "something else than HTTP"),
        (lambda h: None, "could not be fetched|something else than HTTP"),
        (_endless, "sent more than"),
        (_wait, "too slow"),
        (_drip_head, "too slow"),
        (_drip_body, "too slow"),
    ],
)
def test_a_server_that_misbehaves_is_named_and_costs_little(
    tmp_path: Path, behaviour: Callable[[Handler], None], said: str
) -> None:
    with serving(behaviour) as server, pytest.raises(UpdateFailed, match=said):
        download(server.url, tmp_path, limits=QUICK)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < QUICK.most_bytes + 1000


def test_a_redirect_to_another_web_server_is_followed(tmp_path: Path) -> None:
    with serving(ranged) as real, serving(lambda h: h.say(301, Location=real.url)) as first:
        assert download(first.url, tmp_path, limits=CALM).read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    with serving(ranged) as server, pytest.raises(UpdateFailed, match="not the file that was asked for"):
        download(server.url, tmp_path, sha256="0" * 64, limits=CALM)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_on_with_another_part_is_refused(tmp_path: Path) -> None:
    with serving(lambda handler: ranged(handler, cut=100_000)) as server:
        with pytest.raises(UpdateFailed):
            download(server.url, tmp_path, limits=CALM)
        server.behaviour = lambda h: h.say(206, BODY[:10], Content_Range="bytes 0-9/300000")
        with pytest.raises(UpdateFailed, match="another part"):
            download(server.url, tmp_path, limits=CALM)
        server.behaviour = ranged
        assert download(server.url, tmp_path, limits=CALM).read_bytes() == BODY


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "http://",
        "https:///x",
        "http://host:99999/",
        "http://a b/",
        "http://[::1/",
    ],
)
def test_what_is_no_web_address_is_refused_before_anything_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(UpdateFailed):
        download(url, tmp_path)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UpdateFailed, match="could not be fetched"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/", tmp_path, limits=CALM)


def test_downloads_of_other_addresses_are_removed(tmp_path: Path) -> None:
    with serving(ranged) as server:
        download(server.url, tmp_path, limits=CALM)
        download(server.url + "?other", tmp_path, limits=CALM)
    assert len(list(tmp_path.iterdir())) == 2
