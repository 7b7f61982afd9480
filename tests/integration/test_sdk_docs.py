"""docs/sdk.md: its program runs as printed, and its table says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2p import Identity
from sdk.actions import ACTION_NAMES, action_number, model_action
from sdk.item_opinion import LEVEL_OF_ACTION, TAKES_BACK

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()


@pytest.mark.slow
def test_the_program_runs_as_printed(
    tmp_path: Path, made_bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {
        "bundle": made_bundle.path,
        "publisher_key": made_bundle.key,
        "friend_key": Identity.create().peer_id,
        "first": "50",
        "second": "60",
        "third": "70",
    }
    exec(compile(code, "docs/sdk.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "'no such item' is not in the catalog" in shown
    assert " | " in shown
    assert "it is in your history" in shown
    assert "seen you have seen it" in shown


def test_the_table_of_actions_is_true() -> None:
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", DOCUMENT, flags=re.MULTILINE)
    said = {name: row[1:] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(said) == {*ACTION_NAMES, "purchase"}
    for name, (reads, seen, speaks) in said.items():
        number = action_number(name)
        action = model_action(number)
        assert reads == ("nothing" if action is None else action.name.lower())
        assert (seen == "yes") is (name != "impression")
        level = LEVEL_OF_ACTION.get(number)
        assert speaks == ("takes everything back" if number in TAKES_BACK else "no" if level is None else str(level))
