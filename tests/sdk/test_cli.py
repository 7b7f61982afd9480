"""The commands: results on stdout, one sentence on stderr, exit codes as documented."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from p2p import Identity
from sdk.cli import main
from sdk.device_folder import DeviceFolder

COMMANDS = (
    *("init", "record", "recommend", "similar", "block-item", "vouch", "peer", "update", "rollback", "metrics"),
    *("sharing", "inspect", "export-data", "forget", "rotate"),
)


@pytest.fixture
def device(tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str]) -> str:
    path = str(tmp_path / "device")
    assert main(["init", path, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex()]) == 0
    capsys.readouterr()
    return path


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("meritrec: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_device_can_be_made_fed_asked_and_inspected(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    for item in ("item-1", "item-2"):
        assert main(["record", device, item, "--at", "1600000000"]) == 0
    assert main(["recommend", device, "-k", "3", "--json"]) == 0
    picks = json.loads(capsys.readouterr().out)
    assert len(picks) == 3
    assert all(pick["reasons"][0]["text"] for pick in picks)
    assert main(["recommend", device, "-k", "3"]) == 0
    assert capsys.readouterr().out.startswith("  1. Title ")
    friend = Identity.create().peer_id.hex()
    assert main(["vouch", device, friend, "--level", "3"]) == 0
    assert main(["vouch", device, friend, "--undo"]) == 0
    assert main(["vouch", device, friend, "--block"]) == 0
    assert main(["inspect", device, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["events"], facts["sharing"], facts["records"]) == (2, "private", 0)
    assert facts["would_share"] == {"items": 0, "vouches": 0}
    assert len(bytes.fromhex(facts["peer"])) == 32
    assert (facts["runtime"], facts["executorch"].split("+")[0], facts["threads"]) == ("native", "1.5.1", 1)
    assert facts["reason"]
    assert "XnnpackBackend" in facts["backends"]


def test_bad_input_ends_in_one_sentence(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not in the catalog" in _fails(capsys, "record", device, "nope")
    assert "action must be" in _fails(capsys, "record", device, "item-1", "--action", "eat")
    assert "64 hex digits" in _fails(capsys, "vouch", device, "abc")
    assert "no vouch" in _fails(capsys, "vouch", device, "00" * 32, "--undo")
    assert "k must be" in _fails(capsys, "recommend", device, "-k", "0")
    nowhere = tmp_path / "nowhere"
    assert "not a device folder" in _fails(capsys, "recommend", str(nowhere))
    assert not nowhere.exists()


def test_a_bad_bundle_makes_no_device(tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str]) -> None:
    copy, device = tmp_path / "copy", tmp_path / "device"
    shutil.copytree(tiny_bundle.path, copy)
    content = bytearray((copy / "catalog.bin").read_bytes())
    content[10] ^= 1
    (copy / "catalog.bin").write_bytes(content)
    good, key = str(tiny_bundle.path), tiny_bundle.key.hex()
    init = ("init", str(device), "--bundle")
    assert "not the file that was signed" in _fails(capsys, *init, str(copy), "--trust-key", key)
    assert "trusted keys" in _fails(capsys, *init, good, "--trust-key", "00" * 32)
    assert "no bundle" in _fails(capsys, *init, str(tmp_path / "nothing"), "--trust-key", key)
    assert not device.exists()


@pytest.mark.parametrize("name", ["events.db", "records.db", "identity.key", "settings.json"])
def test_a_damaged_file_is_named_and_left_alone(device: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", device, "item-1"]) == 0
    capsys.readouterr()
    path = Path(device) / name
    content = b"?" * 200 + path.read_bytes()[200:]
    path.write_bytes(content)
    assert name in _fails(capsys, "recommend", device)
    assert path.read_bytes() == content


def test_the_list_of_commands_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = {line[4:].split(" ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_refuses_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert len(capsys.readouterr().out) > 100
    with pytest.raises(SystemExit) as done:
        main([command, "--nonsense"])
    assert done.value.code == 2


def test_what_changed_after_init_is_refused_by_every_command(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Path(device) / "settings.json"
    whole = settings.read_text()
    friend = Identity.create().peer_id.hex()
    calls = (
        ("record", device, "item-1"),
        ("recommend", device, "--json"),
        ("vouch", device, friend),
        ("inspect", device),
    )
    settings.write_text(json.dumps(json.loads(whole) | {"trusted_keys": ["abcd"]}))
    for call in calls:
        assert "settings.json is damaged" in _fails(capsys, *call)
    settings.write_text(whole)
    (model,) = (Path(device) / "models").glob("v1-*/model.pte")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    for call in calls:
        assert "is not the file that was signed" in _fails(capsys, *call)


@pytest.mark.parametrize("key", ["", "abc", "zz" * 32, "00" * 31, "00" * 33])
def test_a_bad_key_is_refused_before_anything_is_made(
    tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    device = tmp_path / "device"
    init = ("init", str(device), "--bundle", str(tiny_bundle.path), "--trust-key")
    assert "64 hex digits" in _fails(capsys, *init, key)
    assert not device.exists()


def test_a_file_is_no_device(tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    init = ("init", str(path), "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex())
    assert "is not a folder" in _fails(capsys, *init)
    assert "file" in _fails(capsys, "recommend", str(path))
    assert path.read_text() == "mine"


def test_events_damaged_inside_a_page_are_refused(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", device, "item-1"]) == 0
    capsys.readouterr()
    path = Path(device) / "events.db"
    content = path.read_bytes().replace(b"item-1", b"item\xff1")
    path.write_bytes(content)
    for call in (("recommend", device), ("recommend", device, "--json"), ("inspect", device)):
        assert "events.db cannot be read" in _fails(capsys, *call)
    assert path.read_bytes() == content


def test_a_device_that_is_open_elsewhere_is_refused(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DeviceFolder.open(Path(device))
    try:
        assert "open in another process" in _fails(capsys, "record", device, "item-1")
    finally:
        folder.close()
    assert main(["record", device, "item-1"]) == 0


def test_the_sharing_choice_is_remembered(tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str]) -> None:
    device = str(tmp_path / "device")
    init = ["init", device, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex(), "--json"]
    assert main([*init, "--sharing", "network"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["record", device, "item-1"]) == 0
    assert main(["vouch", device, Identity.create().peer_id.hex()]) == 0
    assert main(["inspect", device, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["peer"] == made["peer"]
    assert facts["would_share"] == {"items": 1, "vouches": 1}
    assert main(["inspect", device]) == 0
    assert "would_share" in capsys.readouterr().out


def test_a_sealed_device_opens_with_its_passphrase_only(
    tmp_path: Path, tiny_bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = str(tmp_path / "device")
    init = ["init", device, "--bundle", str(tiny_bundle.path), "--trust-key", tiny_bundle.key.hex()]
    assert "a passphrase is needed" in _fails(capsys, *init, "--seal")
    monkeypatch.setenv("MERITREC_PASSPHRASE", "sesame")
    assert main([*init, "--seal"]) == 0
    assert main(["record", device, "item-1"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("MERITREC_PASSPHRASE", "another")
    assert "not that of" in _fails(capsys, "recommend", device)
    monkeypatch.delenv("MERITREC_PASSPHRASE")
    assert "set MERITREC_PASSPHRASE" in _fails(capsys, "recommend", device)


def test_a_key_can_be_replaced_and_sealed_afterwards(
    device: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["rotate", device, "--json"]) == 0
    keys = json.loads(capsys.readouterr().out)
    assert main(["inspect", device, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["peer"] == keys["new"] != keys["old"]
    monkeypatch.setenv("MERITREC_PASSPHRASE", "sesame")
    assert main(["rotate", device, "--seal"]) == 0
    assert keys["new"] in capsys.readouterr().out
    monkeypatch.delenv("MERITREC_PASSPHRASE")
    assert "a passphrase is needed" in _fails(capsys, "rotate", device)


def test_the_status_of_a_running_peer_is_shown_while_it_runs(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no `meritrec peer` is running" in _fails(capsys, "peer", device, "--status")
    shown: list[str] = []

    def look() -> None:
        deadline = time.monotonic() + 20
        while not (Path(device) / "status.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        shown.append((Path(device) / "status.json").read_text())
        assert main(["peer", device, "--status", "--json"]) == 0
        assert main(["peer", device, "--status"]) == 0

    watcher = threading.Thread(target=look)
    watcher.start()
    assert main(["peer", device, "--for", "1", "--metrics-port", "0"]) == 0
    watcher.join()
    captured = capsys.readouterr()
    assert json.loads(shown[0])["records"] == 0
    assert "refused     nothing" in captured.out
    assert "metrics at http://127.0.0.1:" in captured.err
    (Path(device) / "status.json").write_text(shown[0])  # as a killed process would leave it
    assert "no `meritrec peer` is running" in _fails(capsys, "peer", device, "--status")


def _json(capsys: pytest.CaptureFixture[str], *arguments: str):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_a_person_decides_about_items_and_data(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, bought = (pick["item"] for pick in _json(capsys, "recommend", device, "-k", "2"))
    assert main(["record", device, bought, "--action", "purchase", "--at", "1600000000"]) == 0
    assert main(["block-item", device, first]) == 0
    assert _json(capsys, "block-item", device) == [first]
    both = _json(capsys, "recommend", device, "-k", "60", "--category", "even", "--show-filtered")
    assert first not in {pick["item"] for pick in both["recommended"]}
    kinds = {item["item"]: item["kind"] for item in both["filtered"]}
    assert (kinds[first], kinds[bought]) == ("blocked", "seen")
    assert "category" in kinds.values()
    assert main(["recommend", device, "-k", "3", "--show-filtered", "--diversity", "0.5", "--explore", "0.4"]) == 0
    assert "kept out:" in capsys.readouterr().out
    assert "not trained for any asks" in _fails(capsys, "recommend", device, "--ask", "novelty=0.9")
    assert "--ask names one of" in _fails(capsys, "recommend", device, "--ask", "joy=0.9")
    assert "NAME=NUMBER" in _fails(capsys, "recommend", device, "--prior", "short=much")
    assert "no prior 'short'" in _fails(capsys, "recommend", device, "--prior", "short=1")
    assert main(["block-item", device, first, "--undo"]) == 0
    assert "is not blocked" in _fails(capsys, "block-item", device, first, "--undo")
    assert len(_json(capsys, "similar", device, "item-3", "-k", "4")) == 4
    assert "no category" in _fails(capsys, "similar", device, "item-3", "--category", "green")
    out = tmp_path / "mine.json"
    assert main(["export-data", device, "--out", str(out)]) == 0
    assert [e["action"] for e in json.loads(out.read_text())["events"]] == ["buy"]
    assert str(out) in _fails(capsys, "export-data", device, "--out", str(out))
    assert main(["export-data", device]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == 1
    assert "say which item" in _fails(capsys, "forget", device)
    assert _json(capsys, "forget", device, bought)["events"] == 1
    assert _json(capsys, "forget", device, "--everything") == {
        "events": 0,
        "opinions": 0,
        "blocked_items": 0,
        "published": False,
    }


def test_a_model_is_updated_and_rolled_back(device: str, newer_bundle, capsys: pytest.CaptureFixture[str]) -> None:
    done = _json(capsys, "update", device, str(newer_bundle(2)))
    assert (done["kind"], done["before"], done["version"], done["items"]) == ("model", 1, 2, 60)
    assert "versions only rise" in _fails(capsys, "update", device, str(newer_bundle(2)))
    found = _json(capsys, "metrics", device, "--requests", "2")
    assert (found["model_version"], found["latencies"]["recommend"]["calls"]) == (2, 2)
    assert _json(capsys, "rollback", device)["version"] == 1
    assert "no previous model" in _fails(capsys, "rollback", device)
