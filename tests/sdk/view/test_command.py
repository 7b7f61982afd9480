"""`meritrec view` as a person runs it: a link, a page behind it, news on stderr, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdk.cli import main
from sdk.view.browser import opened_in_browser

PATIENCE_S = 60.0


@pytest.fixture
def device(opened, tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str]) -> str:
    opened().close()
    path = str(tmp_path / "device")
    assert main(["init", path, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex()]) == 0
    capsys.readouterr()
    return path


@contextmanager
def _viewing(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    # What was started in the background ignores SIGINT, and so would its children: as in a terminal, it counts here.
    listening = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"import signal, sys; {listening}; from sdk.cli import main; sys.exit(main())"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*command, "view", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def _ask(link: str, path: str, key: str | None = None, body: dict[str, Any] | None = None) -> Any:
    page = link.partition("#")[0]
    headers = {"Origin": page.rstrip("/"), "Content-Type": "application/json"}
    headers |= {} if key is None else {"Authorization": f"Bearer {key}"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{page}api/{path}", data, headers), timeout=PATIENCE_S
    ) as response:
        return json.load(response)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_link_opens_the_page_and_an_interrupt_ends_it(device: str, ending: signal.Signals) -> None:
    with _viewing(device, "--json", "--connect", "/ip4/127.0.0.1/tcp/1/p2p/none") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        link = json.loads(process.stdout.readline())["link"]
        assert process.stderr.readline().startswith("not reached: ")
        key = _ask(link, "session", body={"token": link.partition("token=")[2]})["key"]
        assert process.stderr.readline().startswith("the page was opened; for another tab: http://127.0.0.1:")
        network = _ask(link, "network", key)
        assert network["connected"] is True  # it listens, though nobody answered
        assert network["trouble"]
        assert network["addresses"][0].startswith("/ip4/127.0.0.1/")
        _ask(link, "events", key, {"item": "item-1", "action": "like"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _ask(link, "overview")
        process.send_signal(ending)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read() == ""
    assert main(["recommend", device]) == 0


def test_a_taken_port_is_one_sentence(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", device, "--port", str(port)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"meritrec: cannot serve the page on port {port}: ")
    assert "choose another --port" in said.err


def test_it_ends_by_itself_when_asked_to(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", device, "--for", "0"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_the_browser_is_given_a_private_file_and_not_the_link(tmp_path: Path) -> None:
    given: list[str] = []

    def open_(address: str) -> bool:
        given.append(address)
        return True

    with opened_in_browser("http://127.0.0.1:1/#token=a&b", tmp_path, open_) as could:
        assert could
        (file,) = tmp_path.iterdir()
        assert given == [file.as_uri()]
        assert file.stat().st_mode & 0o777 == 0o600
        assert 'content="0;url=http://127.0.0.1:1/#token=a&amp;b"' in file.read_text()
    assert list(tmp_path.iterdir()) == []
