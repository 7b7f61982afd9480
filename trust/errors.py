"""The errors of the trust package.

TrustError
├── EdgeError            an author's edge list cannot be accepted; the graph stays as it was
│   ├── WeightError      a weight is not a finite number above zero
│   ├── SelfEdgeError    an author vouches for itself
│   ├── EdgeTimeError    an edge has no possible day, or one that is still to come
│   └── TooManyEdgesError
└── ConfigError          a setting is outside its range
"""

from __future__ import annotations


class TrustError(Exception):
    """Root of every error this package raises on purpose."""


class EdgeError(TrustError, ValueError):
    """An author's edge list cannot be accepted; nothing was stored."""


class WeightError(EdgeError):
    """An edge weight is not a finite number above zero."""


class SelfEdgeError(EdgeError):
    """An author's list contains a trust edge to the author."""


class EdgeTimeError(EdgeError):
    """An edge's day is no day number, or lies after today."""


class TooManyEdgesError(EdgeError):
    """An author's list is longer than the graph's limits allow."""


class ConfigError(TrustError, ValueError):
    """A setting is outside its range."""
