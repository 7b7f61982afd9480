"""A run's configuration: only known names, right types, and the same after a round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server_training.cli import main
from server_training.commands import overrides
from server_training.errors import ConfigInvalid
from server_training.run_config import RunConfig, changed, load_config, shipped


def test_a_file_holds_what_differs_from_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[model]\nwidth = 32\ndropout = 0\n[items]\nvectors = "aligned"\n[split]\nrule = "temporal"\n')
    config = load_config(str(path))
    assert (config.model.width, config.model.dropout) == (32, 0)
    assert config.model.layers == RunConfig().model.layers
    assert config.items.features().aligned
    assert config.split.rule == "temporal"
    assert RunConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"modle": {}}, "expected the sections"),
        ({"model": 3}, "expected the sections"),
        ({"model": {"widht": 3}}, "no setting 'widht'"),
        ({"model": {"width": "large"}}, "must be int"),
        ({"model": {"width": True}}, "must be int"),
        ({"model": {"codes": 1}}, "must be bool"),
        ({"model": {"backbone": "lstm"}}, "backbone must be one of"),
        ({"items": {"tokenizer": "k-means"}}, "tokenizer must be one of"),
        ({"items": {"smoothing": 99}}, "smoothing"),
        ({"split": {"rule": "random"}}, "rule must be one of"),
        ({"train": {"own_dropout": 1.0}}, "own_dropout"),
        ({"train": {"contrast": -1.0}}, "contrast must not be negative"),
        ({"train": {"precision": "float16"}}, "precision must be one of"),
    ],
)
def test_what_is_wrong_is_named(sections: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigInvalid, match=expected):
        changed(RunConfig(), sections)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigInvalid, match=f"one of {shipped()[0]}"):
        load_config("no-such-configuration")
    (tmp_path / "bad.toml").write_bytes(b"[model\xff")
    with pytest.raises(ConfigInvalid, match="is not TOML"):
        load_config(str(tmp_path / "bad.toml"))
    assert main(["train", "nowhere", "--out", str(tmp_path / "run"), "--set", "width=3"]) == 1
    assert "section.name=value" in capsys.readouterr().err


def test_settings_on_the_command_line_are_read_as_toml() -> None:
    found = overrides(["train.epochs=5", "model.dropout=0.25", "model.head=parallel", 'items.text="minilm"'])
    assert found == {
        "train": {"epochs": 5},
        "model": {"dropout": 0.25, "head": "parallel"},
        "items": {"text": "minilm"},
    }
