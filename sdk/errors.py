"""The errors an app can meet.

::

    SDKError
    ├── DeviceFolderInvalid   the device folder is missing, incomplete or from another version
    ├── StoreCorrupted        the private event store cannot be read
    ├── StoreUnavailable      the file system refuses the event store just now; nothing was lost
    │   └── DiskFull          there is no room left
    ├── UnknownItem           an item id that the model's catalog does not hold
    ├── InvalidInput          an argument is out of range (action, level, time, peer id, k, category)
    ├── AlreadyOpen           another process holds the device folder
    ├── UpdateFailed          a new model could not be fetched or does not work; the one before stays active
    ├── NotConnected          the call needs the network; call `connect` first
    └── Closed                the Recommender was closed

Errors of the rooms below keep their own types and can be imported from `sdk` too:
`device_runtime.DeviceError` (bundles, models) and `p2p.P2PError` (identities, records, network).
"""

from __future__ import annotations


class SDKError(Exception):
    """Root of every error the SDK raises on purpose."""


class DeviceFolderInvalid(SDKError):
    """The device folder is missing, incomplete or written by another version."""


class StoreCorrupted(SDKError):
    """The event store on disk cannot be read."""


class StoreUnavailable(SDKError):
    """The file system refuses the event store just now; what was stored before is whole."""


class DiskFull(StoreUnavailable):
    """There is no room left for what was to be stored."""


class UnknownItem(SDKError, KeyError):
    """An item id that the catalog of the active bundle does not hold."""

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidInput(SDKError, ValueError):
    """An argument outside its documented range."""


class AlreadyOpen(SDKError):
    """Another process has this device folder open."""


class UpdateFailed(SDKError):
    """A new model could not be fetched or does not work; the one before stays active."""


class NotConnected(SDKError):
    """The call needs the peer network."""


class Closed(SDKError):
    """The object was used after `close`."""
