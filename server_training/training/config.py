"""How to train: settings of one run, saved with its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from server_training.errors import ConfigInvalid
from server_training.models.config import without_defaults
from server_training.models.objectives import ObjectiveName

Precision = Literal["float32", "bfloat16"]

_LATER = ("ask_weight", "adapter_weight", "discount")  # settings that older checkpoints do not state


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train; the defaults suit some hundred thousand interactions on two CPU cores.

    Attributes:
        epochs: at most.
        batch_size: windows per step, over all processes together.
        learning_rate: at its peak: linear warm-up over the first 3 % of steps, then a cosine down to 2 % of it.
        weight_decay: of AdamW, on matrices and tables only.
        objective: what retrieval heads minimise; see `objectives`.
        negatives: drawn per step by the sampled softmax.
        session: items every position predicts; above 1 the model learns to propose lists (OneRec).
        session_decay: weight of each further item of the session.
        own_dropout: share of items whose learned numbers are hidden in a step, so that codes and content learn to do
            without them, as they must for new items (DropoutNet; Volkovs, Yu, Poutanen, NIPS 2017).
        openings: empty histories per window of events, whose target is a person's first event. With some, the model's
            list for a person of whom nothing is known is what people begin with; without, it is whatever comes out.
        contrast: weight of the contrast between two passes over the same history that differ in dropout only; other
            histories of the batch are the negatives (unsupervised DuoRec; Qiu et al., WSDM 2022). Costs a second pass.
        balance: weight of the experts' load-balance loss.
        ask_weight: weight of the head's loss given what was asked, beside its loss without; see `training.returns`.
        adapter_weight: weight of each adapter's loss.
        discount: gamma of the asks for engagement and advantage: what an event's value counts one event earlier.
        validate_every: epochs between validations.
        patience: validations without a better NDCG@10 after which training stops; 0 to never stop early.
        precision: of matrix products; bfloat16 halves their cost where the processor has units for it; elsewhere they
            stay float32.
        seed: equal seeds, data and settings give equal weights.
    """

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    objective: ObjectiveName = "softmax"
    negatives: int = 512
    session: int = 1
    session_decay: float = 0.5
    own_dropout: float = 0.0
    openings: float = 0.0
    contrast: float = 0.0
    balance: float = 0.01
    ask_weight: float = 0.5
    adapter_weight: float = 0.3
    discount: float = 0.8
    validate_every: int = 2
    patience: int = 0
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot train anything.

        Raises:
            ConfigInvalid: a number is outside its range, or a name is not known.
        """
        for name in ("epochs", "batch_size", "validate_every", "negatives", "session"):
            if getattr(self, name) < 1:
                raise ConfigInvalid(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "weight_decay",
            "session_decay",
            "contrast",
            "balance",
            "patience",
            "seed",
            "ask_weight",
            "adapter_weight",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigInvalid(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.openings <= 1:
            raise ConfigInvalid(f"openings must be 0 to 1, got {self.openings}")
        if not 0 <= self.own_dropout < 1:
            raise ConfigInvalid(f"own_dropout must be at least 0 and below 1, got {self.own_dropout}")
        if not 0 <= self.discount < 1:
            raise ConfigInvalid(f"discount must be at least 0 and below 1, got {self.discount}")
        if not 0 < self.learning_rate < 1:
            raise ConfigInvalid(f"learning_rate must be between 0 and 1, got {self.learning_rate}")
        for name, known in (("objective", get_args(ObjectiveName)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise ConfigInvalid(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values; those that came later only where they are not the default."""
        return without_defaults(self, _LATER)
