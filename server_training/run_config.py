"""Everything that makes a run, in one TOML file: how events are divided and items described, the model, its training.

Shipped configurations lie in `configs/` and are named without their ending; any other file is given by its path. A file
holds only what differs from the defaults; a name it does not know is an error, never ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from device_runtime import MAX_NEIGHBOURS
from server_training.data.split import SplitConfig
from server_training.errors import ConfigInvalid
from server_training.items.item_vectors import FeatureConfig
from server_training.items.quantisers import Quantiser
from server_training.items.text import TextEncoder
from server_training.models.config import ModelConfig
from server_training.training.config import TrainConfig

Vectors = Literal["text", "use", "both", "aligned"]

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True, slots=True)
class ItemsConfig:
    """How items get their semantic IDs.

    Attributes:
        tokenizer: how codebooks are learnt.
        text: how text becomes a vector.
        vectors: what the tokenizer sees: the text, what items are used with, both side by side, or both aligned by
            contrast.
        smoothing: steps over the user-item graph that the vectors take first; 0 for none.
        neighbours: per item, in the catalog: items it goes with, which lift the model's scores; 0 for none.
    """

    tokenizer: Quantiser = "residual-kmeans"
    text: TextEncoder = "tfidf"
    vectors: Vectors = "both"
    smoothing: int = 0
    neighbours: int = 0

    def __post_init__(self) -> None:
        """Refuse names that are not known.

        Raises:
            ConfigInvalid: see above.
        """
        for name, known in (("tokenizer", Quantiser), ("text", TextEncoder), ("vectors", Vectors)):
            names = get_args(known)
            if getattr(self, name) not in names:
                raise ConfigInvalid(f"{name} must be one of {', '.join(names)}, got {getattr(self, name)!r}")
        self.features()
        if not 0 <= self.neighbours <= MAX_NEIGHBOURS:
            raise ConfigInvalid(f"neighbours must be 0 to {MAX_NEIGHBOURS}, got {self.neighbours}")

    def features(self) -> FeatureConfig:
        """The settings of the item vectors."""
        text_weight, use_weight = {"text": (1.0, 0.0), "use": (0.0, 1.0)}.get(self.vectors, (1.0, 1.0))
        return FeatureConfig(
            text=self.text,
            text_weight=text_weight,
            use_weight=use_weight,
            aligned=self.vectors == "aligned",
            smoothing=self.smoothing,
        )


@dataclass(frozen=True, slots=True)
class RunConfig:
    """All settings of a run."""

    split: SplitConfig = field(default_factory=SplitConfig)
    items: ItemsConfig = field(default_factory=ItemsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Refuse settings that exclude one another.

        Raises:
            ConfigInvalid: see above.
        """
        if self.items.neighbours and self.model.head == "autoregressive":
            raise ConfigInvalid("neighbours lift scores of all items, which the autoregressive head never has: use 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, by section."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sections: Mapping[str, Any]) -> RunConfig:
        """Build from sections of plain values.

        Raises:
            ConfigInvalid: a section or name is not known, or a value has the wrong type or range.
        """
        return changed(cls(), sections)


def changed(config: RunConfig, sections: Mapping[str, Any]) -> RunConfig:
    """Return `config` with some settings replaced.

    Raises:
        ConfigInvalid: see `RunConfig.from_dict`.
    """
    known = {part.name for part in fields(RunConfig)}
    parts: dict[str, Any] = {}
    for name, values in sections.items():
        if name not in known or not isinstance(values, Mapping):
            raise ConfigInvalid(f"expected the sections {', '.join(sorted(known))}, got {name!r}")
        parts[name] = _section(getattr(config, name), name, values)
    return replace(config, **parts)


def load_config(name: str) -> RunConfig:
    """Read a shipped configuration by its name, or a file by its path.

    Raises:
        ConfigInvalid: there is none, or it is not TOML, or it holds what is not known.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = CONFIGS / f"{name}.toml"
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigInvalid(f"no configuration {name!r}; use a .toml file or one of {', '.join(shipped())}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} is not TOML ({error})") from error
    return RunConfig.from_dict(sections)


def shipped() -> list[str]:
    """Names of the shipped configurations."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def _section(current: Any, section: str, values: Mapping[str, Any]) -> Any:
    defaults = asdict(current)
    for name, value in values.items():
        if name not in defaults:
            raise ConfigInvalid(f"[{section}] has no setting {name!r}; known: {', '.join(defaults)}")
        wanted = type(defaults[name])
        if wanted is float and type(value) is int:
            continue
        if wanted is tuple and isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            continue
        if type(value) is not wanted or wanted is tuple:
            kind = "a list of texts" if wanted is tuple else wanted.__name__
            raise ConfigInvalid(f"[{section}] {name} must be {kind}, got {value!r}")
    return replace(current, **{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
