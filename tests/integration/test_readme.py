"""The README's promises, executed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdk import Recommender, RecommenderConfig, SharingPolicy
from sdk.cli import build_parser as device_parser
from server_training.cli import build_parser as server_parser

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.slow
def test_the_ten_lines_for_an_app_run(
    tmp_path: Path, made_bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    config = RecommenderConfig(sharing=SharingPolicy.ITEMS)
    keys = [made_bundle.key]
    with Recommender.open(tmp_path / "friend", bundle=made_bundle.path, trusted_keys=keys, config=config) as friend:
        friend.record("77", "like")
        names = {
            "bundle": made_bundle.path,
            "publisher_key": made_bundle.key,
            "friend_key": friend.peer_id,
            "friend_addresses": friend.connect(),
        }
        exec(compile(code, "README.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(" | " in line for line in lines[:5])


def test_every_command_the_readme_shows_parses() -> None:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
    shown = [line.split("#")[0].split() for line in shell.splitlines() if line.startswith("meritrec")]
    assert len(shown) >= 12
    for program, *arguments in shown:
        parser = device_parser() if program == "meritrec" else server_parser()
        assert parser.parse_args(arguments).command


def test_the_file_tree_in_the_readme_exists() -> None:
    root = Path(__file__).parents[2]
    folders = re.findall(r"^(\w+)/ +\S", README, flags=re.MULTILINE)
    assert len(folders) == 9
    assert [name for name in folders if not (root / name).is_dir()] == []
