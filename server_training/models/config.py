"""Sizes and choices of a model, saved with every checkpoint and named in every result."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from device_runtime import ADAPTERS, ASKS, INTERESTS, MAX_ASK_LEVELS, MAX_CATEGORIES, TAXONOMY
from server_training.errors import ConfigInvalid

Backbone = Literal["sasrec", "hstu", "rotary"]
Head = Literal["autoregressive", "parallel", "retrieval", "retrieve-rank"]

_LATER = ("asks", "ask_levels", "adapters", "categories")  # settings that older checkpoints do not state


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
        asks: what a request may ask of the model, a selection of `device_runtime.ASKS`; see `models.asks`.
        ask_levels: levels of each ask.
        adapters: heads beside the main one, a selection of `device_runtime.ADAPTERS`; see `models.adapters`.
        categories: C, how many of the attributes that most items share the adapter `taxonomy` tells apart, at most.
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
    asks: tuple[str, ...] = ()
    ask_levels: int = 5
    adapters: tuple[str, ...] = ()
    categories: int = 64

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
        self._check_steering()

    def _check_steering(self) -> None:
        for setting, names, all_known in (("asks", self.asks, ASKS), ("adapters", self.adapters, ADAPTERS)):
            if not set(names) <= set(all_known) or len(set(names)) != len(names):
                raise ConfigInvalid(f"{setting} must be different ones of {', '.join(all_known)}, got {list(names)}")
        if not 2 <= self.ask_levels <= MAX_ASK_LEVELS:
            raise ConfigInvalid(f"ask_levels must be 2 to {MAX_ASK_LEVELS}, got {self.ask_levels}")
        if not 1 <= self.categories <= MAX_CATEGORIES:
            raise ConfigInvalid(f"categories must be 1 to {MAX_CATEGORIES}, got {self.categories}")
        if self.asks and self.head == "retrieve-rank":
            raise ConfigInvalid(
                "the ranker of retrieve-rank reads the history alone and would undo asks: use retrieval"
            )
        if self.adapters and self.head != "retrieval":
            raise ConfigInvalid(f"adapters share the item vectors of the head retrieval; {self.head} has none for them")

    @property
    def query_adapters(self) -> tuple[str, ...]:
        """The adapters that give a query each: all but the taxonomy."""
        return tuple(name for name in self.adapters if name != TAXONOMY)

    @property
    def pools(self) -> bool:
        """Whether an adapter reads the events themselves, not the state alone."""
        return bool(set(self.adapters) & set(INTERESTS))

    @property
    def features(self) -> int:
        """R, numbers per item beside its codes."""
        return self.own_features + self.content_features

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON: those that came later only where they are not the default."""
        return without_defaults(self, _LATER)


def without_defaults(config: Any, names: Collection[str]) -> dict[str, Any]:
    """Return a dataclass as a dictionary, the fields `names` only where they differ from their defaults.

    What a model without them is called does not change when settings are added: checkpoints stay resumable.
    """
    defaults = {part.name: part.default for part in fields(config)}
    return {name: value for name, value in asdict(config).items() if name not in names or value != defaults[name]}
