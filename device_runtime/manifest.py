"""The manifest of a bundle: what the model is, what it needs, and the hash of every file. Canonical JSON.

Canonical means: keys sorted, no spaces, no floats that are not finite; a manifest has one form, and that form is what
the publisher signs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from device_runtime.catalog import MAX_CODEBOOK, MAX_FEATURES, MAX_ITEMS, MAX_LEVELS
from device_runtime.categories import MAX_CATEGORIES
from device_runtime.encoder import RESUMED
from device_runtime.errors import ManifestInvalid
from device_runtime.model_shape import MAX_TENSORS, MethodShape, ModelShape, is_tensor
from device_runtime.search import HEADS
from device_runtime.sequence import Reading
from device_runtime.session import MethodInfo
from device_runtime.steering import ADAPTERS, ASKS, MAX_ASK_LEVELS, MAX_WEIGHT, TAXONOMY

FORMAT = 3  # of a model that requests cannot steer, which devices of before can run
STEERED_FORMAT = 4
MAX_BYTES = 1 << 20
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
MODEL_FILE = "model.pte"
CATALOG_FILE = "catalog.bin"
README_FILE = "README.md"
PUBLISHERS_FILE = "publishers.json"
UNLISTED = frozenset((MANIFEST_FILE, SIGNATURE_FILE, PUBLISHERS_FILE))  # they prove themselves
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the bundle: lowercase hex SHA-256 and length."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What the model was trained on: name, terms of use, hash of the prepared data."""

    name: str
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a device checks before it runs a model.

    Attributes:
        format_version: of this manifest.
        model_version: devices never go back to a lower one.
        created_at, expires_at: Unix seconds; a device refuses the bundle from `expires_at` on.
        runtime: the ExecuTorch that made the program, such as "executorch 1.5.1".
        backend: delegate, such as "xnnpack".
        quantization: scheme, such as "8da8w".
        head: how the model decodes, one of `HEADS`; see `search`.
        methods: inputs and outputs of the program's methods by name; what the sizes below call for, written out.
        history_length: T, events the model reads at most.
        shortest_history: positions it must be given; T where the program's length is fixed.
        window_step: see `Reading.step`.
        beam_width: B, most hypotheses per decode step, or candidates that are re-ranked.
        least_beam: fewest; B where the program's number is fixed.
        levels, codebook_size, features, n_items: L, K, R and n of the catalog.
        state_width: d of states and item vectors.
        memory_rows: S of what the model remembers of each event, 0 for a model that remembers nothing.
        catalog_namespace: peers with the same one mean the same items.
        metrics: what evaluation and verification measured.
        training_data: where the model comes from.
        files: every file but the manifest and its signature.
        asks, ask_levels, adapters, categories: what requests may steer; see `ModelShape`.
        adapter_weights: of the adapters where a request says nothing, all of them by name.
    """

    model_version: int
    created_at: int
    expires_at: int
    runtime: str
    backend: str
    quantization: str
    head: str
    methods: Mapping[str, MethodShape]
    history_length: int
    shortest_history: int
    window_step: int
    beam_width: int
    least_beam: int
    levels: int
    codebook_size: int
    features: int
    n_items: int
    state_width: int
    memory_rows: int
    catalog_namespace: str
    metrics: Mapping[str, float]
    training_data: TrainingData
    files: Mapping[str, FileEntry]
    asks: tuple[str, ...] = ()
    ask_levels: int = 1
    adapters: tuple[str, ...] = ()
    categories: int = 0
    adapter_weights: Mapping[str, float] = field(default_factory=dict)
    format_version: int = 0

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ManifestInvalid: naming the first field that is wrong.
        """
        if self.format_version == 0:
            object.__setattr__(self, "format_version", STEERED_FORMAT if self.steered else FORMAT)
        _check_format(self.format_version)
        formats = {True: STEERED_FORMAT, False: FORMAT}
        _require(formats[self.steered] == self.format_version, "format_version", f"{formats[self.steered]}")
        for name, most in _COUNTS.items():
            _require(_is_int(getattr(self, name), 1, most + 1), name, f"a whole number from 1 to {most}")
        for name in ("created_at", "expires_at"):
            _require(_is_int(getattr(self, name), 0, 1 << 40), name, "Unix seconds")
        for name in ("runtime", "backend", "quantization", "catalog_namespace"):
            _require(_is_text(getattr(self, name)), name, "a text of 1 to 200 characters")
        _require(self.head in HEADS, "head", f"one of {', '.join(HEADS)}")
        self._check_lengths()
        self._check_steering()
        expected = self.shape.methods()
        _require(dict(self.methods) == expected, "methods", "those its head and sizes call for")
        _require(
            all(_is_text(n) and _is_number(v) for n, v in self.metrics.items()),
            "metrics",
            "finite numbers by name",
        )
        data = self.training_data
        _require(_is_text(data.name) and _is_text(data.licence), "training_data", "a name and a licence")
        _require(bool(_SHA256.fullmatch(data.sha256)), "training_data.sha256", "64 hex digits")
        for name, entry in self.files.items():
            _require(is_file_name(name), "files", f"plain file names, not {name[:80]!r}")
            _require(name not in UNLISTED, "files", f"not {name}, which proves itself")
            _require(bool(_SHA256.fullmatch(entry.sha256)), f"files.{name}.sha256", "64 hex digits")
            _require(_is_int(entry.bytes, 0, 1 << 40), f"files.{name}.bytes", "a length")
        missing = [name for name in (MODEL_FILE, CATALOG_FILE) if name not in self.files]
        _require(not missing, "files", f"an entry for {' and '.join(missing)}")

    def _check_lengths(self) -> None:
        t, b = self.history_length, self.beam_width
        _require(self.shortest_history <= t, "shortest_history", "at most history_length")
        _require(self.window_step <= t, "window_step", "at most history_length")
        _require(self.least_beam <= b, "least_beam", "at most beam_width")
        _require(_is_int(self.memory_rows, 0, 1 << 10), "memory_rows", "a whole number from 0 to 1023")
        _require(not self.memory_rows or t > 2 * RESUMED, "memory_rows", "0 for so short a history")

    def _check_steering(self) -> None:
        for name, known in (("asks", ASKS), ("adapters", ADAPTERS)):
            names = getattr(self, name)
            _require(set(names) <= set(known) and len(set(names)) == len(names), name, f"of {', '.join(known)}, once")
        _require(_is_int(self.ask_levels, 1, MAX_ASK_LEVELS + 1), "ask_levels", f"1 to {MAX_ASK_LEVELS}")
        _require(bool(self.asks) is (self.ask_levels > 1), "ask_levels", "1 without asks, above 1 with some")
        _require(not self.asks or self.head != "retrieve-rank", "asks", "none for the head retrieve-rank")
        _require(not self.adapters or self.head == "retrieval", "adapters", "none for any head but retrieval")
        told_apart = _is_int(self.categories, 0, MAX_CATEGORIES + 1) and (TAXONOMY in self.adapters) is (
            self.categories > 0
        )
        _require(told_apart, "categories", f"1 to {MAX_CATEGORIES} with the adapter taxonomy, 0 without")
        weights = self.adapter_weights
        _require(
            weights.keys() == set(self.adapters)
            and all(_is_number(value) and abs(value) <= MAX_WEIGHT for value in weights.values()),
            "adapter_weights",
            f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g} for each of its adapters",
        )

    @property
    def steered(self) -> bool:
        """Whether requests may steer the model: it has asks or adapters."""
        return bool(self.asks or self.adapters)

    @property
    def shape(self) -> ModelShape:
        """The sizes that determine every method."""
        names = (field.name for field in fields(ModelShape))
        return ModelShape(**{name: getattr(self, name) for name in names})

    @property
    def method_infos(self) -> dict[str, MethodInfo]:
        """What each method takes and gives, every varying length at its greatest."""
        return {name: self.shape.longest(shape) for name, shape in self.methods.items()}

    @property
    def reading(self) -> Reading:
        """How much of a history the model reads."""
        return Reading(self.history_length, self.shortest_history, self.window_step)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON, which is what gets signed."""
        content = asdict(self)
        if not self.steered:
            for name in _STEERING:
                del content[name]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest; the bytes may come from anyone.

        Raises:
            ManifestInvalid: they are not a manifest of this format in canonical form.
        """
        if len(data) > MAX_BYTES:
            raise ManifestInvalid(f"the manifest has {len(data)} bytes, at most {MAX_BYTES} are read")
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ManifestInvalid(f"the manifest is not JSON ({error})") from error
        manifest = cls(**_fields(content))
        if manifest.to_bytes() != data:
            raise ManifestInvalid("the manifest is not in canonical form; write it with meritrec-server")
        return manifest


_STEERING = frozenset({"asks", "ask_levels", "adapters", "categories", "adapter_weights"})  # format 4 states them

# Largest values: what a device could hold, far above what is useful.
_COUNTS = {
    "model_version": 1 << 31,
    "history_length": 1 << 14,
    "shortest_history": 1 << 14,
    "window_step": 1 << 14,
    "beam_width": 1 << 12,
    "least_beam": 1 << 12,
    "levels": MAX_LEVELS,
    "codebook_size": MAX_CODEBOOK,
    "features": MAX_FEATURES,
    "n_items": MAX_ITEMS,
    "state_width": 1 << 16,
}


def is_file_name(name: str) -> bool:
    """Return whether it is a plain file name: no folders, nothing hidden, at most 64 ASCII characters."""
    return bool(_FILE_NAME.fullmatch(name))


def _fields(content: Any) -> dict[str, Any]:
    known = {f.name for f in fields(Manifest)}
    if not isinstance(content, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    if _check_format(content.get("format_version", STEERED_FORMAT)) == FORMAT:
        known -= _STEERING
    for name in sorted(known ^ content.keys()):
        what = "lacks the field" if name in known else "has an unknown field"
        raise ManifestInvalid(f"the manifest {what} {name[:80]!r}; a newer meritrec may be needed")
    for name in ("metrics", "training_data", "files", "methods"):
        _require(isinstance(content[name], dict), name, "an object")
    try:
        training_data = TrainingData(**content["training_data"])
        entries = {name: FileEntry(**entry) for name, entry in content["files"].items()}
    except TypeError as error:
        raise ManifestInvalid(f"training_data or files has missing or unknown fields ({error})") from error
    for name in ("name", "licence", "sha256"):
        _require(isinstance(getattr(training_data, name), str), f"training_data.{name}", "text")
    for name, entry in entries.items():
        _require(isinstance(entry.sha256, str), f"files.{name[:80]}.sha256", "text")
    if "asks" in known:
        content = content | _steering(content)
    methods = {name: _method(shape) for name, shape in content["methods"].items()}
    return {**content, "training_data": training_data, "files": entries, "methods": methods}


def _check_format(version: Any) -> int:
    if not _is_int(version, FORMAT, STEERED_FORMAT + 1):
        raise ManifestInvalid(
            f"the manifest has format {version!r:.80}, this meritrec reads {FORMAT} and {STEERED_FORMAT}; a newer one "
            "may be needed"
        )
    found: int = version
    return found


def _steering(content: dict[str, Any]) -> dict[str, Any]:
    _require(isinstance(content["adapter_weights"], dict), "adapter_weights", "an object")
    names: dict[str, Any] = {}
    for field_name in ("asks", "adapters"):
        listed = content[field_name]
        _require(isinstance(listed, list) and all(isinstance(n, str) for n in listed), field_name, "a list of texts")
        names[field_name] = tuple(listed)
    return names


def _method(content: object) -> MethodShape:
    valid = isinstance(content, dict) and set(content) == {"inputs", "outputs"}
    for texts in content.values() if isinstance(content, dict) else ():
        valid = valid and isinstance(texts, list) and len(texts) <= MAX_TENSORS and all(map(is_tensor, texts))
    _require(valid, "methods", "inputs and outputs by name, such as int64[1,t]")
    assert isinstance(content, dict)
    return MethodShape(tuple(content["inputs"]), tuple(content["outputs"]))


def _require(condition: bool, field: str, expected: str) -> None:
    if not condition:
        raise ManifestInvalid(f"the manifest's {field} must be {expected}")


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 200


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1 << 53 if isinstance(value, int) else math.isfinite(value)
