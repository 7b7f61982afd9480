"""What an app imports: `Recommender` and the values it takes and gives. The only package that joins the others."""

from device_runtime import RuntimeSettings
from sdk.blending import BlendConfig
from sdk.errors import (
    AlreadyOpen,
    Closed,
    DeviceFolderInvalid,
    InvalidInput,
    NotConnected,
    SDKError,
    StoreCorrupted,
    UnknownItem,
)
from sdk.interest import InterestConfig
from sdk.recommendation import Reason, ReasonKind, Recommendation
from sdk.recommender import Recommender, RecommenderConfig
from sdk.sharing import SharingPolicy
from sdk.social import SocialConfig

__all__ = [
    "AlreadyOpen",
    "BlendConfig",
    "Closed",
    "DeviceFolderInvalid",
    "InterestConfig",
    "InvalidInput",
    "NotConnected",
    "Reason",
    "ReasonKind",
    "Recommendation",
    "Recommender",
    "RecommenderConfig",
    "RuntimeSettings",
    "SDKError",
    "SharingPolicy",
    "SocialConfig",
    "StoreCorrupted",
    "UnknownItem",
]
