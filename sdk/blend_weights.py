"""What the blend learned: two calibrations and a weight, as `python -m benchmarks.blend --fit FILE` writes them.

Nothing here reads histories or lists; `blending` applies the numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

from sdk.errors import InvalidInput

_SHIPPED = "blend_weights.json"
_FORMAT = 1
_LARGEST = 1e3


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log-odds that a person wants an item, from one list's score of it (Platt 1999).

    Attributes:
        bias: at score 0 and without evidence.
        slope: per unit of the score; never negative, so that a better score never counts less.
        evidence: per unit of the list's evidence.
    """

    bias: float
    slope: float
    evidence: float


@dataclass(frozen=True, slots=True)
class PeerShare:
    """The peers' part of the pool.

    most · σ(bias + peers·log(1 + n_peers) + hits·log(1 + n_hits) − events·log(1 + n_events) + unknown·[n_events = 0])

    Attributes:
        most: the part that is never exceeded, whatever peers send; above 0 and below 1.
        bias: see above.
        peers, hits: how fast the peers' evidence raises it; never negative.
        events: how fast the person's own events lower it; never negative.
        unknown: what having no event at all adds, when the model's list is the same for everybody; never negative.
    """

    most: float
    bias: float
    peers: float
    hits: float
    events: float
    unknown: float


@dataclass(frozen=True, slots=True)
class BlendWeights:
    """All that was learned.

    Attributes:
        model: from log-probability, normalised over the list, and log(1 + n_events).
        peers: from the logarithm of the hit score and log(1 + n_peers).
        share: the peers' part.
        learned_from: data, their hashes, date and method, in words; for people.

    Raises:
        InvalidInput: a number is not finite, very large, or outside its range.
    """

    model: Calibration
    peers: Calibration
    share: PeerShare
    learned_from: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Check everything that the blend promises because of it."""
        for part in (self.model, self.peers, self.share):
            for name in (f.name for f in fields(part)):
                value = getattr(part, name)
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise InvalidInput(f"the blend's {name} must be a number, got {value!r}")
                if not math.isfinite(value) or abs(value) > _LARGEST:
                    raise InvalidInput(f"the blend's {name} must be finite and at most {_LARGEST:g}, got {value!r}")
        if not 0.0 < self.share.most < 1.0:
            raise InvalidInput(f"the peers' largest part must lie between 0 and 1, got {self.share.most}")
        rising = (
            self.model.slope,
            self.peers.slope,
            self.share.peers,
            self.share.hits,
            self.share.events,
            self.share.unknown,
        )
        if min(rising) < 0.0:
            raise InvalidInput("slopes and what evidence adds must not be negative; fit the weights again")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidInput: it is not JSON, has other names, or see the class.
        """
        try:
            said = json.loads(text)
            if said.pop("format") != _FORMAT:
                raise InvalidInput("these weights of the blend are of another version of meritrec; fit them again")
            return cls(
                Calibration(**said.pop("model")),
                Calibration(**said.pop("peers")),
                PeerShare(**said.pop("share")),
                **said,
            )
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InvalidInput(f"these are no weights of a blend ({error}); fit them again") from error

    def to_json(self) -> str:
        """Return all of it as JSON text."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of weights.

        Raises:
            InvalidInput: it cannot be read, or holds no weights.
        """
        try:
            return cls.from_json(path.read_text("utf-8"))
        except OSError as error:
            raise InvalidInput(f"cannot read the blend's weights: {error}") from error


@cache
def shipped_weights() -> BlendWeights:
    """The weights that come with the package."""
    return BlendWeights.from_json(resources.files("sdk").joinpath(_SHIPPED).read_text("utf-8"))
