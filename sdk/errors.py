"""The errors an app can meet.

::

    SDKError
    ├── DeviceFolderInvalid   the device folder is missing, incomplete or from another version
    ├── StoreCorrupted        the private event store cannot be read
    ├── UnknownItem           an item id that the model's catalog does not hold
    ├── InvalidInput          an argument is out of range (action, level, time, peer id, k)
    ├── AlreadyOpen           another process holds the device folder
    ├── NotConnected          the call needs the network; call `connect` first
    └── Closed                the Recommender was closed

Errors of the rooms below keep their own types: `device_runtime.DeviceError` (bundles, models) and `p2p.P2PError`
(identities, records, network).
"""

from __future__ import annotations


class SDKError(Exception):
    """Root of every error the SDK raises on purpose."""


class DeviceFolderInvalid(SDKError):
    """The device folder is missing, incomplete or written by another version."""


class StoreCorrupted(SDKError):
    """The event store on disk cannot be read."""


class UnknownItem(SDKError, KeyError):
    """An item id that the catalog of the active bundle does not hold."""

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidInput(SDKError, ValueError):
    """An argument outside its documented range."""


class AlreadyOpen(SDKError):
    """Another process has this device folder open."""


class NotConnected(SDKError):
    """The call needs the peer network."""


class Closed(SDKError):
    """The object was used after `close`."""
