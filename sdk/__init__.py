"""What an app imports: `Recommender` and the values it takes and gives. The only package that joins the others."""

from device_runtime import (
    Ask,
    BundleError,
    BundleExpired,
    BundleMissing,
    BundleTampered,
    BundleTooOld,
    DeviceError,
    ModelFailed,
    NotSteerable,
    RuntimeSettings,
    RuntimeUnavailable,
    Steering,
    StoreInvalid,
    UnknownCategory,
    UntrustedPublisher,
)
from p2p import P2PError
from sdk.blending import BlendConfig
from sdk.errors import (
    AlreadyOpen,
    Closed,
    DeviceFolderInvalid,
    DiskFull,
    InvalidInput,
    NotConnected,
    SDKError,
    StoreCorrupted,
    StoreUnavailable,
    UnknownItem,
    UpdateFailed,
)
from sdk.filters import Filters
from sdk.history import Forgotten
from sdk.interest import InterestConfig
from sdk.metrics import Latency, MetricsSnapshot
from sdk.models import ModelInfo, ModelUpdate
from sdk.publication import Publication, Shared, SharedItem, Why, Withheld
from sdk.recommendation import Filtered, FilterKind, Reason, ReasonKind, Recommendation
from sdk.recommender import Recommender, RecommenderConfig
from sdk.sharing import SharingLevel, SharingPolicy
from sdk.social import SocialConfig
from sdk.store import BLOCKED, Opinion
from sdk.trust_view import TrustNode, TrustView, Vouch

__all__ = [
    "BLOCKED",
    "AlreadyOpen",
    "Ask",
    "BlendConfig",
    "BundleError",
    "BundleExpired",
    "BundleMissing",
    "BundleTampered",
    "BundleTooOld",
    "Closed",
    "DeviceError",
    "DeviceFolderInvalid",
    "DiskFull",
    "FilterKind",
    "Filtered",
    "Filters",
    "Forgotten",
    "InterestConfig",
    "InvalidInput",
    "Latency",
    "MetricsSnapshot",
    "ModelFailed",
    "ModelInfo",
    "ModelUpdate",
    "NotConnected",
    "NotSteerable",
    "Opinion",
    "P2PError",
    "Publication",
    "Reason",
    "ReasonKind",
    "Recommendation",
    "Recommender",
    "RecommenderConfig",
    "RuntimeSettings",
    "RuntimeUnavailable",
    "SDKError",
    "Shared",
    "SharedItem",
    "SharingLevel",
    "SharingPolicy",
    "SocialConfig",
    "Steering",
    "StoreCorrupted",
    "StoreInvalid",
    "StoreUnavailable",
    "TrustNode",
    "TrustView",
    "UnknownCategory",
    "UnknownItem",
    "UntrustedPublisher",
    "UpdateFailed",
    "Vouch",
    "Why",
    "Withheld",
]
