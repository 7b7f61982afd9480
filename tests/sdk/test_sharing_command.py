"""`meritrec sharing`: shows what a device tells, changes it, takes it back; as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdk.cli import main
from sdk.device_folder import SETTINGS_FILE, DeviceSettings

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def device(tmp_path: Path, tiny_bundle, capsys: Capture) -> str:
    folder = str(tmp_path / "device")
    assert main(["init", folder, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex()]) == 0
    for item in ("item-1", "item-2"):
        assert main(["record", folder, item]) == 0
    capsys.readouterr()
    return folder


def told(capsys: Capture, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_private_device_says_that_nothing_is_told(device: str, capsys: Capture) -> None:
    shown = told(capsys, "sharing", device)
    assert "policy: private" in shown
    assert "published: nothing yet" in shown
    assert "the policy is private: item-1, item-2" in shown


def test_a_policy_is_changed_shown_and_kept(device: str, capsys: Capture) -> None:
    brief = told(capsys, "sharing", device, "--set", "level=items", "--set", "deny_items=item-2")
    assert brief.splitlines() == [
        "policy: items (deny_items=item-2)",
        "the change is told as soon as the device joins the network",
    ]
    shown = json.loads(told(capsys, "sharing", device, "--json"))
    assert [item["item"] for item in shown["would_publish"]["items"]] == ["item-1"]
    assert shown["withheld"] == [{"item": "item-2", "why": "denied", "text": "on a list of what is never told"}]
    assert shown["pending"] is True
    assert DeviceSettings.load(Path(device)).sharing.as_json() == shown["policy"]
    shown_too = told(capsys, "sharing", device, "--set", "max_items=1", "--show")
    assert "level 2" in shown_too
    assert "on a list of what is never told: item-2" in shown_too


def test_what_was_published_is_shown_after_the_device_has_left(device: str, capsys: Capture) -> None:
    told(capsys, "sharing", device, "--set", "level=items")
    assert main(["peer", device, "--for", "0.1"]) == 0
    capsys.readouterr()
    shown = told(capsys, "sharing", device)
    assert "as version" in shown
    assert "item-1" in shown
    assert "peers know what the policy tells, and nothing else" in shown
    assert "peers were told of it" in told(capsys, "forget", device, "item-1")
    assert "will be published instead" in told(capsys, "sharing", device)
    brief = told(capsys, "sharing", device, "--withdraw")
    assert brief.splitlines() == ["policy: private", "everything is taken back as soon as the device joins the network"]
    assert main(["peer", device, "--for", "0.1"]) == 0
    capsys.readouterr()
    report = json.loads(told(capsys, "sharing", device, "--json"))
    assert (report["published"]["items"], report["pending"]) == ([], False)
    assert [edition["items"] for edition in report["editions"]] == [0, 2]


@pytest.mark.parametrize("setting", ["level=loud", "nonsense", "deny_categories=jazz", "max_items=100"])
def test_a_wrong_setting_changes_nothing(device: str, setting: str, capsys: Capture) -> None:
    before = (Path(device) / SETTINGS_FILE).read_text()
    assert main(["sharing", device, "--set", setting]) == 1
    assert capsys.readouterr().err.startswith("meritrec: ")
    assert (Path(device) / SETTINGS_FILE).read_text() == before
    assert "policy: private" in told(capsys, "sharing", device)


def test_init_in_a_community_gives_another_peer(device: str, tiny_bundle, tmp_path: Path, capsys: Capture) -> None:
    alone = json.loads(told(capsys, "sharing", device, "--json"))["peer"]
    again = ["init", device, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex()]
    made = json.loads(told(capsys, *again, "--community", "work", "--sharing", "items", "--json"))
    shown = json.loads(told(capsys, "sharing", device, "--json"))
    assert (shown["community"], shown["peer"], shown["policy"]["level"]) == ("work", made["peer"], "items")
    assert shown["peer"] != alone
    assert "in work this device is peer" in told(capsys, "sharing", device)


def test_settings_of_format_1_are_read_and_become_the_latest(device: str, tiny_bundle, capsys: Capture) -> None:
    old = {
        "format": 1,
        "bundle": str(tiny_bundle.path),
        "trusted_keys": [tiny_bundle.key.hex()],
        "sharing": "items",
    }
    (Path(device) / SETTINGS_FILE).write_text(json.dumps(old))
    assert json.loads(told(capsys, "sharing", device, "--json"))["policy"]["level"] == "items"
    told(capsys, "sharing", device, "--set", "max_items=5")
    content = json.loads((Path(device) / SETTINGS_FILE).read_text())
    assert (content["format"], content["sharing"]["level"], content["sharing"]["max_items"]) == (2, "items", 5)
