"""Updates of a catalog: new items get codes of their own from their text, and a device finds them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from device_runtime import (
    Action,
    Bundle,
    Delta,
    HistoryEvent,
    ModelRanker,
    ModelStore,
    PublisherKey,
    PublisherSet,
    SmokeReport,
    UntrustedPublisher,
)
from server_training.cli import main
from server_training.data.prepare import prepare
from server_training.export.delta import make_delta
from server_training.export.publish import ExportConfig, export_run
from server_training.export.verify import VerifyLimits
from server_training.models.config import ModelConfig
from server_training.run_config import RunConfig
from server_training.training.config import TrainConfig
from server_training.training.run_folder import Run, train_run
from tests.server_training.conftest import write_recbole

pytestmark = pytest.mark.slow

MODEL = ModelConfig(
    levels=2, codebook_size=8, history_length=6, width=16, layers=1, heads=2, own_features=3, content_features=2
)
LOOSE = VerifyLimits(max_recall_loss=1.0, max_ndcg_loss=1.0, min_top10_overlap=0.0)


class Quiet:
    def step(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("delta")
    prepare(write_recbole(folder / "source"), folder / "data")
    config = RunConfig(model=MODEL, train=TrainConfig(epochs=2, batch_size=8))
    train_run(folder / "data", folder / "run", config, Quiet())
    return Run.open(folder / "run")


@pytest.fixture(scope="module")
def key(run: Run) -> PublisherKey:
    found = PublisherKey.create()
    found.save(run.folder.parent / "key")
    return found


@pytest.fixture(scope="module")
def bundle(run: Run, key: PublisherKey) -> Path:
    path = run.folder.parent / "bundle"
    export_run(run, path, ExportConfig("made", beam_width=10, limits=LOOSE), lambda done, total: None)
    assert main(["sign", str(path), "--key", str(run.folder.parent / "key")]) == 0
    return path


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    path.write_text(
        "item,title,text,attributes\n"
        'fresh,Title 4,,"release_year:1994|Western|Dust"\n'
        "blank,,,\n"
        'i3,Title 3 again,,"release_year:1993|Space|Opera"\n'
    )
    return path


def test_the_commands_lead_to_a_catalog_with_the_new_items(
    run: Run, bundle: Path, key: PublisherKey, items: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, out = tmp_path / "gone.txt", tmp_path / "delta"
    gone.write_text("i3\ni7\n\n")
    command = ["delta", run.folder, "--bundle", bundle, "--out", out, "--items", items, "--withdraw", gone, "--json"]
    assert main([str(part) for part in command]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {name: said[name] for name in ("sequence", "added", "withdrawn", "without_text")} == {
        "sequence": 1,
        "added": 3,
        "withdrawn": 2,
        "without_text": 1,
    }
    assert main(["sign", str(out), "--key", str(run.folder.parent / "key")]) == 0
    opened = Bundle.open(bundle, trusted_keys=[key.public])
    delta = Delta.open(out, opened, trusted=PublisherSet.pinned([key.public]))
    updated = delta.applied_to(opened)
    catalog = updated.catalog
    assert {"fresh", "blank", "i3"} < set(catalog.ids)
    assert "i7" not in catalog
    assert catalog.title_of(catalog.index_of("i3")) == "Title 3 again"
    assert catalog.categories is not None
    assert "Western" in catalog.categories.of_row(catalog.index_of("fresh"))
    # Described as an old item of the same text is, but for what only use can tell.
    rows = np.array([catalog.index_of("fresh"), catalog.index_of("i4")])
    mine, like = catalog.features_of(rows)[:, 3:]
    assert np.abs(mine - like).max() < 0.2
    ranker = ModelRanker.open(updated)
    history = [HistoryEvent("i2", Action.LIKE, 1000), HistoryEvent("fresh", Action.LIKE, 1060)]
    assert len(ranker.rank(history, len(catalog), now=1100)) == len(catalog)
    ranker.close()


def test_mistakes_are_said_before_anything_is_written(
    run: Run, bundle: Path, items: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(expected: str, *options: object) -> None:
        out = tmp_path / "out"
        command = ["delta", run.folder, "--bundle", bundle, "--out", out, *options]
        assert main([str(part) for part in command]) == 1
        assert expected in capsys.readouterr().err
        assert not out.exists()

    (tmp_path / "gone.txt").write_text("nobody\n")
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "bad.csv").write_text("thing\nx\n")
    refused("nothing changes")
    refused("does not hold nobody", "--withdraw", tmp_path / "gone.txt")
    refused("not UTF-8", "--withdraw", tmp_path / "latin.txt")
    refused("item", "--items", tmp_path / "bad.csv")
    refused("found nothing", "--items", tmp_path / "none.csv")
    refused("names an item twice", "--items", items)  # i3 is there, and is not withdrawn
    refused("sequence", "--withdraw", _withdraw(tmp_path), "--sequence", 0)


def _withdraw(folder: Path) -> Path:
    (folder / "one.txt").write_text("i7\n")
    return folder / "one.txt"


def test_keys_are_rotated_by_commands(
    run: Run, bundle: Path, key: PublisherKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, fresh = tmp_path / "publishers.json", tmp_path / "fresh"
    PublisherKey.create().save(fresh)
    new = PublisherKey.load(fresh)
    assert main(["rotate", str(chain), "--sign", str(fresh)]) == 1
    assert "no statement to sign" in capsys.readouterr().err
    assert main(["rotate", str(chain), "--keys", "abc"]) == 1
    assert main(["rotate", str(chain), "--keys", new.public.hex(), "--threshold", "2"]) == 1
    assert not chain.exists()
    assert main(["rotate", str(chain), "--keys", new.public.hex()]) == 0
    copied = tmp_path / "bundle"
    copied.mkdir()
    for file in bundle.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    assert main(["sign", str(copied), "--key", str(fresh), "--publishers", str(chain)]) == 0
    with pytest.raises(UntrustedPublisher):
        Bundle.open(copied, trusted_keys=[key.public])
    for signer in (run.folder.parent / "key", fresh):
        assert main(["rotate", str(chain), "--sign", str(signer)]) == 0
    assert main(["sign", str(copied), "--key", str(fresh), "--publishers", str(chain)]) == 0
    assert Bundle.open(copied, trusted_keys=[key.public]).publishers.keys == (new.public,)
    store = ModelStore.open(
        tmp_path / "models", trusted_keys=[key.public], smoke=lambda _: SmokeReport("none", 1, 1, crashed_apart=False)
    )
    store.install(copied)
    delta = tmp_path / "delta"
    make_delta(run, copied, delta, withdrawn=["i7"])
    assert main(["sign", str(delta), "--key", str(run.folder.parent / "key")]) == 0
    with pytest.raises(UntrustedPublisher):
        store.update(delta)
    assert main(["sign", str(delta), "--key", str(fresh)]) == 0
    store.update(delta)
    assert "i7" not in store.active().catalog
