"""From made data to a signed bundle: windows, training, resuming, exporting, refusing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from device_runtime import Action, Bundle, HistoryEvent, PublisherKey, Reading, encode_history, sign_bundle
from server_training.cli import main
from server_training.data.prepare import prepare
from server_training.data.split import Stage
from server_training.errors import CheckpointInvalid, ExportRefused, TrainingError
from server_training.evaluation.report import compare
from server_training.export import publish
from server_training.export.backends import Backend, Quantization
from server_training.export.lower import Lowered, lower
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import VerifyLimits
from server_training.models.config import ModelConfig
from server_training.run_config import RunConfig
from server_training.training import checkpoint
from server_training.training.config import TrainConfig
from server_training.training.logs import LOG_FILE, EpochRecord
from server_training.training.model_file import MODEL_FILE
from server_training.training.run_folder import Run, train_run
from server_training.training.windows import history_windows, training_windows

MODEL = ModelConfig(levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2, head="autoregressive")
TRAIN = TrainConfig(epochs=4, batch_size=8, validate_every=2, learning_rate=1e-2)
CONFIG = RunConfig(model=MODEL, train=TRAIN)
LOOSE = VerifyLimits(max_recall_loss=1.0, max_ndcg_loss=1.0, min_top10_overlap=0.0)


class Watcher:
    """Counts epochs, and interrupts in one of them if told to."""

    def __init__(self, interrupt_in: int | None = None) -> None:
        self.epochs: list[EpochRecord] = []
        self._interrupt_in = interrupt_in

    def step(self, done: int, total: int, loss: float) -> None:
        assert done <= total
        if self._interrupt_in is not None and len(self.epochs) == self._interrupt_in:
            raise KeyboardInterrupt

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.csv"
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp,action"]
    for user in range(40):
        start = int(rng.integers(30))
        lines += [f"u{user},i{(start + n) % 30:02d},{1000 + 60 * n},like" for n in range(8)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def data(events: Path) -> Path:
    prepare(events, events.parent / "data")
    return events.parent / "data"


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    train_run(data, data.parent / "run", CONFIG, Watcher())
    return Run.open(data.parent / "run")


@pytest.fixture(scope="module")
def lowered_once() -> Iterator[None]:
    """Exports of this module's one run lower it once per quantisation: that takes most of their time."""
    made: dict[str, tuple[nn.Module, Lowered]] = {}

    def lower_or_remember(model: nn.Module, beam: int, backend: Backend, scheme: Quantization, *rest: Any) -> Lowered:
        known = made.get(scheme)
        if known is None or known[0] is not model:  # the fixture lives on while other runs are exported
            known = made[scheme] = (model, lower(model, beam, backend, scheme, *rest))
        return known[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "lower", lower_or_remember)
        yield


def test_windows_predict_the_next_event_and_never_a_held_out_one(run: Run) -> None:
    split = run.split
    windows = training_windows(split, run.catalog, 3)
    seen = 0
    for user, stop in enumerate(split.train_stop.tolist()):
        start = int(split.data.offsets[user])
        seen += stop - start - 1
    everything = np.arange(len(windows))
    rows, targets = windows.take(everything).rows, windows.targets(everything, 1, 3)[..., 0]
    assert int((targets >= 0).sum()) == seen
    # Inside a window every target is the next position's input.
    inside = targets[:, :-1] >= 0
    assert (targets[:, :-1][inside] == rows[:, 1:][inside]).all()


@pytest.mark.parametrize("step", [1, 4])
def test_the_server_and_the_device_encode_a_history_alike(run: Run, step: int) -> None:
    split = run.split
    windows = history_windows(split, Stage.TEST, run.catalog, 6, step)
    for number, user in enumerate(split.users(Stage.TEST)[:10].tolist()):
        past = split.history(user, Stage.TEST)
        known = [
            HistoryEvent(split.data.item_ids[i], Action(int(a)), int(t))
            for i, a, t in zip(
                split.data.items[past], split.data.actions[past], split.data.timestamps[past], strict=True
            )
        ]
        now = int(split.data.timestamps[split.target_events(Stage.TEST)[number]])
        device = encode_history(known, run.catalog, Reading(6, 2, step), now)
        server = windows.inputs(number, run.catalog)
        for ours, theirs in zip(server.arrays(), device.arrays(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        batch = windows.take(np.array([number]))
        np.testing.assert_array_equal(batch.ages.numpy(), device.ages)
        np.testing.assert_array_equal(batch.gaps.numpy(), device.gaps)
        np.testing.assert_array_equal(batch.actions.numpy(), device.actions)
        real = batch.rows[0] >= 0
        np.testing.assert_array_equal(run.catalog.codes[batch.rows[0][real]], device.codes[0][real])


def test_the_loss_falls_and_the_log_has_a_line_per_epoch(run: Run) -> None:
    log = [json.loads(line) for line in (run.folder / LOG_FILE).read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2, 3, 4]
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert [row["valid_ndcg_at_10"] is not None for row in log] == [False, True, False, True]


def test_an_interrupted_run_resumes_to_the_same_weights(run: Run, data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(data, tmp_path / "run", CONFIG, Watcher(interrupt_in=2))
    with pytest.raises(TrainingError, match="no finished run"):
        Run.open(tmp_path / "run")
    result = train_run(data, tmp_path / "run", CONFIG, Watcher())
    assert result.resumed_from == 2
    resumed = Run.open(tmp_path / "run").model.state_dict()
    for name, weights in run.model.state_dict().items():
        assert torch.equal(weights, resumed[name]), name
    assert len((tmp_path / "run" / LOG_FILE).read_text().splitlines()) == 4


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(run: Run, data: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match="--fresh"):
        train_run(data, run.folder, replace(CONFIG, train=replace(TRAIN, epochs=5)), Watcher())
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / checkpoint.CHECKPOINT_FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        train_run(data, folder, CONFIG, Watcher())
    train_run(data, folder, replace(CONFIG, train=replace(TRAIN, epochs=1)), Watcher(), fresh=True)
    Run.open(folder)


def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint_kept(data: Path, tmp_path: Path) -> None:
    class Poison(Watcher):
        def epoch(self, record: EpochRecord) -> None:
            super().epoch(record)
            self.kept = (tmp_path / "run" / checkpoint.CHECKPOINT_FILE).read_bytes()

    watcher = Poison()
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train_run(
            data,
            tmp_path / "run",
            replace(CONFIG, train=replace(TRAIN, learning_rate=0.99, weight_decay=1e38)),
            watcher,
        )
    if watcher.epochs:
        assert (tmp_path / "run" / checkpoint.CHECKPOINT_FILE).read_bytes() == watcher.kept


def test_a_run_whose_data_changed_is_refused(data: Path, run: Run, events: Path, tmp_path: Path) -> None:
    info = json.loads((run.folder / "run.json").read_text())
    copy = tmp_path / "run"
    copy.mkdir()
    for file in run.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "run.json").write_text(json.dumps({**info, "data_sha256": "0" * 64}))
    with pytest.raises(TrainingError, match="changed since"):
        Run.open(copy)
    (copy / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="damaged"):
        Run.open(copy)
    (copy / MODEL_FILE).write_bytes(b"?")
    (copy / "run.json").write_text(json.dumps(info))
    with pytest.raises(TrainingError, match="cannot be read"):
        Run.open(copy)


def test_the_model_stands_beside_its_baselines_on_one_split(run: Run) -> None:
    comparison = compare([run])
    assert list(comparison.systems) == ["popularity", "item-kNN", "EASE", "meritrec"]
    assert (
        comparison.systems["meritrec"].metrics()["recall@10"] > comparison.systems["popularity"].metrics()["recall@10"]
    )
    assert "popularity" in comparison.table()


@pytest.mark.slow
@pytest.mark.usefixtures("lowered_once")
@pytest.mark.parametrize("scheme", ["8da8w", "fp32"])
def test_an_export_agrees_with_pytorch_and_opens_once_signed(run: Run, tmp_path: Path, scheme) -> None:
    config = ExportConfig("made", quantization=scheme, beam_width=16, limits=LOOSE)
    report = export_run(run, tmp_path / "bundle", config, lambda done, total: None)
    assert report.verification.max_abs_diff < 0.05
    assert report.verification.max_abs_diff_float < (0.5 if scheme == "8da8w" else 1e-4)
    assert report.verification.top10_overlap > 0.8
    key = PublisherKey.create()
    sign_bundle(tmp_path / "bundle", key)
    bundle = Bundle.open(tmp_path / "bundle", trusted_keys=[key.public])
    assert bundle.manifest.quantization == scheme
    assert len(bundle.model) == report.pte_bytes
    assert bundle.manifest.metrics["device_recall@10"] == report.verification.device["recall@10"]


@pytest.mark.slow
@pytest.mark.usefixtures("lowered_once")
@pytest.mark.parametrize(
    "limits",
    [
        VerifyLimits(max_abs_diff=-1.0),
        VerifyLimits(max_recall_loss=-1.0),
        replace(LOOSE, max_ndcg_loss=-1.0),
        replace(LOOSE, min_top10_overlap=1.1),
    ],
)
def test_a_drifting_export_is_refused_and_writes_nothing(run: Run, tmp_path: Path, limits: VerifyLimits) -> None:
    config = ExportConfig("made", beam_width=16, limits=limits)
    with pytest.raises(ExportRefused):
        export_run(run, tmp_path / "bundle", config, lambda done, total: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_commands_lead_from_a_csv_file_to_a_signed_bundle(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ok(*arguments: object) -> dict:
        assert main([*map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    data, run, bundle, key = (tmp_path / name for name in ("data", "run", "bundle", "key"))
    assert ok("prepare", events, "--out", data)["interactions"] == 320
    sizes = ["levels=2", "codebook_size=8", "history_length=6", "width=16", "layers=1"]
    changes = [f"model.{size}" for size in sizes] + [
        "train.epochs=20",
        "train.batch_size=8",
        "train.learning_rate=0.01",
    ]
    trained = ok("train", data, "--out", run, *(part for change in changes for part in ("--set", change)))
    assert trained["resumed_from_epoch"] == 0
    found = ok("evaluate", run)
    assert set(found["systems"]) == {"popularity", "item-kNN", "EASE", "meritrec"}
    assert found["rules"]["files_sha256"].keys() == {events.name}
    assert set(ok("evaluate", run, "--baselines", "popularity", "--at", 1, 5)["systems"]) == {"popularity", "meritrec"}
    assert "meritrec" in (run / "report.html").read_text()
    exported = ok("export", run, "--out", bundle, "--namespace", "made", "--beam", 16)
    assert exported["pte_bytes"] > 1000
    public = ok("sign", bundle, "--key", key, "--new-key")["key"]
    assert ok("inspect", bundle)["signatures_valid"] == {public: True}
    assert ok("inspect", data)["kind"] == "prepared data"
    assert ok("inspect", run)["kind"] == "training run"
    Bundle.open(bundle, trusted_keys=[bytes.fromhex(public)])
    # A key is never replaced, a folder that is no bundle is never overwritten.
    assert main(["sign", str(bundle), "--key", str(key), "--new-key"]) == 1
    assert main(["export", str(run), "--out", str(data), "--namespace", "made", "--beam", "16"]) == 1
    assert (data / "interactions.parquet").exists()


def _columns(path: Path) -> None:
    path.write_text("user,thing\na,b\n")


def _numbers(path: Path) -> None:
    path.write_text("user,item,timestamp\na,b,yesterday\n")


def _nothing(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("spoil", [_columns, _numbers, _nothing])
def test_bad_data_is_refused_in_words_and_nothing_is_written(
    tmp_path: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tmp_path / "bad.csv")
    assert main(["prepare", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "bad.csv" in captured.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["prepare", "train", "evaluate", "export", "sign", "inspect"])
def test_every_command_has_help_and_refuses_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert len(capsys.readouterr().out) > 100
    with pytest.raises(SystemExit) as done:
        main([command, "--nonsense"])
    assert done.value.code == 2
