"""`Recommender`: the one object that an app holds.

It joins the private event store, the model bundle, the peer network and the trust graph. Every public method may be
called from any thread. Nothing is sent before `connect`, and nothing is shared before a sharing policy says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from device_runtime import Bundle, BundleMissing, ModelStore
from sdk.device_folder import DeviceFolder
from sdk.disclosure import Disclosure
from sdk.history import History
from sdk.models import MODELS_FOLDER, Models, install_if_newer, open_active
from sdk.network import TransportFactory, libp2p_transport
from sdk.opened import Clock, OpenDevice, RecommenderConfig, interest_of
from sdk.peers import Peers
from sdk.ranking import Ranking

__all__ = ["Clock", "Recommender", "RecommenderConfig", "interest_of"]


class Recommender(History, Ranking, Peers, Disclosure, Models):
    """Recommendations that belong to the person who receives them.

    Use it as a context manager, or call `close`:

        with Recommender.open("my-device", bundle="model-bundle", trusted_keys=[publisher]) as me:
            me.record("50", "like")
            for pick in me.recommend(10):
                print(pick.title, pick.reasons[0].text)

    What it can do stands in its parts: `History` (record, block_item, export_my_data, forget), `Ranking` (recommend,
    similar, explain, filtered), `Peers` (vouch, block, connect, publish), `Disclosure` (sharing, shared, withdraw) and
    `Models` (update, rollback, metrics).
    """

    def __init__(self, device: OpenDevice) -> None:
        """Take an opened device; apps call `open`."""
        self._device = device

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | None = None,
        trusted_keys: Iterable[bytes] = (),
        threshold: int = 1,
        config: RecommenderConfig | None = None,
        clock: Clock = time.time,
        passphrase: str | None = None,
        transport: TransportFactory = libp2p_transport,
        community: str = "",
    ) -> Self:
        """Open a device folder, made on first use.

        The device keeps models of its own in the folder: `bundle` is copied there, verified and tried at first use and
        whenever it is newer than any that was installed; else it is not looked at. A model that has expired since it
        was installed goes on ranking, and `model.expired` says so. One that is damaged or does not run is replaced by
        the one before it.

        Args:
            path: the device's folder: identity, events, records, models. One process at a time.
            bundle: a bundle directory or zip that comes with the app; None to use what the device has.
            trusted_keys: Ed25519 public keys (32 bytes) of the publishers the app trusts; none to trust those that the
                device trusted before.
            threshold: how many of them must have signed.
            config: what to tune.
            clock: returns Unix seconds.
            passphrase: opens a sealed identity; a new device's identity is sealed with it.
            transport: makes what `connect` uses of the device's identity; libp2p by default. A
                `p2p.bridge.BridgeTransport` lets the app itself carry the frames.
            community: which circle of peers this is. In each one the device has a key, records, opinions of peers, a
                sharing policy and random answers of their own; the history is one.

        Raises:
            device_runtime.DeviceError: there is no usable model: none was installed, or it is damaged, expired, not
                signed by enough trusted keys, or does not run.
            DeviceFolderInvalid, StoreCorrupted, AlreadyOpen: see `sdk.errors`.
            InvalidInput: no community can have this name.
            p2p.PassphraseWrong: the identity is sealed with another passphrase.
        """
        config, keys, folder_path = config or RecommenderConfig(), tuple(trusted_keys), Path(path)
        now = max(0, int(clock()))
        if not (folder_path / MODELS_FOLDER).exists():  # a bad bundle leaves nothing behind
            if bundle is None:
                raise BundleMissing(f"{folder_path} has no model yet; open it with a bundle once")
            Bundle.open(Path(bundle), trusted_keys=keys, threshold=threshold, now=now)
        folder = DeviceFolder.open(folder_path, passphrase, community)
        with ExitStack() as undo:
            undo.callback(folder.close)
            models = ModelStore.open(folder_path / MODELS_FOLDER, trusted_keys=keys, threshold=threshold)
            if bundle is not None:
                install_if_newer(models, Path(bundle), now)
            model = open_active(models, config.runtime, now)
            undo.callback(model.close)
            recommender = cls(OpenDevice(folder, models, model, config, clock, transport, community))
            undo.pop_all()
        return recommender

    def close(self) -> None:
        """Leave the network and close every file; closing twice is harmless."""
        self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
