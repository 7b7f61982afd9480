"""Opens, verifies and runs one model bundle. Knows no peers and no users, and never imports torch."""

from device_runtime.beam import Found, beam_search
from device_runtime.bundle import Bundle, BundleFacts, inspect_bundle
from device_runtime.bundle_files import read_files
from device_runtime.bundle_writer import file_entries, sign_bundle, write_bundle
from device_runtime.catalog import Catalog
from device_runtime.dense import ITEMS_AT_ONCE, ItemVectors, search_by_codes, search_by_vectors
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
from device_runtime.neighbours import MAX_NEIGHBOURS, Neighbours
from device_runtime.ranker import ModelRanker, expected_methods
from device_runtime.search import HEADS, ItemSearch
from device_runtime.sequence import (
    MAX_SECONDS,
    N_ACTIONS,
    N_GAPS,
    Action,
    HistoryEvent,
    ModelInputs,
    encode_batch,
    encode_history,
    gap_buckets,
    seconds_before,
)
from device_runtime.session import MethodInfo, Session, TensorSpec, open_session
from device_runtime.signing import PublisherKey, Signature, signatures_from_bytes, verify_signatures

__all__ = [
    "CATALOG_FILE",
    "HEADS",
    "ITEMS_AT_ONCE",
    "MANIFEST_FILE",
    "MAX_NEIGHBOURS",
    "MAX_SECONDS",
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
    "ItemSearch",
    "ItemVectors",
    "KeyFileInvalid",
    "Manifest",
    "ManifestInvalid",
    "MethodInfo",
    "ModelFailed",
    "ModelInputs",
    "ModelRanker",
    "Neighbours",
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
    "expected_methods",
    "file_entries",
    "gap_buckets",
    "inspect_bundle",
    "open_session",
    "read_files",
    "search_by_codes",
    "search_by_vectors",
    "seconds_before",
    "sign_bundle",
    "signatures_from_bytes",
    "verify_signatures",
    "write_bundle",
]
