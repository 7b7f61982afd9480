"""The manifest has one form, and every field is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    ADAPTERS,
    ASKS,
    CATALOG_FILE,
    HEADS,
    MODEL_FILE,
    TAXONOMY,
    DeviceError,
    FileEntry,
    Manifest,
    ManifestInvalid,
    ModelShape,
    TrainingData,
)

names = st.text(min_size=1, max_size=20)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
entries = st.builds(FileEntry, sha256=hashes, bytes=st.integers(0, 1 << 30))


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    longest, widest = draw(st.integers(1, 1000)), draw(st.integers(1, 1000))
    head = draw(st.sampled_from(HEADS))
    asks = draw(st.lists(st.sampled_from(ASKS), unique=True)) if head != "retrieve-rank" else []
    adapters = draw(st.lists(st.sampled_from(ADAPTERS), unique=True)) if head == "retrieval" else []
    return ModelShape(
        asks=tuple(asks),
        ask_levels=draw(st.integers(2, 32)) if asks else 1,
        adapters=tuple(adapters),
        categories=draw(st.integers(1, 1024)) if TAXONOMY in adapters else 0,
        head=head,
        history_length=longest,
        shortest_history=draw(st.integers(1, longest)),
        beam_width=widest,
        least_beam=draw(st.integers(1, widest)),
        levels=draw(st.integers(1, 8)),
        codebook_size=draw(st.integers(1, 4096)),
        features=draw(st.integers(1, 1024)),
        state_width=draw(st.integers(1, 1000)),
        memory_rows=draw(st.sampled_from([0, 4])) if longest > 4 else 0,
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    shape = draw(shapes())
    number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(1 << 52), 1 << 52)
    files = st.fixed_dictionaries({MODEL_FILE: entries, CATALOG_FILE: entries}, optional={"README.md": entries})
    return Manifest(
        model_version=draw(st.integers(1, 1 << 31)),
        created_at=draw(st.integers(0, 1 << 33)),
        expires_at=draw(st.integers(0, 1 << 33)),
        runtime=draw(names),
        backend=draw(names),
        quantization=draw(names),
        methods=shape.methods(),
        window_step=draw(st.integers(1, shape.history_length)),
        n_items=draw(st.integers(1, 1_000_000)),
        catalog_namespace=draw(names),
        metrics=draw(st.dictionaries(names, number, max_size=3)),
        training_data=draw(st.builds(TrainingData, name=names, licence=names, sha256=hashes)),
        files=draw(files),
        adapter_weights={name: draw(st.floats(-100, 100)) for name in shape.adapters},
        **asdict(shape),
    )


@given(manifests())
def test_round_trip(manifest: Manifest) -> None:
    raw = manifest.to_bytes()
    assert raw.isascii()
    again = Manifest.from_bytes(raw)
    assert again == manifest
    assert again.to_bytes() == raw


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.from_bytes(data)


@given(manifests(), st.data())
def test_damaged_bytes_are_refused_or_are_another_manifest(manifest: Manifest, data: st.DataObject) -> None:
    damaged = bytearray(manifest.to_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Manifest.from_bytes(bytes(damaged))
    except DeviceError:
        return
    assert found.to_bytes() == bytes(damaged)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = tuple(Manifest.__dataclass_fields__)
_STEERED = {
    "head": "retrieval",
    "asks": ("novelty", "diversity"),
    "ask_levels": 5,
    "adapters": ("short", "taxonomy"),
    "categories": 2,
    "adapter_weights": {"short": 0.5, "taxonomy": -0.25},
}


def _content(manifest_for: Callable[..., Manifest], **changes: Any) -> dict[str, Any]:
    plain = manifest_for({MODEL_FILE: b"m", CATALOG_FILE: b"c"})
    found = plain if not changes else _changed(plain, **changes)
    content: dict[str, Any] = json.loads(found.to_bytes())
    return content


def _changed(plain: Manifest, **changes: Any) -> Manifest:
    shape = replace(plain.shape, **{name: value for name, value in changes.items() if name != "adapter_weights"})
    return replace(plain, **changes, methods=shape.methods(), format_version=0)


def _raw(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@given(st.sampled_from(_FIELDS), _json, st.booleans())
def test_any_field_may_hold_anything(
    manifest_for: Callable[..., Manifest], field: str, value: Any, steered: bool
) -> None:
    raw = _raw(_content(manifest_for, **(_STEERED if steered else {})) | {field: value})
    try:
        found = Manifest.from_bytes(raw)
    except ManifestInvalid:
        return
    assert found.to_bytes() == raw


@pytest.mark.parametrize("field", _FIELDS)
def test_a_missing_field_is_named(manifest_for: Callable[..., Manifest], field: str) -> None:
    content = _content(manifest_for, **_STEERED)
    del content[field]
    with pytest.raises(ManifestInvalid, match=f"lacks the field '{field}'"):
        Manifest.from_bytes(_raw(content))


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize("value", [None, True, -1, 0.5, [], "", {"a": 1}])
def test_a_wrong_type_is_refused(manifest_for: Callable[..., Manifest], field: str, value: object) -> None:
    if field == "metrics" and value == {"a": 1}:
        return
    with pytest.raises(ManifestInvalid, match=field.removesuffix("_version")):
        Manifest.from_bytes(_raw(_content(manifest_for) | {field: value}))
    if field not in ("asks", "adapters") or value != []:  # without them other fields are wrong
        with pytest.raises(ManifestInvalid, match=field.removesuffix("_version")):
            Manifest.from_bytes(_raw(_content(manifest_for, **_STEERED) | {field: value}))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("asks", ["joy"]),
        ("asks", ["novelty", "novelty"]),
        ("ask_levels", 1),
        ("ask_levels", 33),
        ("adapters", ["hate", "taxonomy"]),
        ("adapter_weights", {"short": 0.5}),
        ("adapter_weights", {"short": 0.5, "taxonomy": 1e9}),
        ("adapter_weights", {"short": 0.5, "taxonomy": True}),
        ("categories", 0),
        ("categories", 1025),
        ("format_version", 3),
        ("head", "parallel"),
    ],
)
def test_what_cannot_be_steered_is_refused(manifest_for: Callable[..., Manifest], place: str, value: object) -> None:
    said = {"head": "adapters", "format_version": "unknown field"}.get(place, place)
    with pytest.raises(ManifestInvalid, match=said):
        Manifest.from_bytes(_raw(_content(manifest_for, **_STEERED) | {place: value}))


def test_only_a_model_that_can_be_steered_needs_the_new_format(manifest_for: Callable[..., Manifest]) -> None:
    plain = _content(manifest_for)
    assert plain["format_version"] == 3
    assert not plain.keys() & {"asks", "ask_levels", "adapters", "categories", "adapter_weights"}
    steered = _content(manifest_for, **_STEERED)
    assert steered["format_version"] == 4
    assert Manifest.from_bytes(_raw(steered)).asks == ("novelty", "diversity")
    with pytest.raises(ManifestInvalid, match="format_version"):
        Manifest.from_bytes(_raw(plain | {"format_version": 4, "asks": [], "ask_levels": 1} | _NOTHING))


_NOTHING: dict[str, Any] = {"adapters": [], "categories": 0, "adapter_weights": {}}


ENTRY = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/b",
        "/etc/passwd",
        "..",
        ".hidden",
        "",
        "a\\b",
        "a\0b",
        "é",
        "x" * 65,
        "manifest.json",
        "manifest.sig",
    ],
)
def test_only_plain_file_names(manifest_for: Callable[..., Manifest], name: str) -> None:
    content = _content(manifest_for)
    content["files"][name] = ENTRY
    with pytest.raises(ManifestInvalid, match="files"):
        Manifest.from_bytes(_raw(content))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("files", {MODEL_FILE: ENTRY}),
        ("files", {MODEL_FILE: ENTRY, CATALOG_FILE: ENTRY | {"sha256": "A" * 64}}),
        ("files", {MODEL_FILE: ENTRY, CATALOG_FILE: ENTRY | {"bytes": -1}}),
        ("files", {MODEL_FILE: ENTRY, CATALOG_FILE: ENTRY | {"mode": 1}}),
        ("files", {MODEL_FILE: ENTRY, CATALOG_FILE: []}),
        ("training_data", {"name": "n", "licence": "l", "sha256": "short"}),
        ("training_data", {"name": "n", "licence": "l"}),
        ("metrics", {"a": "b"}),
        ("metrics", {"a": 10**400}),
        ("levels", 9),
        ("codebook_size", 4097),
        ("beam_width", 0),
        ("shortest_history", 7),
        ("window_step", 7),
        ("least_beam", 5),
        ("memory_rows", 1024),
        ("memory_rows", -1),
        ("methods", {}),
        ("methods", {"encode": {"inputs": ["int64[1,t]"], "outputs": ["float32[1,16]"]}}),
        ("methods", {"encode": {"inputs": ["int64[1,q]"], "outputs": []}}),
        ("methods", {"encode": {"inputs": ["text[1]"], "outputs": []}}),
        ("methods", {"encode": {"inputs": [3], "outputs": []}}),
        ("methods", {"encode": {"inputs": ["int64[1]"] * 17, "outputs": []}}),
        ("methods", {"encode": ["int64[1]"]}),
    ],
)
def test_each_rule_is_checked(manifest_for: Callable[..., Manifest], place: str, value: object) -> None:
    with pytest.raises(ManifestInvalid, match=place):
        Manifest.from_bytes(_raw(_content(manifest_for) | {place: value}))


@pytest.mark.parametrize("change", [b" ", b"\n"])
def test_one_manifest_has_one_form(manifest_for: Callable[..., Manifest], change: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="canonical"):
        Manifest.from_bytes(_raw(_content(manifest_for)) + change)


def test_doubled_keys_and_nan_are_refused(manifest_for: Callable[..., Manifest]) -> None:
    raw = _raw(_content(manifest_for))
    with pytest.raises(ManifestInvalid, match="canonical"):
        Manifest.from_bytes(raw.replace(b'"levels":3', b'"levels":3,"levels":3'))
    with pytest.raises(ManifestInvalid, match="metrics"):
        Manifest.from_bytes(raw.replace(b'"recall@10":0.5', b'"recall@10":NaN'))


def test_an_unknown_field_is_named(manifest_for: Callable[..., Manifest]) -> None:
    with pytest.raises(ManifestInvalid, match="unknown field 'colour'"):
        Manifest.from_bytes(_raw(_content(manifest_for) | {"colour": "red"}))


def test_deep_nesting_and_size_are_bounded() -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.from_bytes(b"[" * 200_000)
    with pytest.raises(ManifestInvalid, match="at most"):
        Manifest.from_bytes(b" " * (1 << 21))
