"""Settings of an alignment: a TOML file that holds what differs from the defaults.

Shipped ones lie in `configs/align/` and are named without their ending. Everything that is wrong with a file is said at
once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from device_runtime import MAX_NEIGHBOURS
from server_training.errors import ConfigInvalid
from server_training.run_config import CONFIGS

ObjectiveName = Literal["dpo", "ipa", "softmax-dpo", "listwise", "grpo", "rank-grpo", "likelihood"]
ReferenceName = Literal["start", "previous", "none"]
Metric = Literal["ndcg@10", "recall@10"]

ALIGN_CONFIGS = CONFIGS / "align"
_NEEDS_REWARD = ("ipa", "listwise", "grpo", "rank-grpo")


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """What moves the policy; see `alignment.objectives`.

    Attributes:
        name: which.
        beta: of the DPO family, how fast a growing gap satisfies the loss; of `listwise`, what a unit of KL costs.
        reference: what DPO compares with and KL holds back to: the model at the start, the one at the last validation
            (iterated), or none, for DPO without a reference.
        kl: weight of the KL from the policy to the reference.
        clip_low, clip_high: of ratios of probabilities (GRPO, Rank-GRPO).
        normalised: divide advantages by their deviation.
        likelihood: weight of the head's training loss on the same moments, beside the objective.
    """

    name: ObjectiveName = "grpo"
    beta: float = 1.0
    reference: ReferenceName = "start"
    kl: float = 0.0
    clip_low: float = 0.2
    clip_high: float = 0.28
    normalised: bool = True
    likelihood: float = 0.0

    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = [
            _named("objective", "name", self.name, get_args(ObjectiveName)),
            _named("objective", "reference", self.reference, get_args(ReferenceName)),
            _within("objective", "beta", self.beta, self.beta > 0, "above 0"),
            *(
                _within("objective", name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
                for name in ("kl", "likelihood", "clip_high")
            ),
            _within("objective", "clip_low", self.clip_low, 0 <= self.clip_low < 1, "at least 0 and below 1"),
            _unless(
                self.reference == "none" and self.kl > 0,
                "[objective] kl needs a reference: use start or previous, or set kl to 0",
            ),
        ]
        return [problem for problem in found if problem]


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """Which lists are looked at.

    Attributes:
        windows: histories per step.
        per_window: moments in each, at most.
        newest: of each person, only so many of the newest training events are targets; 0 for all.
        lists: M, lists per moment; more than one for `rank-grpo` only.
        length: K, items per list.
        temperature: of sampling without replacement; 0 for the beam search of the device.
        dynamic: draws per step, at most, to replace moments that teach nothing (dynamic sampling; DAPO); 1 for one.
        target: put what came next in the place of the last item where the list has it not. Without, the DPO family
            learns from the lists that have it of themselves.
        repeats: whether items of the history may be shown.
        later: whether what a person chose later in training, beyond the horizon of the rewards, may be in a list.
        neighbours: whether the prior of the catalog's neighbours is part of the policy, as on the device; with `newest`
            above 0, of neighbours found without those events.
    """

    windows: int = 32
    per_window: int = 8
    newest: int = 0
    lists: int = 1
    length: int = 16
    temperature: float = 1.0
    dynamic: int = 1
    target: bool = False
    repeats: bool = False
    later: bool = False
    neighbours: bool = False

    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = [
            *(
                _within("sampler", name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
                for name in ("windows", "per_window", "lists", "dynamic")
            ),
            _within("sampler", "length", self.length, self.length >= 2, "at least 2"),
            _within("sampler", "newest", self.newest, self.newest >= 0, "at least 0"),
            _within("sampler", "temperature", self.temperature, self.temperature >= 0, "at least 0"),
        ]
        return [problem for problem in found if problem]


@dataclass(frozen=True, slots=True)
class RewardConfig:
    """Weights of rewards, see `alignment.rewards`.

    Attributes:
        hit: 1 for what came next.
        rank: a penalty for wrong items by their rank, in lists with a hit.
        collaborative: what goes with the history by the neighbours of items, in natural log-odds.
        neighbours: how many each item has, for `collaborative`.
        learned: probability of a like by a model of logged feedback.
        novelty, diversity, calibration: of the list, whatever came next.
        horizon: events after the moment that `hit` counts.
        decay: of each further one.
    """

    hit: float = 1.0
    rank: float = 0.0
    collaborative: float = 0.0
    neighbours: int = 32
    learned: float = 0.0
    novelty: float = 0.0
    diversity: float = 0.0
    calibration: float = 0.0
    horizon: int = 1
    decay: float = 0.5

    @property
    def weights(self) -> dict[str, float]:
        """Weights other than 0, by name."""
        names = ("hit", "rank", "collaborative", "learned", "novelty", "diversity", "calibration")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = [
            *(
                _within("rewards", name, weight, 0 <= weight < float("inf"), "at least 0 and finite")
                for name, weight in self.weights.items()
            ),
            _within(
                "rewards",
                "neighbours",
                self.neighbours,
                1 <= self.neighbours <= MAX_NEIGHBOURS,
                f"1 to {MAX_NEIGHBOURS}",
            ),
            _within("rewards", "horizon", self.horizon, self.horizon >= 1, "at least 1"),
            _within("rewards", "decay", self.decay, 0 <= self.decay <= 1, "0 to 1"),
        ]
        return [problem for problem in found if problem]


@dataclass(frozen=True, slots=True)
class StepsConfig:
    """How far and how fast.

    Attributes:
        steps: drawings of lists, at most.
        updates: steps of the optimiser on each drawing.
        learning_rate: at its peak; warm-up and cosine as in training.
        weight_decay: of AdamW.
        dropout: whether the model's dropout is on while it learns; lists are always drawn without.
        validate_every: steps between validations.
        validate_users: people whose validation events choose, drawn by the seed; 0 for all. Fewer take less time, above
            all with the autoregressive head, and choose less surely.
        patience: validations without a better metric after which it stops; 0 to never stop early.
        metric: of validation events, which chooses the weights that are kept.
        seed: equal seeds, data and settings give equal weights.
    """

    steps: int = 200
    updates: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    dropout: bool = True
    validate_every: int = 20
    validate_users: int = 0
    patience: int = 3
    metric: Metric = "ndcg@10"
    seed: int = 0

    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = [
            *(
                _within("train", name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
                for name in ("steps", "updates", "validate_every")
            ),
            *(
                _within("train", name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
                for name in ("weight_decay", "patience", "seed", "validate_users")
            ),
            _within("train", "learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "between 0 and 1"),
            _named("train", "metric", self.metric, get_args(Metric)),
        ]
        return [problem for problem in found if problem]


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """All settings of an alignment.

    Attributes:
        run: folder of the run to start from; empty when the command names it.
    """

    run: str = ""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    rewards: RewardConfig = field(default_factory=RewardConfig)
    train: StepsConfig = field(default_factory=StepsConfig)

    def __post_init__(self) -> None:
        """Refuse settings that cannot align anything.

        Raises:
            ConfigInvalid: with everything that is wrong.
        """
        _refuse(self._problems())

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, by section."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sections: Mapping[str, Any]) -> AlignConfig:
        """Build from sections of plain values.

        Raises:
            ConfigInvalid: with every name that is not known and every value of the wrong type or range.
        """
        problems: list[str] = []
        found: dict[str, Any] = {}
        for name, values in sections.items():
            if name == "run" and isinstance(values, str):
                found[name] = values
            elif name in _SECTIONS and isinstance(values, Mapping):
                settings, wrong = _settings(name, values)
                section = _SECTIONS[name](**settings)
                problems += [*wrong, *section.problems()]
                found[name] = section if not problems else None
            else:
                problems.append(f'expected run = "…" and the sections {", ".join(_SECTIONS)}, got {name!r}')
        _refuse(problems)
        return cls(**found)

    def _problems(self) -> list[str]:
        name, sampler = self.objective.name, self.sampler
        found = [
            *(problem for section in _SECTIONS for problem in getattr(self, section).problems()),
            _unless(
                name in _NEEDS_REWARD and not self.rewards.weights,
                f"objective {name!r} needs a reward: set a weight in [rewards] above 0",
            ),
            _unless(
                name == "rank-grpo" and not (sampler.lists >= 2 and sampler.temperature > 0),
                "objective 'rank-grpo' compares lists: set [sampler] lists to 2 or more and temperature above 0",
            ),
            _unless(
                name != "rank-grpo" and sampler.lists != 1,
                f"objective {name!r} compares the items of one list: set [sampler] lists = 1",
            ),
        ]
        return [problem for problem in found if problem]


_SECTIONS: dict[str, type[ObjectiveConfig | SamplerConfig | RewardConfig | StepsConfig]] = {
    "objective": ObjectiveConfig,
    "sampler": SamplerConfig,
    "rewards": RewardConfig,
    "train": StepsConfig,
}


def load_align_config(name: str) -> AlignConfig:
    """Read a shipped configuration by its name, or a file by its path.

    Raises:
        ConfigInvalid: there is none, or it is not TOML, or it holds what is not known.
    """
    path = Path(name) if name.endswith(".toml") else ALIGN_CONFIGS / f"{name}.toml"
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(shipped_alignments())
        raise ConfigInvalid(f"no alignment {name!r}; use a .toml file or one of {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} is not TOML ({error})") from error
    return AlignConfig.from_dict(sections)


def shipped_alignments() -> list[str]:
    """Names of the shipped configurations."""
    return sorted(path.stem for path in ALIGN_CONFIGS.glob("*.toml"))


def changed_alignment(config: AlignConfig, sections: Mapping[str, Mapping[str, Any]]) -> AlignConfig:
    """Return `config` with some settings replaced.

    Raises:
        ConfigInvalid: see `AlignConfig.from_dict`.
    """
    values = config.to_dict()
    for name, settings in sections.items():
        values[name] = {**values[name], **settings} if name in _SECTIONS else settings
    return AlignConfig.from_dict(values)


def _settings(section: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings of the right name and type, and what is wrong with the others."""
    types = {part.name: type(part.default) for part in fields(_SECTIONS[section])}
    right: dict[str, Any] = {}
    wrong = []
    for name, value in values.items():
        if name not in types:
            wrong.append(f"[{section}] has no setting {name!r}; known: {', '.join(types)}")
        elif type(value) is types[name] or (types[name] is float and type(value) is int):
            right[name] = value
        else:
            wrong.append(f"[{section}] {name} must be {types[name].__name__}, got {value!r}")
    return right, wrong


def _named(section: str, name: str, value: str, known: tuple[str, ...]) -> str:
    return "" if value in known else f"[{section}] {name} must be one of {', '.join(known)}, got {value!r}"


def _within(section: str, name: str, value: float, right: bool, wanted: str) -> str:
    return "" if right else f"[{section}] {name} must be {wanted}, got {value}"


def _unless(wrong: bool, problem: str) -> str:
    return problem if wrong else ""


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigInvalid("\n".join([f"{len(problems)} wrong with the alignment:", *(f"  - {p}" for p in problems)]))
