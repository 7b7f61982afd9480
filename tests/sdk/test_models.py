"""The device's own models: updates while requests go on, the way back, and what happens when one is no good."""

from __future__ import annotations

import logging
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    BundleExpired,
    BundleTampered,
    BundleTooOld,
    Catalog,
    DeviceError,
    HistoryEvent,
    ModelFailed,
    StoreInvalid,
    manifest_digest,
    read_manifest,
    sign_delta,
    write_delta,
)
from sdk import BundleMissing, Closed, FilterKind, InvalidInput, Recommender, UpdateFailed
from sdk.active_model import ActiveModel
from sdk.candidates import newest_known
from tests.sdk.web import Handler, serving

NOW = 1_700_000_000
Maker = Callable[..., Path]
Opener = Callable[..., Recommender]


def _zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return target


def _without(publisher, gone: set[str]) -> bytes:
    """The catalog without some items, whose semantic IDs stay what they were."""
    whole = Catalog.from_bytes(publisher.contents[CATALOG_FILE])
    rows = [row for row, item in enumerate(whole.ids) if item not in gone]
    features = whole.features_of(np.array(rows))
    ids = [whole.ids[row] for row in rows]
    titles = [whole.title_of(row) for row in rows]
    return Catalog.build(ids, whole.codes_of(np.array(rows)), 8, titles, features).to_bytes()


def test_an_update_and_the_way_back(opened: Opener, newer_bundle: Maker) -> None:
    with opened() as me:
        me.record("item-1")
        assert (me.model.version, me.model.items, me.model.expired) == (1, 60, False)
        done = me.update(newer_bundle(3))
        assert (done.kind, done.before, done.version, done.items) == ("model", 1, 3, 60)
        assert done.answer_ms is not None
        assert me.model.version == 3
        assert me.recommend(5)
        with pytest.raises(BundleTooOld):
            me.update(newer_bundle(2))
        assert me.rollback().version == 1
        with pytest.raises(StoreInvalid, match="no previous"):
            me.rollback()
        assert me.recommend(5)
    with opened() as me:
        assert me.model.version == 1
        assert me.count_events() == 1


def test_no_request_fails_while_models_change(opened: Opener, newer_bundle: Maker) -> None:
    failures: list[BaseException] = []
    done = threading.Event()
    answers = 0
    with opened() as me:

        def ask(number: int) -> None:
            nonlocal answers
            try:
                while not done.is_set():
                    assert len(me.recommend(5)) == 5
                    me.record(f"item-{number}", "view")
                    assert me.similar(f"item-{number}", 3)
                    assert me.explain(f"item-{number}")
                    answers += 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        versions = [me.update(newer_bundle(version)).version for version in (2, 3)] + [me.rollback().version]
        before = answers
        while answers < before + 3 and not failures:
            done.wait(0.001)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert versions == [2, 3, 2]
        assert me.metrics().latencies["recommend"].failed == 0


def test_a_bundle_that_comes_with_the_app_is_installed_when_it_is_newer(
    tmp_path: Path, tiny_bundle, newer_bundle: Maker
) -> None:
    path, keys = tmp_path / "device", [tiny_bundle.key]
    with pytest.raises(BundleMissing, match="has no model yet"):
        Recommender.open(path, trusted_keys=keys)
    assert not path.exists()
    Recommender.open(path, bundle=tiny_bundle.path, trusted_keys=keys).close()
    with Recommender.open(path, bundle=newer_bundle(2), trusted_keys=keys) as me:
        assert me.model.version == 2
    with Recommender.open(path, bundle=tiny_bundle.path, trusted_keys=keys) as me:
        assert me.model.version == 2
        me.rollback()
    with Recommender.open(path, bundle=newer_bundle(2), trusted_keys=keys) as me:
        assert me.model.version == 1  # it was gone back from
    with Recommender.open(path) as me:
        assert me.recommend(3)
        assert me.model.publishers == (tiny_bundle.key,)


def test_paths_may_be_relative(
    tmp_path: Path, tiny_bundle, newer_bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    newer = newer_bundle(2).relative_to(tmp_path)
    with Recommender.open("device", bundle=tiny_bundle.path, trusted_keys=[tiny_bundle.key]) as me:
        assert me.update(newer).version == 2
    assert (tmp_path / "device").is_dir()


def test_a_bundle_that_is_no_good_leaves_the_model_that_was_there(
    opened: Opener, newer_bundle: Maker, tiny_publisher
) -> None:
    with opened() as me:
        expected = [pick.item for pick in me.recommend(10)]
        broken = newer_bundle(2, contents={MODEL_FILE: tiny_publisher.contents[MODEL_FILE][:2000]})
        with pytest.raises(ModelFailed):
            me.update(broken)
        with pytest.raises(UpdateFailed, match="for the catalog 'other'"):
            me.update(newer_bundle(3, catalog_namespace="other"))
        with pytest.raises(BundleExpired):
            me.update(newer_bundle(4, expires_at=NOW))
        tampered = newer_bundle(5)
        (tampered / CATALOG_FILE).write_bytes(b"?" + (tampered / CATALOG_FILE).read_bytes()[1:])
        with pytest.raises(BundleTampered):
            me.update(tampered)
        with pytest.raises(DeviceError):
            me.update(tampered / "nothing")
        with pytest.raises(InvalidInput, match="64 hex digits"):
            me.update(newer_bundle(6), sha256="abc")
        assert me.model.version == 1
        assert [pick.item for pick in me.recommend(10)] == expected
        with pytest.raises(StoreInvalid):
            me.rollback()


def test_a_model_that_does_not_open_in_this_process_is_gone_back_from(
    opened: Opener, newer_bundle: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = ActiveModel.open

    def refusing(bundle, settings):
        if bundle.manifest.model_version == 2:
            raise ModelFailed("not enough memory for it")
        return opening(bundle, settings)

    monkeypatch.setattr(ActiveModel, "open", refusing)
    with opened() as me:
        with pytest.raises(UpdateFailed, match="not enough memory"):
            me.update(newer_bundle(2))
        assert me.model.version == 1
        assert me.recommend(3)
    with opened() as me:
        assert me.model.version == 1


def test_a_model_that_fails_at_a_request_is_gone_back_from(
    opened: Opener, newer_bundle: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(history: list[HistoryEvent], k: int, **options: object) -> list[tuple[int, float]]:
        raise ModelFailed("the model's outputs are not finite")

    with opened() as me:
        me.update(newer_bundle(2))
        me._device.model.ranker.rank_rows = failing  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING, "meritrec.sdk"):
            assert len(me.recommend(5)) == 5
        assert "version 2 failed" in caplog.text
        assert (me.model.version, me.metrics().rollbacks) == (1, 1)
        me._device.model.ranker.rank_rows = failing  # type: ignore[method-assign]
        with pytest.raises(ModelFailed, match="not finite"):
            me.recommend(5)
        assert me.recommend(5, source="peers") == []


def test_a_damaged_active_model_is_gone_back_from_when_the_device_is_opened(
    opened: Opener, newer_bundle: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened() as me:
        me.update(newer_bundle(2))
    for version in (2, 1):
        (program,) = (tmp_path / "device" / "models").glob(f"v{version}-*/model.pte")
        program.write_bytes(program.read_bytes()[:-1] + b"!")
        if version == 2:
            with caplog.at_level(logging.WARNING, "meritrec.sdk"), opened() as me:
                assert me.model.version == 1
            assert "the one before it is used again" in caplog.text
    with pytest.raises(BundleTampered):
        opened()


def test_a_model_that_expires_goes_on_ranking_and_says_so(
    tmp_path: Path, tiny_bundle, newer_bundle: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    now = float(NOW)
    options = {"trusted_keys": [tiny_bundle.key], "clock": lambda: now}
    with Recommender.open(tmp_path / "device", bundle=newer_bundle(2, expires_at=NOW + 10), **options) as me:
        assert not me.model.expired
        now += 20
        assert me.model.expired
        assert me.metrics().model_expired
        assert len(me.recommend(5)) == 5
    with caplog.at_level(logging.WARNING, "meritrec.sdk"), Recommender.open(tmp_path / "device", **options) as me:
        me.record("item-1")
        assert me.model.expired
        assert len(me.recommend(5)) == 5
        assert me.update(newer_bundle(3)).version == 3
        assert not me.model.expired
        with pytest.raises(BundleExpired):
            me.rollback()
        assert me.model.version == 3
    assert "has expired; update it" in caplog.text


def test_a_catalog_that_lacks_items_of_the_history_loses_nothing(
    opened: Opener, newer_bundle: Maker, tiny_publisher
) -> None:
    gone = {f"item-{n}" for n in range(1, 10)}
    with opened() as me:
        me.record("item-20", "like", at=NOW - 100)
        for n in range(1, 10):  # more than the model reads, so that it must look further back
            me.record(f"item-{n}", "buy", at=NOW - 50 + n)
        smaller = newer_bundle(2, contents={CATALOG_FILE: _without(tiny_publisher, gone)}, n_items=51)
        me.update(smaller)
        assert me.count_events() == 10
        picks = me.recommend(60)
        assert {pick.item for pick in picks} == {f"item-{n}" for n in range(60)} - gone - {"item-20"}
        assert [event.item for event in newest_known(me._device, NOW)] == ["item-20"]
        withdrawn = {f.item for f in me.filtered(60) if f.kind is FilterKind.WITHDRAWN}
        assert withdrawn == gone
        second = {"item": "item-1", "title": "item-1", "action": "buy", "at": NOW - 49}
        assert me.export_my_data()["events"][1] == second
        assert me.forget("item-1").events == 1
        me.rollback()
        assert "item-2" not in {pick.item for pick in me.recommend(60)}
        assert "item-1" in {pick.item for pick in me.recommend(60)}


def test_an_update_of_the_catalog_adds_and_withdraws_items(
    opened: Opener, tmp_path: Path, tiny_bundle, tiny_publisher
) -> None:
    base = Catalog.from_bytes(tiny_publisher.contents[CATALOG_FILE])
    free = next(code for code in np.ndindex(8, 8, 8) if base.rows_of(np.array([code]))[0] < 0)
    added = Catalog.from_columns(["new"], np.array([free]), 8, ["New"], np.ones((1, 2), np.int8), base.scales)
    fields = {
        "bundle_sha256": manifest_digest((tiny_bundle.path / "manifest.json").read_bytes()),
        "sequence": 1,
        "created_at": NOW,
        "expires_at": NOW + 1000,
        "withdrawn": ("item-3",),
    }
    write_delta(tmp_path / "delta", fields, added)
    with opened() as me:
        with pytest.raises(DeviceError):  # not signed yet
            me.update(tmp_path / "delta")
        sign_delta(tmp_path / "delta", tiny_publisher.key)
        done = me.update(tmp_path / "delta")
        assert (done.kind, done.before, done.version, done.items, done.answer_ms) == ("catalog", 1, 1, 60, None)
        me.record("new")
        assert "item-3" not in {pick.item for pick in me.recommend(60)}
        assert "item-3" in {f.item for f in me.filtered(60) if f.kind is FilterKind.WITHDRAWN}
        with pytest.raises(BundleTooOld):
            me.update(tmp_path / "delta")
    with opened() as me:
        assert me.model.items == 60
        assert me.similar("new", 1)


def test_a_model_is_fetched_from_a_web_server_and_gone_on_with(
    opened: Opener, newer_bundle: Maker, tmp_path: Path
) -> None:
    packed = _zipped(newer_bundle(2), tmp_path / "v2.zip").read_bytes()

    def cut_once(handler: Handler) -> None:
        if "Range" not in handler.headers:
            handler.say(200, packed[:5000], Content_Length=str(len(packed)), ETag='"2"')
        else:
            handler.say(206, packed[5000:], Content_Range=f"bytes 5000-{len(packed) - 1}/{len(packed)}", ETag='"2"')

    with opened() as me, serving(cut_once) as server:
        with pytest.raises(UpdateFailed, match="broke off"):
            me.update(server.url)
        assert me.update(server.url).version == 2
        assert [path.name for path in (tmp_path / "device" / "models").glob(".download-*")] == []
        server.behaviour = lambda handler: handler.say(200, b"not a zip")
        with pytest.raises(DeviceError):
            me.update(server.url)
        with pytest.raises(UpdateFailed, match="by http or https"):
            me.update("file:///etc/passwd")
        assert me.model.version == 2


def test_an_update_of_a_closed_device_says_so(opened: Opener, newer_bundle: Maker) -> None:
    me = opened()
    me.close()
    for call in (lambda: me.update(newer_bundle(2)), me.rollback, me.metrics, lambda: me.model):
        with pytest.raises(Closed):
            call()


def test_what_a_model_says_of_itself(opened: Opener, tiny_bundle) -> None:
    with opened() as me:
        facts = me.model.as_json()
        manifest = read_manifest(tiny_bundle.path)
        assert facts["bytes"] == sum(entry.bytes for entry in manifest.files.values())
        assert (facts["head"], facts["backend"], facts["quantization"]) == ("retrieval", "xnnpack", "8da8w")
        assert facts["publishers"] == [tiny_bundle.key.hex()]
        assert facts["runtime"] == me.runtime


def test_an_old_device_gets_models_of_its_own(tmp_path: Path, tiny_bundle, opened: Opener) -> None:
    """A folder of version 0.1 had no models in it: the app's bundle is installed at the next opening."""
    opened().close()
    shutil.rmtree(tmp_path / "device" / "models")
    with Recommender.open(tmp_path / "device", bundle=tiny_bundle.path, trusted_keys=[tiny_bundle.key]) as me:
        assert me.model.version == 1
