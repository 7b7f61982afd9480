"""Opens, verifies and runs one model bundle. Knows no peers and no users, and never imports torch."""

from device_runtime.beam import Found, beam_search
from device_runtime.bundle import Bundle, BundleFacts, inspect_bundle
from device_runtime.bundle_files import read_files
from device_runtime.bundle_writer import file_entries, sign_bundle, write_bundle
from device_runtime.catalog import Catalog
from device_runtime.errors import (
    BundleError,
    BundleExpired,
    BundleMissing,
    BundleTampered,
    BundleTooOld,
    CatalogInvalid,
    DeviceError,
    HistoryInvalid,
    KeyFileInvalid,
    ManifestInvalid,
    ModelFailed,
    RuntimeUnavailable,
    UnknownItem,
    UntrustedPublisher,
)
from device_runtime.manifest import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    README_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Manifest,
    TrainingData,
)
from device_runtime.ranker import ModelRanker
from device_runtime.sequence import (
    N_ACTIONS,
    N_GAPS,
    Action,
    HistoryEvent,
    ModelInputs,
    encode_batch,
    encode_history,
    gap_buckets,
)
from device_runtime.session import MethodInfo, Session, TensorSpec, open_session
from device_runtime.signing import PublisherKey, Signature, signatures_from_bytes, verify_signatures

__all__ = [
    "CATALOG_FILE",
    "MANIFEST_FILE",
    "MODEL_FILE",
    "N_ACTIONS",
    "N_GAPS",
    "README_FILE",
    "SIGNATURE_FILE",
    "Action",
    "Bundle",
    "BundleError",
    "BundleExpired",
    "BundleFacts",
    "BundleMissing",
    "BundleTampered",
    "BundleTooOld",
    "Catalog",
    "CatalogInvalid",
    "DeviceError",
    "FileEntry",
    "Found",
    "HistoryEvent",
    "HistoryInvalid",
    "KeyFileInvalid",
    "Manifest",
    "ManifestInvalid",
    "MethodInfo",
    "ModelFailed",
    "ModelInputs",
    "ModelRanker",
    "PublisherKey",
    "RuntimeUnavailable",
    "Session",
    "Signature",
    "TensorSpec",
    "TrainingData",
    "UnknownItem",
    "UntrustedPublisher",
    "beam_search",
    "encode_batch",
    "encode_history",
    "file_entries",
    "gap_buckets",
    "inspect_bundle",
    "open_session",
    "read_files",
    "sign_bundle",
    "signatures_from_bytes",
    "verify_signatures",
    "write_bundle",
]
