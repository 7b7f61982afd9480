"""Checkpoints are pickles of our own classes, and nothing else is read back: a file may come from anywhere."""

from __future__ import annotations

import inspect
import io
import pickle
from typing import Any

from sdk.simulation.errors import RunInvalid

_OURS = ("sdk.", "p2p.", "trust.")
_PLAIN = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("collections", "deque"),
    ("random", "Random"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pcg64", "PCG64"),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
    ("numpy.random.bit_generator", "SeedSequence"),
}

_HANDED_IN = ("remembered", "remembered_announcement", "remembered_edges", "toggle")  # functions that devices hold


class _Reader(pickle.Unpickler):
    """Finds classes of these packages, and what numbers and containers are made of."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class.

        Raises:
            UnpicklingError: it is not one that a checkpoint holds.
        """
        if (module, name) == ("builtins", "getattr"):  # how a bound method is kept
            return _method
        found = None
        if module.startswith(_OURS) or (module, name) in _PLAIN:
            found = super().find_class(module, name)
        if found is None or (module.startswith(_OURS) and not isinstance(found, type) and name not in _HANDED_IN):
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a checkpoint")
        return found


def _method(owner: object, name: str) -> Any:
    """Return a method of one of our objects, and nothing else that an attribute may lead to."""
    ours = type(owner).__module__.startswith(_OURS)
    if not ours or name.startswith("__") or not inspect.isfunction(getattr(type(owner), name, None)):
        raise pickle.UnpicklingError(f"{type(owner).__name__}.{name} does not belong into a checkpoint")
    return getattr(owner, name)


def read_snapshot(data: bytes) -> object:
    """Return what a snapshot holds.

    Raises:
        RunInvalid: it is damaged, or holds what it should not.
    """
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle raises anything
        raise RunInvalid(
            f"a checkpoint cannot be read ({type(error).__name__}: {error}); remove the run's folder and begin again"
        ) from error
