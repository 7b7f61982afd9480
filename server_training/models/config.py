"""Sizes and choices of a model, saved with every checkpoint and named in every result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from server_training.errors import ConfigInvalid

Backbone = Literal["sasrec", "hstu", "rotary"]
Head = Literal["autoregressive", "parallel", "retrieval", "retrieve-rank"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a model is made of.

    Attributes:
        levels: L, codes per item.
        codebook_size: K, codes per level.
        codes: whether item vectors hold code embeddings; without, an item is its own features alone, a plain table
            when they are as many as the width.
        own_features: learned numbers per item beside its codes; zero for an item nobody has used yet.
        content_features: numbers per item that come from its content, known for new items too.
        history_length: T, events the model reads.
        width: d of every vector.
        layers: blocks of the backbone.
        heads: attention heads.
        dropout: of embeddings, attention and feed-forward, while training.
        backbone: see `models.backbones`.
        experts: feed-forward networks per block, of which each position uses two; 0 for one dense network.
        head: see `models.heads`.
        temperature: cosines of state and item vector are divided by it (retrieval heads); 0 for plain dot products.
    """

    levels: int = 3
    codebook_size: int = 64
    codes: bool = True
    own_features: int = 8
    content_features: int = 0
    history_length: int = 50
    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2
    backbone: Backbone = "sasrec"
    experts: int = 0
    head: Head = "retrieval"
    temperature: float = 0.05

    def __post_init__(self) -> None:
        """Refuse sizes that make no model.

        Raises:
            ConfigInvalid: a size is outside its range, or a name is not known.
        """
        for name in ("own_features", "history_length", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ConfigInvalid(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.levels < 2 or self.codebook_size < 2:
            raise ConfigInvalid(f"levels and codebook_size must be at least 2, got {self.levels}, {self.codebook_size}")
        if self.width % (2 * self.heads):
            raise ConfigInvalid(f"width must be a multiple of 2 * heads, got {self.width} and {self.heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigInvalid(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if self.content_features < 0 or self.experts < 0 or self.experts == 1 or self.temperature < 0:
            raise ConfigInvalid(f"content_features and temperature must be >= 0, experts 0 or >= 2, got {self}")
        for name, known in (("backbone", get_args(Backbone)), ("head", get_args(Head))):
            if getattr(self, name) not in known:
                raise ConfigInvalid(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")

    @property
    def features(self) -> int:
        """R, numbers per item beside its codes."""
        return self.own_features + self.content_features

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return asdict(self)
