"""The edge box as its README says: a process, a client in another language, an end, a second start; and its unit."""

from __future__ import annotations

import json
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.edge_box.__main__ import read_settings
from tests.sdk.http_api.golden_device import BUNDLE, PINNED

ROOT = Path(__file__).parents[2]
BOX = ROOT / "examples" / "edge_box"
PATIENCE_S = 120.0


@contextmanager
def _box(*arguments: str) -> Iterator[dict[str, str]]:
    """Start the box and yield what it says of itself; at the end, SIGTERM must end it cleanly."""
    command = [sys.executable, "-m", "examples.edge_box", *arguments, "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as box:
        try:
            assert box.stdout is not None
            yield json.loads(box.stdout.readline())
            box.send_signal(signal.SIGTERM)
            assert box.wait(PATIENCE_S) == 0
        finally:
            box.kill()


def _client(*arguments: str) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: apt-get install nodejs")
    command = [node, str(BOX / "client.mjs"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.slow
def test_a_program_in_another_language_uses_the_box(tmp_path: Path) -> None:
    device, socket = tmp_path / "device", tmp_path / "api.sock"
    settings = tmp_path / "edge-box.env"
    settings.write_text(
        f"MERITREC_BUNDLE={BUNDLE}\nMERITREC_PUBLISHER={PINNED.hex()}\nMERITREC_SERVE_OPTIONS=--port 0\n"
    )
    with _box(str(device), "--config", str(settings), "--listen", "/ip4/127.0.0.1/tcp/0") as about:
        assert about["url"].startswith("http://127.0.0.1:")
        assert len(about["addresses"]) >= 1
        assert stat.S_IMODE(Path(about["token_file"]).stat().st_mode) == 0o600
        done = _client(about["url"], about["token_file"], "item-1", "item-2")
        assert done.returncode == 0, done.stderr
        assert len(re.findall(r"^Titel №\d+ \[item-\d+\]: \S.*$", done.stdout, flags=re.MULTILINE)) == 5
        assert "2 events" in done.stderr
        unknown = _client(about["url"], about["token_file"], "nope")
        assert unknown.returncode != 0
        assert "404: item 'nope' is not in the catalog" in unknown.stderr
        assert "401: send" in _client(about["url"], "-").stderr
    assert not (device / "status.json").exists()
    with _box(str(device), "--socket", str(socket)) as about:
        assert (about["url"], about["token_file"]) == (f"unix:{socket}", None)
        assert "2 events" in _client(about["url"], "-").stderr, "nothing was lost"
    assert not socket.exists()


@pytest.mark.parametrize("content", ["MERITREC_BUNDLE", "PATH=/bin", "MERITREC_BUNDLE /x", "export MERITREC_BUNDLE=/x"])
def test_settings_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "edge-box.env"
    path.write_text(f"# a comment\n\n{content}\n")
    with pytest.raises(ValueError, match="line 3 is none of MERITREC_BUNDLE"):
        read_settings(path)


def test_the_settings_that_are_shipped_can_be_read() -> None:
    settings = read_settings(BOX / "edge-box.env")
    assert (settings["MERITREC_BUNDLE"], settings["MERITREC_SHARING"]) == ("/etc/meritrec/bundle", "private")
    used = set(re.findall(r"\$\{?(MERITREC_\w+)", (BOX / "meritrec.service").read_text()))
    assert used == set(settings)


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_systemd_accepts_the_unit_and_rates_it_well(tmp_path: Path) -> None:
    unit = tmp_path / "meritrec.service"
    # verify wants programs that exist; the service's are in /opt/meritrec.
    unit.write_text((BOX / "meritrec.service").read_text().replace("/opt/meritrec/bin/meritrec", sys.executable))
    verified = _analyze("verify", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = _analyze("security", "--offline=true", "--threshold=15", str(unit))
    assert rated.returncode == 0, rated.stdout


def test_the_unit_starts_what_the_command_line_takes() -> None:
    from sdk.cli import build_parser

    unit = (BOX / "meritrec.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, flags=re.MULTILINE)
    words = started.replace("$MERITREC_SERVE_OPTIONS", "--lan").replace("${STATE_DIRECTORY}", "/state").split()
    arguments = build_parser().parse_args(words)
    assert (arguments.device, arguments.socket_mode, arguments.lan) == (Path("/state"), 0o660, True)
    (made,) = re.findall(r"exec /opt/meritrec/bin/meritrec (init .*)'$", unit, flags=re.MULTILINE)
    values = {
        "STATE_DIRECTORY": "/state",
        "MERITREC_BUNDLE": "b",
        "MERITREC_PUBLISHER": "k",
        "MERITREC_SHARING": "items",
    }
    words = [re.sub(r'^"\$(\w+)"$', lambda found: values[found[1]], word) for word in made.split()]
    assert build_parser().parse_args(words).sharing == "items"
