"""The errors of `device_runtime`.

::

    DeviceError
    ├── BundleError
    │   ├── BundleMissing        nothing is at the path, or a file of the bundle is not there
    │   ├── BundleTampered       a file is not the one that was signed
    │   ├── UntrustedPublisher   not enough signatures by keys the app trusts
    │   ├── BundleExpired        its time is over
    │   ├── BundleTooOld         older than the one already active
    │   ├── ManifestInvalid      the manifest breaks the format
    │   └── CatalogInvalid       the catalog breaks the format
    ├── KeyFileInvalid           a publisher key file is damaged, missing or in the way
    ├── CryptoUnavailable        nothing here checks signatures
    ├── RuntimeUnavailable       no ExecuTorch runtime works here
    ├── ModelFailed              the program cannot be loaded or run, or was called wrongly
    │   └── BackendMissing       the program was made for an accelerator that this device's runtime does not have
    ├── StoreInvalid             a folder of installed models is damaged, or in use
    ├── UnknownItem              the catalog does not hold an item
    ├── UnknownCategory          the catalog has no category of that name
    └── HistoryInvalid           events or arrays that cannot become model inputs

Messages name the file, what was expected, what came, and what to do.
"""

from __future__ import annotations


class DeviceError(Exception):
    """Root of every error `device_runtime` raises on purpose."""


class BundleError(DeviceError):
    """A bundle is refused; nothing of it was loaded."""


class BundleMissing(BundleError):
    """Nothing is at the path, or a file of the bundle is not there."""


class BundleTampered(BundleError):
    """A file differs from what the publisher signed."""


class UntrustedPublisher(BundleError):
    """Too few signatures by trusted keys."""


class BundleExpired(BundleError):
    """The bundle's time is over."""


class BundleTooOld(BundleError):
    """The bundle is older than the one already active."""


class ManifestInvalid(BundleError):
    """The manifest breaks the format."""


class CatalogInvalid(BundleError):
    """The catalog breaks the format."""


class KeyFileInvalid(DeviceError):
    """A publisher key file is damaged, missing or in the way."""


class CryptoUnavailable(DeviceError):
    """Nothing here checks or makes signatures: `cryptography` is missing, and the app installed nothing else."""


class RuntimeUnavailable(DeviceError):
    """No ExecuTorch runtime works here."""


class ModelFailed(DeviceError):
    """The program cannot be loaded or run, or was called wrongly."""


class BackendMissing(ModelFailed):
    """The program was made for an accelerator, or a vendor's library, that this device's runtime does not have."""


class StoreInvalid(DeviceError):
    """A folder of installed models is damaged, in use, or has nothing to go back to."""


class UnknownItem(DeviceError):
    """The catalog does not hold an item."""


class UnknownCategory(DeviceError):
    """The catalog has no category of that name."""


class NotSteerable(DeviceError):
    """A request asks for something, or weighs a head, that the model does not have, or by no usable number."""


class HistoryInvalid(DeviceError):
    """Events or arrays that cannot become model inputs."""
