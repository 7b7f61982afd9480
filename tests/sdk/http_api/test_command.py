"""`meritrec serve`: where it refuses to listen, and what it says and leaves behind."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path

import pytest

from sdk.cli import build_parser, main
from sdk.device_folder import DeviceSettings
from sdk.http_api import command
from sdk.sharing import SharingPolicy
from tests.sdk.http_api.golden_device import PINNED


@pytest.fixture
def device(tmp_path: Path, prepared: Path) -> str:
    folder = shutil.copytree(prepared, tmp_path / "device")
    DeviceSettings((PINNED,), SharingPolicy.PRIVATE).save(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--expose"),
        (["--host", "::"], "--expose"),
        (["--host", "192.168.1.1"], "TLS"),
        (["--host", "box.lan", "--allow-host", "box.lan"], "--expose"),
        (["--host", "0.0.0.0", "--expose"], "--allow-host"),
        (["--host", "0.0.0.0", "--expose", "--allow-host", "a/b"], "no host name"),
        (["--socket", "/nowhere/at/all/api.sock"], "cannot listen"),
        (["--token-file", "/dev/null"], "not a file"),
        (["--token-file", "/nowhere/at/all"], "No such file"),
    ],
)
def test_where_it_refuses_to_listen(device: str, options: list[str], said: str, capsys) -> None:
    assert main(["serve", device, "--port", "0", *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("meritrec: ")
    assert said in captured.err


def test_an_exposed_address_still_needs_token_and_host(tmp_path: Path) -> None:
    options = ["--host", "0.0.0.0", "--expose", "--allow-host", "box.lan", "--token-file", str(tmp_path / "token")]
    access, _ = command._place(build_parser().parse_args(["serve", str(tmp_path), *options]))
    assert access.token == (tmp_path / "token").read_text().strip()
    assert access.hosts == {"localhost", "127.0.0.1", "[::1]", "box.lan"}
    options[1] = "192.168.1.2"
    access, _ = command._place(build_parser().parse_args(["serve", str(tmp_path), *options]))
    assert access.hosts is not None
    assert "192.168.1.2" in access.hosts


def test_a_socket_asks_for_a_token_only_if_told(tmp_path: Path) -> None:
    at = ["serve", str(tmp_path), "--socket", str(tmp_path / "api.sock")]
    assert command._place(build_parser().parse_args(at))[0].token is None
    token_file = ["--token-file", str(tmp_path / "token")]
    assert command._place(build_parser().parse_args([*at, *token_file]))[0].token is not None
    assert list(tmp_path.glob("http-token")) == []


@pytest.mark.parametrize(
    "options", [["--port", "65536"], ["--port", "x"], ["--socket-mode", "40"], ["--socket-mode", "9"]]
)
def test_wrong_usage(options: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        build_parser().parse_args(["serve", "device", *options])
    assert done.value.code == 2


def test_a_missing_extra_is_named(device: str, monkeypatch, capsys) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: object, **more: object) -> object:
        if name == "sdk.http_api.command":
            raise ModuleNotFoundError("No module named 'starlette'", name="starlette")
        return imported(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["serve", device]) == 1
    assert "serving needs starlette: pip install 'meritrec[http]'" in capsys.readouterr().err
