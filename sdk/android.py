r"""The face of the SDK for Android apps: only text, bytes and whole numbers cross the border between the languages.

Chaquopy shows Python modules to Kotlin and Java. An app makes a device, opens it, and calls it by name with JSON:

    val sdk = Python.getInstance().getModule("sdk.android")
    val device = sdk.callAttr("new_device", carrier).toLong()
    sdk.callAttr("call", device, "open", settings)
    sdk.callAttr("call", device, "recommend", "{\"k\": 10}").toString()

`call` never raises; it returns `{"ok": answer}`, or `{"error": {"kind": "UnknownItem", "message": "…"}}`. Kinds are the
class names of the errors of `sdk.errors`, `device_runtime.errors` and `p2p.errors`; `OSError` for files that cannot be
read; `Internal` for a defect of ours, which is logged. Calls block, some of them for seconds (open, connect, update):
keep them off the main thread. They may come from any thread.

Frames of the peer network go through a carrier, an object of the app with `open`, `send` and `close` (see
`p2p.bridge.BridgeHost`; in Java an interface, whose exceptions mean what OSError means there), and come back through
`link_opened`, `received` and `link_closed`.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from device_runtime import DeviceError, RuntimeSettings, use_verifier
from p2p import Identity, P2PError, Transport, TransportUnavailable, use_crypto
from p2p.bridge import BridgeTransport
from sdk.android_calls import CALLS, Calls, arguments_of
from sdk.android_crypto import JavaCrypto
from sdk.errors import Closed, InvalidInput, SDKError
from sdk.recommender import Recommender, RecommenderConfig
from sdk.sharing import SharingPolicy

_ours = (SDKError, DeviceError, P2PError)
_lock = threading.Lock()
_numbers = itertools.count(1)
_devices: dict[int, AndroidDevice] = {}
_crypto: dict[str | None, JavaCrypto] = {}

logger = logging.getLogger("meritrec.sdk")


def new_device(carrier: Any = None) -> int:
    """Make a device that is not open yet and return its number.

    Args:
        carrier: carries frames to peers; without one the device cannot connect.
    """
    with _lock:
        number = next(_numbers)
        _devices[number] = AndroidDevice(carrier)
    return number


def call(device: int, name: str, arguments: str = "{}") -> str:
    """Do what `name` says and return JSON, see the module.

    Args:
        device: its number.
        name: `open` (the settings are the arguments of `AndroidDevice.open`), `close`, or a method of
            `sdk.android_calls.Calls`.
        arguments: a JSON object with the arguments by name.
    """
    try:
        return json.dumps({"ok": _device(device).call(str(name), str(arguments))}, allow_nan=False)
    except _ours as error:
        return _failed(type(error).__name__, str(error))
    except OSError as error:
        return _failed("OSError", str(error))
    except Exception as error:
        logger.exception("a call of the app failed: %s", name)
        return _failed("Internal", f"{type(error).__name__}: {error}; this is a defect of meritrec, please report it")


def link_opened(device: int, link: str) -> None:
    """Tell a device that somebody opened a link to it. Harmless while it is not connected."""
    _tell(device, "link_opened", str(link))


def received(device: int, link: str, frame: Any) -> None:
    """Hand a frame to a device: bytes, or Java's byte[]. Returns at once."""
    _tell(device, "received", str(link), bytes(frame))


def link_closed(device: int, link: str) -> None:
    """Tell a device that a link is gone."""
    _tell(device, "link_closed", str(link))


class AndroidDevice:
    """A device of an app, open or not."""

    def __init__(self, carrier: Any) -> None:
        self._carrier = None if carrier is None else CarrierHost(carrier)
        self._lock = threading.Lock()
        self._me: Recommender | None = None
        self.bridge: BridgeTransport | None = None

    def call(self, name: str, arguments: str) -> Any:
        """Do what `name` says and return what JSON can say.

        Raises:
            InvalidInput: there is no such call, or its arguments are others.
            Closed: the device is not open.
            SDKError, DeviceError, P2PError: as the method says.
        """
        if name == "open":
            return self.open(**arguments_of(self.open, arguments))
        if name == "close":
            return self.close(**arguments_of(self.close, arguments))
        if name not in CALLS:
            raise InvalidInput(f"there is no call {name[:80]!r}; there are open, close, {', '.join(CALLS)}")
        me = self._me
        if me is None:
            raise Closed("this device is not open; call open first")
        calls = Calls(me)
        return CALLS[name](calls, **arguments_of(CALLS[name], arguments, calls))

    def open(
        self,
        path: str,
        bundle: str | None = None,
        trusted_keys: list[str] | None = None,
        threshold: int = 1,
        passphrase: str | None = None,
        community: str = "",
        sharing: str | dict[str, Any] = "private",
        threads: int = 1,
        hide_shown: bool = False,
        offer_model: bool = False,
        security_provider: str | None = None,
    ) -> dict[str, Any]:
        """Open the device's folder and its model; see `Recommender.open`.

        Args:
            path: a folder of the app's own, such as `filesDir` with a name added.
            bundle: the model that comes with the app, a file that was copied out of its assets.
            trusted_keys: publishers' keys in hex.
            threshold: how many of them must have signed.
            passphrase: opens or seals the identity.
            community: the circle of peers.
            sharing: `private`, `items`, `network`, or fields of `SharingPolicy`, until `set_sharing` is called.
            threads: of the model.
            hide_shown: see `RecommenderConfig`.
            offer_model: see there.
            security_provider: class of a `java.security.Provider` that the app brings, see `JavaCrypto`.

        Returns:
            The device's public key, and the model.
        """
        with self._lock:
            if self._me is not None:
                raise InvalidInput("this device is open already; close it first")
            _use_java(security_provider)
            try:
                keys = [bytes.fromhex(key) for key in trusted_keys or ()]
                policy = SharingPolicy.from_json(sharing)
                config = RecommenderConfig(
                    policy, RuntimeSettings(threads), hide_shown=hide_shown, offer_model=offer_model
                )
            except (ValueError, TypeError) as error:
                raise InvalidInput(f"open: {error}") from error
            self._me = Recommender.open(
                path,
                bundle=None if bundle is None else Path(bundle),
                trusted_keys=keys,
                threshold=threshold,
                config=config,
                passphrase=passphrase,
                transport=self._transport,
                community=community,
            )
            return {"peer": self._me.peer_id.hex(), "model": self._me.model.as_json()}

    def close(self) -> None:
        """Leave the network and close every file; it may be opened again."""
        with self._lock:
            if self._me is not None:
                self._me.close()
            self._me = self.bridge = None

    def _transport(self, identity: Identity) -> Transport:
        if self._carrier is None:
            raise TransportUnavailable("this device has no carrier for frames; pass one to new_device")
        self.bridge = BridgeTransport(identity, self._carrier)
        return self.bridge


class CarrierHost:
    """A carrier of the app as `p2p.bridge.BridgeHost`: what Java throws becomes OSError."""

    def __init__(self, carrier: Any) -> None:
        self._carrier = carrier
        self._thrown: tuple[type[BaseException], ...] = ()
        if find_spec("java") is not None:
            from java import jclass

            self._thrown = (jclass("java.lang.Exception"),)

    def open(self, address: str) -> str:
        """Open a link, see `BridgeHost.open`."""
        try:
            return str(self._carrier.open(address))
        except self._thrown as error:
            raise ConnectionError(_first_line(error)) from error

    def send(self, link: str, frame: bytes) -> None:
        """Carry a frame, see `BridgeHost.send`."""
        try:
            self._carrier.send(link, frame)
        except self._thrown as error:
            raise BrokenPipeError(_first_line(error)) from error

    def close(self, link: str) -> None:
        """Close a link, see `BridgeHost.close`."""
        try:
            self._carrier.close(link)
        except self._thrown as error:
            logger.info("a link was not closed: %s", _first_line(error))


def _device(number: int) -> AndroidDevice:
    with _lock:
        found = _devices.get(int(number))
    if found is None:
        raise Closed(f"there is no device {number}; new_device makes one")
    return found


def _tell(number: int, what: str, *content: Any) -> None:
    try:
        bridge = _device(number).bridge
    except Closed:
        return
    if bridge is not None:
        getattr(bridge, what)(*content)


def _use_java(provider: str | None) -> None:
    """Let `java.security` compute what `cryptography` does elsewhere, if this is an app."""
    if find_spec("java") is None:
        return
    with _lock:
        if provider not in _crypto:
            _crypto[provider] = JavaCrypto(provider)
        use_verifier(_crypto[provider])
        use_crypto(_crypto[provider])


def _failed(kind: str, message: str) -> str:
    return json.dumps({"error": {"kind": kind, "message": message}})


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
