"""Opens, verifies and runs one model bundle. Knows no peers and no users, and never imports torch."""

from device_runtime.beam import Found, beam_search
from device_runtime.bundle import Bundle, BundleFacts, inspect_bundle
from device_runtime.bundle_files import read_files
from device_runtime.bundle_writer import file_entries, sign_bundle, write_bundle
from device_runtime.catalog import Catalog
from device_runtime.categories import MAX_CATEGORIES, MAX_NAME_BYTES, Categories
from device_runtime.dense import ITEMS_AT_ONCE, ItemVectors, search_by_codes, search_by_vectors
from device_runtime.encoder import RESUMED, Encoder
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
    StoreInvalid,
    UnknownCategory,
    UnknownItem,
    UntrustedPublisher,
)
from device_runtime.manifest import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PUBLISHERS_FILE,
    README_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Manifest,
    TrainingData,
)
from device_runtime.model_shape import MethodShape, ModelShape
from device_runtime.model_store import ModelStore
from device_runtime.neighbours import MAX_NEIGHBOURS, Neighbours
from device_runtime.publishers import (
    PublisherSet,
    Statement,
    follow,
    statements_from_bytes,
    statements_to_bytes,
    verify_signatures,
)
from device_runtime.ranker import ModelRanker
from device_runtime.row_filter import RowFilter, RowSet
from device_runtime.search import HEADS, ItemSearch
from device_runtime.sequence import (
    MAX_SECONDS,
    N_ACTIONS,
    N_GAPS,
    Action,
    HistoryEvent,
    ModelInputs,
    Reading,
    encode_batch,
    encode_history,
    gap_buckets,
    seconds_before,
)
from device_runtime.session import MethodInfo, Session, TensorSpec, open_session
from device_runtime.signing import PublisherKey, Signature, signatures_from_bytes
from device_runtime.smoke import SmokeReport, smoke_run

__all__ = [
    "CATALOG_FILE",
    "HEADS",
    "ITEMS_AT_ONCE",
    "MANIFEST_FILE",
    "MAX_CATEGORIES",
    "MAX_NAME_BYTES",
    "MAX_NEIGHBOURS",
    "MAX_SECONDS",
    "MODEL_FILE",
    "N_ACTIONS",
    "N_GAPS",
    "PUBLISHERS_FILE",
    "README_FILE",
    "RESUMED",
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
    "Categories",
    "DeviceError",
    "Encoder",
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
    "MethodShape",
    "ModelFailed",
    "ModelInputs",
    "ModelRanker",
    "ModelShape",
    "ModelStore",
    "Neighbours",
    "PublisherKey",
    "PublisherSet",
    "Reading",
    "RowFilter",
    "RowSet",
    "RuntimeUnavailable",
    "Session",
    "Signature",
    "SmokeReport",
    "Statement",
    "StoreInvalid",
    "TensorSpec",
    "TrainingData",
    "UnknownCategory",
    "UnknownItem",
    "UntrustedPublisher",
    "beam_search",
    "encode_batch",
    "encode_history",
    "file_entries",
    "follow",
    "gap_buckets",
    "inspect_bundle",
    "open_session",
    "read_files",
    "search_by_codes",
    "search_by_vectors",
    "seconds_before",
    "sign_bundle",
    "signatures_from_bytes",
    "smoke_run",
    "statements_from_bytes",
    "statements_to_bytes",
    "verify_signatures",
    "write_bundle",
]
