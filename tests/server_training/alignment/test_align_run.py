"""From a trained run to an aligned one: moments, resuming, the folder, the command, the page, the export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from device_runtime import Action
from server_training.alignment.align import RoundRecord
from server_training.alignment.config import AlignConfig, changed_alignment, load_align_config, shipped_alignments
from server_training.alignment.folder import align_run
from server_training.alignment.policy import Policy
from server_training.alignment.prior import prior_of
from server_training.alignment.prompts import PromptSource
from server_training.alignment.report import invalid_share
from server_training.alignment.rewards.learned import labels
from server_training.cli import main
from server_training.data.split import Stage
from server_training.errors import CheckpointInvalid, ConfigInvalid, TrainingError
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import VerifyLimits
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.run_config import ItemsConfig, RunConfig
from server_training.training.config import TrainConfig
from server_training.training.logs import EpochRecord
from server_training.training.model_file import MODEL_FILE, load_model
from server_training.training.run_folder import Run, train_run

MODEL = ModelConfig(levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2)
TRAIN = TrainConfig(epochs=2, batch_size=8, learning_rate=1e-2)
FEW = {
    "sampler": {"windows": 12, "per_window": 2, "length": 5},
    "train": {"steps": 6, "validate_every": 3, "learning_rate": 1e-3},
}


class Silent:
    """Watches nothing in training."""

    def step(self, done: int, total: int, loss: float) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...


class Watcher:
    """Keeps records, and interrupts after some step if told to."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.records: list[RoundRecord] = []
        self._interrupt_after = interrupt_after

    def step(self, done: int, total: int, loss: float, reward: float) -> None:
        assert done <= total
        if done == self._interrupt_after:
            import signal

            signal.raise_signal(signal.SIGINT)

    def validated(self, record: RoundRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def runs(ring_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Trained runs by head, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("runs"), dict[str, Run]()

    def run(head: str) -> Run:
        if head not in made:
            items = ItemsConfig(neighbours=4 if head == "retrieval" else 0)
            config = RunConfig(items=items, model=replace(MODEL, head=head), train=TRAIN)
            train_run(ring_data, folder / head, config, Silent())
            made[head] = Run.open(folder / head)
        return made[head]

    return run


def few(name: str, more: Mapping[str, Mapping[str, Any]] | None = None) -> AlignConfig:
    return changed_alignment(changed_alignment(load_align_config(name), FEW), more or {})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / MODEL_FILE, weights_only=True)["weights"]
    return found


def test_moments_know_the_past_and_want_training_events_only(runs: Callable[[str], Run]) -> None:
    run = runs("retrieval")
    split, rows = run.split, [run.catalog.index_of(item) for item in run.split.data.item_ids]
    source = PromptSource(split, run.catalog, 3, horizon=2)
    every = source.draw(np.random.default_rng(0), 10_000, 100)
    trained = np.concatenate([np.arange(a + 1, b) for a, b in zip(split.data.offsets, split.train_stop, strict=False)])
    assert sorted(every.events.tolist()) == trained.tolist()  # every training event that has one before it
    assert len(source) == len(trained)
    asked = source.ask(every)
    events = [rows[item] for item in split.data.items.tolist()]
    for place, event in enumerate(every.events.tolist()):
        user = int(np.searchsorted(split.data.offsets, event, side="right")) - 1
        start = int(split.data.offsets[user])
        history = [row for row in asked.history[place].tolist() if row >= 0]
        assert history == events[start:event][-len(history) :]
        row, column = asked.inputs.places[place].tolist()
        assert int(asked.inputs.batch.rows[row, column]) == events[event - 1]
        following = events[event : min(event + 2, int(split.train_stop[user]))]
        assert [item for item in asked.wanted[place].tolist() if item >= 0] == following
        later = events[min(event + 2, int(split.train_stop[user])) : int(split.train_stop[user])]
        gone = set(events[start:event]) | set(later)
        assert set(asked.inputs.hidden[place].tolist()) - {-1} == gone - {following[0]}


def test_newest_keeps_each_persons_newest_targets(runs: Callable[[str], Run]) -> None:
    split = runs("retrieval").split
    source = PromptSource(split, runs("retrieval").catalog, 3, newest=2)
    drawn = source.draw(np.random.default_rng(0), 10_000, 100)
    owners = np.searchsorted(split.data.offsets, drawn.events, side="right") - 1
    assert (drawn.events >= split.train_stop[owners] - 2).all()


def test_a_prior_beside_newest_targets_has_not_seen_them(runs: Callable[[str], Run]) -> None:
    run = runs("retrieval")
    assert prior_of(run.split, run.catalog, 0) is run.catalog.neighbours
    found = prior_of(run.split, run.catalog, 1)
    assert found is not None
    assert found.weight == run.info.neighbour_weight
    # Other newest targets, the same events before them: the prior must be the same.
    data, newest = run.split.data, run.split.train_stop - 1
    items = data.items.copy()
    items[newest] = np.roll(items[newest], 1)
    other = prior_of(replace(run.split, data=replace(data, items=items)), run.catalog, 1)
    assert other is not None
    np.testing.assert_array_equal(found.rows, other.rows)
    np.testing.assert_array_equal(found.weights, other.weights)


def test_a_policy_says_what_the_model_scores(runs: Callable[[str], Run]) -> None:
    run = runs("parallel")
    trained = load_model(run.folder / MODEL_FILE)
    policy = Policy(trained.model, trained.features, CodeIndex(run.catalog)).eval()
    source = PromptSource(run.split, run.catalog, 6, repeats=True, later=True)
    asked = source.ask(source.draw(np.random.default_rng(1), 5, 2))
    with torch.no_grad():
        answers = policy(asked.inputs)
        states, items = policy.states(asked.inputs)
        expected = torch.log_softmax(trained.model.head.scores(states, items), dim=1)
    rows = torch.arange(len(run.catalog)).expand(len(states), 1, -1)
    torch.testing.assert_close(answers.log_probs(rows)[:, 0, :, 0], expected)


def test_the_control_learns_what_training_minimised(runs: Callable[[str], Run]) -> None:
    run = runs("retrieval")
    trained = load_model(run.folder / MODEL_FILE)
    policy = Policy(trained.model, trained.features, CodeIndex(run.catalog)).eval()
    source = PromptSource(run.split, run.catalog, 6)
    asked = source.ask(source.draw(np.random.default_rng(1), 5, 2))
    with torch.no_grad():
        states, items = policy.states(asked.inputs)
        scores, wanted = trained.model.head.scores(states, items), asked.wanted[:, 0]
        found = policy.training_loss(states, items, wanted)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(scores, wanted), check_dtype=False)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        *(("retrieval", name) for name in shipped_alignments() if name != "tastes"),  # ring people like everything
        ("autoregressive", "grpo"),
        ("autoregressive", "rank-grpo"),
        ("autoregressive", "listwise"),
    ],
)
def test_every_shipped_alignment_runs_and_keeps_the_best(
    runs: Callable[[str], Run], tmp_path: Path, name: str, head: str
) -> None:
    watcher = Watcher()
    result = align_run(runs(head).folder, tmp_path / "out", few(name), watcher)
    reached = [record.valid["ndcg@10"] for record in watcher.records]
    assert [record.steps for record in watcher.records] == [0, 3, 6]
    assert result.aligned.best == max(reached)
    if few(name).objective.reference != "none":
        assert all(record.kl > 0 for record in watcher.records[1:] if record.kl is not None), "also without a weight"
    assert result.report.after.lists["invalid@10"] == 0
    aligned = Run.open(tmp_path / "out")
    assert aligned.info.alignment is not None
    assert aligned.info.alignment["objective"]["name"] == load_align_config(name).objective.name
    assert aligned.settings_without_seed() != runs(head).settings_without_seed()


@pytest.mark.parametrize("name", ["grpo", "ipa"])
def test_interrupted_anywhere_it_ends_with_the_same_weights(
    runs: Callable[[str], Run], tmp_path: Path, name: str
) -> None:
    config = few(name, {"train": {"updates": 2, "patience": 0}})
    start = runs("retrieval").folder
    whole = align_run(start, tmp_path / "whole", config, Watcher())
    for step in (2, 3, 5):
        with pytest.raises(KeyboardInterrupt):
            align_run(start, tmp_path / "parts", config, Watcher(interrupt_after=step))
    parts = align_run(start, tmp_path / "parts", config, Watcher())
    assert parts.aligned.resumed_from == 5
    assert parts.report.to_dict() == whole.report.to_dict()
    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(one["weights"][key], other["weights"][key]) for key in one["weights"])
    assert all(torch.equal(a, weights(tmp_path / "parts")[key]) for key, a in weights(tmp_path / "whole").items())


def test_another_seed_gives_other_weights_and_the_start_stays_as_it_is(
    runs: Callable[[str], Run], tmp_path: Path
) -> None:
    start = runs("retrieval").folder
    before = {path.name: path.read_bytes() for path in start.iterdir() if path.is_file()}
    for seed in (0, 1):
        align_run(start, tmp_path / str(seed), few("grpo", {"train": {"seed": seed}}), Watcher())
    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["weights"] for name in "01")
    assert any(not torch.equal(one[key], other[key]) for key in one if key.startswith("policy"))
    assert all(torch.equal(one[key], other[key]) for key in one if key.startswith("reference"))
    assert {path.name: path.read_bytes() for path in start.iterdir() if path.is_file()} == before


def test_it_stops_when_validation_gets_no_better(runs: Callable[[str], Run], tmp_path: Path) -> None:
    worse = few("likelihood", {"train": {"steps": 30, "learning_rate": 0.5, "patience": 2}})
    result = align_run(runs("retrieval").folder, tmp_path / "out", worse, Watcher())
    assert result.aligned.steps < 30
    assert result.report.before.accuracy["ndcg@10"] > 0


def test_folders_of_something_else_are_refused(runs: Callable[[str], Run], tmp_path: Path) -> None:
    start = runs("retrieval").folder
    with pytest.raises(ConfigInvalid, match="run to start from"):
        align_run(start, start, few("grpo"), Watcher())
    shutil.copytree(start, tmp_path / "trained")
    with pytest.raises(CheckpointInvalid, match="holds a training run"):
        align_run(start, tmp_path / "trained", few("grpo"), Watcher())
    align_run(start, tmp_path / "out", few("grpo"), Watcher())
    with pytest.raises(CheckpointInvalid, match="other data or settings"):
        align_run(start, tmp_path / "out", few("dpo"), Watcher())
    align_run(start, tmp_path / "out", few("dpo"), Watcher(), fresh=True)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointInvalid, match="is a file"):
        align_run(start, tmp_path / "file", few("grpo"), Watcher())
    with pytest.raises(TrainingError, match="no finished run"):
        align_run(tmp_path / "nowhere", tmp_path / "out2", few("grpo"), Watcher())


def test_a_head_without_probabilities_is_refused(runs: Callable[[str], Run], tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="retrieve-rank"):
        align_run(runs("retrieve-rank").folder, tmp_path / "out", few("grpo"), Watcher())


def test_flat_rewards_and_missing_feedback_are_refused(runs: Callable[[str], Run], tmp_path: Path) -> None:
    start = runs("retrieval").folder
    with pytest.raises(ConfigInvalid, match="has not both"):
        align_run(start, tmp_path / "liked", few("tastes"), Watcher())
    # With one moment and lists of two, what came next is hardly ever among them.
    blind = few("grpo", {"sampler": {"windows": 1, "per_window": 1, "length": 2, "dynamic": 1, "temperature": 50.0}})
    with pytest.raises(TrainingError, match="nothing to learn"):
        align_run(start, tmp_path / "flat", changed_alignment(blind, {"train": {"steps": 50}}), Watcher())


def test_the_command_writes_a_run_and_a_page(
    runs: Callable[[str], Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"--set={section}.{name}={value}" for section, part in FEW.items() for name, value in part.items()]
    command = ["align", "softmax-dpo", "--run", str(runs("retrieval").folder), "--out", str(tmp_path / "out")]
    assert main([*command, *settings, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] == 6
    assert said["gains"]["ndcg@10"]["low"] <= said["gains"]["ndcg@10"]["high"]
    page = (tmp_path / "out" / "align.html").read_text()
    assert "Before and after" in page
    assert "refresh" not in page
    assert page.count("<svg") >= 5
    assert main(["evaluate", str(tmp_path / "out"), "--baselines", "popularity"]) == 0
    assert "meritrec" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert main(["align", "grpo", "--out", str(tmp_path / "no")]) == 1
    assert "--run" in capsys.readouterr().err


def test_the_page_asks_to_be_loaded_again_while_it_is_under_way(runs: Callable[[str], Run], tmp_path: Path) -> None:
    seen: list[str] = []

    class Reader(Watcher):
        def validated(self, record: RoundRecord) -> None:
            seen.append((tmp_path / "out" / "align.html").read_text())

    align_run(runs("retrieval").folder, tmp_path / "out", few("grpo"), Reader())
    assert all('http-equiv="refresh"' in page and "Under way" in page for page in seen)


def test_views_say_something_only_where_they_differ(runs: Callable[[str], Run]) -> None:
    data = runs("retrieval").split.data
    actions = np.resize(
        np.array([Action.VIEW, Action.LIKE, Action.DISLIKE, Action.SKIP, Action.BUY], np.int8), len(data.items)
    )
    flat = replace(runs("retrieval").split, data=replace(data, actions=actions))
    assert labels(flat, np.arange(5)).tolist()[1:] == [1, 0, 0, 1]
    assert np.isnan(labels(flat, np.arange(1)))[0]
    watched = np.linspace(0, 2, len(data.items), dtype=np.float32)
    told = replace(flat, data=replace(flat.data, weights=watched))
    assert 0 <= labels(told, np.array([10]))[0] <= 1


def test_invalid_places_are_counted(runs: Callable[[str], Run]) -> None:
    split = runs("retrieval").split
    lists = np.full((len(split.users(Stage.TEST)), 2), -1, np.int64)
    assert invalid_share(lists, split, Stage.TEST) == 1.0
    unseen = [
        np.setdiff1d(np.arange(split.data.n_items), split.data.items[split.history(user, Stage.TEST)])[:2]
        for user in split.users(Stage.TEST).tolist()
    ]
    assert invalid_share(np.stack(unseen), split, Stage.TEST) == 0.0
    assert invalid_share(np.stack(unseen)[:, [0, 0]], split, Stage.TEST) == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("head", ["retrieval", "autoregressive"])
def test_an_aligned_run_is_exported_to_a_program(runs: Callable[[str], Run], tmp_path: Path, head: str) -> None:
    align_run(runs(head).folder, tmp_path / "out", few("grpo"), Watcher())
    loose = VerifyLimits(max_recall_loss=1.0, max_ndcg_loss=1.0, min_top10_overlap=0.0)
    config = ExportConfig("ring", quantization="fp32", limits=loose)
    report = export_run(Run.open(tmp_path / "out"), tmp_path / "bundle", config, lambda done, total: None)
    assert (tmp_path / "bundle" / "model.pte").stat().st_size > 1000
    assert report.pte_bytes > 0
