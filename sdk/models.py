"""The model of a device: what it is, how it is replaced while requests go on, and the way back."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from device_runtime import (
    DELTA_FILE,
    BundleError,
    DeviceError,
    ModelFailed,
    ModelStore,
    RuntimeReport,
    RuntimeSettings,
    RuntimeUnavailable,
    open_files,
    read_manifest,
)
from p2p import PeerId
from sdk.active_model import ActiveModel
from sdk.device_folder import KEY_BYTES
from sdk.downloading import Progress, discard, download, file_digest
from sdk.errors import InvalidInput, UpdateFailed
from sdk.metrics import MetricsSnapshot, peak_rss_bytes
from sdk.opened import OpenDevice
from sdk.peer_models import fetch_model
from sdk.status import status_as_json

PublicKey: TypeAlias = bytes
MODELS_FOLDER = "models"
logger = logging.getLogger("meritrec.sdk")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model in use.

    Attributes:
        namespace: of its catalog; peers with the same one mean the same items.
        version: rises with every update.
        created_at, expires_at: Unix seconds.
        expired: whether its time is over. It goes on ranking, for an old ranking serves better than none, and it can be
            updated; it could no longer be installed.
        head, backend, quantization: how it decodes, and what it was compiled for.
        runtime: which runtime executes it.
        items: in the catalog, updates of it included.
        bytes: of all files.
        metrics: what its publisher measured.
        publishers: public keys, one of which or more signed it.
    """

    namespace: str
    version: int
    created_at: int
    expires_at: int
    expired: bool
    head: str
    backend: str
    quantization: str
    runtime: str
    items: int
    bytes: int
    metrics: Mapping[str, float]
    publishers: tuple[PublicKey, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types; keys are hex."""
        return asdict(self) | {"publishers": [key.hex() for key in self.publishers], "metrics": dict(self.metrics)}


@dataclass(frozen=True, slots=True)
class ModelUpdate:
    """What `update` did.

    Attributes:
        kind: `model` for a whole bundle, `catalog` for added and withdrawn items.
        before, version: model versions.
        items: in the catalog now.
        answer_ms: how long one recommendation took in the trial of a new model, None for a catalog.
    """

    kind: Literal["model", "catalog"]
    before: int
    version: int
    items: int
    answer_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


class Models:
    """A part of `Recommender`: the model, its updates, and figures of the running device."""

    _device: OpenDevice

    @property
    def model(self) -> ModelInfo:
        """The model in use."""
        with self._device.locked():
            return info_of(self._device.model, self._device.now())

    @property
    def namespace(self) -> str:
        """The catalog's namespace; peers with the same one mean the same items."""
        return self._device.model.namespace

    @property
    def runtime(self) -> str:
        """Which runtime executes the model."""
        return self._device.model.ranker.runtime

    @property
    def runtime_report(self) -> RuntimeReport:
        """What executes the model, why that, and within which bounds."""
        return self._device.model.ranker.report

    def update(
        self, source: str | Path | bytes, *, sha256: str | None = None, progress: Progress | None = None
    ) -> ModelUpdate:
        """Install a newer model, or an update of the catalog, while requests go on.

        The files are fetched, copied, verified and tried in another process. Then the model is exchanged between two
        requests; none fails. Whatever goes wrong leaves the model that was there. Called again, a fetch that was cut
        off goes on where it stopped.

        Args:
            source: a bundle or a catalog's update: a folder, a zip, or an http(s) address of a zip; or the public key
                (32 bytes) of a connected peer that offers its model, see `RecommenderConfig.offer_model`.
            sha256: of the zip, 64 hex digits, if it is known. Signatures are checked in any case.
            progress: told bytes fetched so far, and of how many if that is known.

        Raises:
            device_runtime.BundleError: it is damaged, expired, not newer, or not signed by enough trusted publishers.
            device_runtime.ModelFailed: its trial failed.
            UpdateFailed: it cannot be fetched, is for another catalog, or does not work in this process.
            NotConnected: a peer was named, and this device is not in the network.
        """
        device = self._device
        with device.update_lock:
            device.check_open()
            return _updated(device, source, sha256, progress)

    @property
    def can_roll_back(self) -> bool:
        """Whether there is a model to go back to."""
        return self._device.models.state().previous is not None

    def rollback(self) -> ModelInfo:
        """Go back to the model before the last update; the one that is left is never installed again.

        Raises:
            device_runtime.StoreInvalid: there is none to go back to.
            device_runtime.BundleError: it has expired or is damaged; the one in use stays.
        """
        device = self._device
        with device.update_lock:
            device.check_open()
            bundle = device.models.rollback(now=device.now())
            device.use(ActiveModel.open(bundle, device.config.runtime))
        return self.model

    def metrics(self) -> MetricsSnapshot:
        """Return counts, durations and memory of this device since it was opened."""
        device = self._device
        with device.locked():
            status = status_as_json(device.network.status()) if device.network.connected else None
            return MetricsSnapshot(
                uptime_s=round(device.timings.uptime_s, 3),
                latencies=device.timings.latencies(),
                events=device.store.count_events(),
                records=len(device.network.store),
                model_version=device.model.manifest.model_version,
                model_expired=device.model.expired(device.now()),
                rollbacks=device.rollbacks,
                peak_rss_bytes=peak_rss_bytes(),
                network=status,
            )


def info_of(model: ActiveModel, now: int) -> ModelInfo:
    """Describe a model."""
    manifest = model.manifest
    return ModelInfo(
        namespace=manifest.catalog_namespace,
        version=manifest.model_version,
        created_at=manifest.created_at,
        expires_at=manifest.expires_at,
        expired=model.expired(now),
        head=manifest.head,
        backend=manifest.backend,
        quantization=manifest.quantization,
        runtime=model.ranker.runtime,
        items=len(model.catalog),
        bytes=sum(entry.bytes for entry in manifest.files.values()),
        metrics=manifest.metrics,
        publishers=model.bundle.publishers.keys,
    )


def install_if_newer(models: ModelStore, bundle: Path, now: int) -> None:
    """Install an app's own bundle, unless the device has, or had, that version or a higher one.

    Raises:
        device_runtime.DeviceError: it is newer and was refused.
    """
    if read_manifest(bundle).model_version > models.state().highest_version:
        models.install(bundle, now=now)


def open_active(models: ModelStore, settings: RuntimeSettings, now: int) -> ActiveModel:
    """Open the active model, or the one before it if the active one is damaged or does not run.

    Raises:
        device_runtime.DeviceError: neither can be used; what is said is about the active one.
    """
    try:
        model = ActiveModel.open(models.active(even_expired=True), settings)
    except RuntimeUnavailable:
        raise
    except DeviceError as error:
        if models.state().previous is None:
            raise
        try:
            model = ActiveModel.open(models.rollback(now=now), settings)
        except DeviceError:
            raise error from None
        logger.warning("the active model cannot be used (%s); the one before it is used again", error)
    if model.expired(now):
        logger.warning("the model has expired; update it. Until then it goes on ranking")
    return model


def _updated(
    device: OpenDevice, source: str | Path | bytes, sha256: str | None, progress: Progress | None
) -> ModelUpdate:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InvalidInput(f"a SHA-256 is 64 hex digits, got {sha256!r:.80}")
    folder = device.folder.path / MODELS_FOLDER
    if isinstance(source, bytes):
        fetched = _from_peer(device, source, folder, progress)
        done = _installed(device, fetched)
        shutil.rmtree(fetched, ignore_errors=True)
        return done
    if isinstance(source, str) and "://" in source:
        fetched = download(source, folder, sha256=sha256, progress=progress)
        try:
            done = _installed(device, fetched)
        except (BundleError, UpdateFailed):
            discard(fetched)
            raise
        discard(fetched)
        return done
    path = Path(source)
    if sha256 is not None and file_digest(path) != sha256.lower():
        raise UpdateFailed(f"{path} is not the file that was asked for: its SHA-256 is not {sha256[:16]}…")
    return _installed(device, path)


def _from_peer(device: OpenDevice, peer: bytes, folder: Path, progress: Progress | None) -> Path:
    if len(peer) != KEY_BYTES:
        raise InvalidInput(f"a peer is named by its public key: {KEY_BYTES} bytes")
    state = device.models.state()
    return fetch_model(
        device.network,
        PeerId(peer),
        folder,
        namespace=device.model.namespace,
        trusted=state.publishers,
        above=state.highest_version,
        now=device.now(),
        progress=progress or (lambda _, __: None),
    )


def _installed(device: OpenDevice, source: Path) -> ModelUpdate:
    before = device.model
    with open_files(source) as files:
        is_delta = DELTA_FILE in files.sizes
    kind: Literal["model", "catalog"] = "catalog" if is_delta else "model"
    answer_ms = None
    if is_delta:
        model = _with_delta(device, source)
    else:
        namespace = read_manifest(source).catalog_namespace
        if namespace != before.namespace:
            raise UpdateFailed(f"{source} is for the catalog {namespace!r}, this device's is {before.namespace!r}")
        answer_ms = device.models.install(source, now=device.now()).answer_ms
        try:
            model = ActiveModel.open(device.models.active(now=device.now()), device.config.runtime)
        except ModelFailed as error:
            device.models.rollback(now=device.now())
            raise UpdateFailed(f"{source} does not run in this process ({error}); the model before it stays") from error
    done = ModelUpdate(kind, before.manifest.model_version, model.manifest.model_version, len(model.catalog), answer_ms)
    device.use(model)
    return done


def _with_delta(device: OpenDevice, source: Path) -> ActiveModel:
    """Open the active model with an updated catalog, and only if it runs let the store take the update."""
    opened: list[ActiveModel] = []
    try:
        device.models.update(
            source,
            now=device.now(),
            trial=lambda bundle: opened.append(ActiveModel.open(bundle, device.config.runtime)),
        )
    except BaseException:
        for model in opened:
            model.close()
        raise
    return opened[0]
