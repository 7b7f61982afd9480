"""Settings of an alignment: shipped files are whole, and everything wrong with a file is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from server_training.alignment.config import (
    AlignConfig,
    ObjectiveConfig,
    ObjectiveName,
    changed_alignment,
    load_align_config,
    shipped_alignments,
)
from server_training.alignment.objectives import make_alignment_objective
from server_training.errors import ConfigInvalid


@pytest.mark.parametrize("name", shipped_alignments())
def test_shipped_files_are_whole(name: str) -> None:
    config = load_align_config(name)
    assert AlignConfig.from_dict(config.to_dict()) == config


def test_every_objective_has_a_shipped_file() -> None:
    assert {load_align_config(name).objective.name for name in shipped_alignments()} == set(get_args(ObjectiveName))
    for name in get_args(ObjectiveName):
        make_alignment_objective(ObjectiveConfig(name=name))


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        'nonsense = 1\n[objective]\nname = "ppo"\nbeta = "large"\n[sampler]\nlenght = 3\nlists = 0\n'
        '[rewards]\nhit = -1.0\n[train]\nlearning_rate = 2.0\nmetric = "mrr"\n'
    )
    with pytest.raises(ConfigInvalid) as caught:
        load_align_config(str(path))
    for part in (
        "nonsense",
        "'ppo'",
        "beta must be float",
        "'lenght'",
        "lists must be",
        "hit must be",
        "learning_rate",
    ):
        assert part in str(caught.value)
    assert "metric must be one of ndcg@10, recall@10" in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"rewards": {"hit": 0.0}}, "needs a reward"),
        ({"objective": {"name": "rank-grpo"}}, "lists to 2 or more"),
        ({"sampler": {"lists": 3}}, "lists = 1"),
        ({"objective": {"reference": "none", "kl": 0.1}}, "kl needs a reference"),
        ({"train": 3}, "expected run"),
    ],
)
def test_settings_that_exclude_one_another_are_refused(sections: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigInvalid, match=expected):
        AlignConfig.from_dict(sections)


def test_files_that_are_not_there_or_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=f"one of {shipped_alignments()[0]}"):
        load_align_config("no-such-alignment")
    (tmp_path / "bad.toml").write_bytes(b"[model\xff")
    with pytest.raises(ConfigInvalid, match="is not TOML"):
        load_align_config(str(tmp_path / "bad.toml"))


def test_single_settings_are_changed_and_checked() -> None:
    config = changed_alignment(AlignConfig(), {"train": {"steps": 7}, "objective": {"kl": 1}})
    assert (config.train.steps, config.objective.kl, config.sampler) == (7, 1, AlignConfig().sampler)
    with pytest.raises(ConfigInvalid, match="expected run"):
        changed_alignment(AlignConfig(), {"trian": {"steps": 7}})
