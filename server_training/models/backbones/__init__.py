"""Backbones: from a history of item vectors to one state per position. One interface, three networks.

========  ==============================================================================================
sasrec    causal pre-norm transformer, learned positions counted from the newest event (Kang and McAuley,
          ICDM 2018, with today's usual pre-norm blocks); time enters as the bucketed gap to the next event
hstu      pointwise SiLU attention gated by U, relative position and time bias (Zhai et al., ICML 2024)
rotary    decoder-only transformer; rotary embedding turned by position and by time (after SynerGen), relative
          position bias
========  ==============================================================================================
"""

from server_training.models.backbones.history import History
from server_training.models.backbones.hstu import Hstu
from server_training.models.backbones.rotary import Rotary
from server_training.models.backbones.sasrec import SasRec
from server_training.models.config import ModelConfig

BACKBONES: dict[str, type[SasRec | Hstu | Rotary]] = {"sasrec": SasRec, "hstu": Hstu, "rotary": Rotary}


def make_backbone(config: ModelConfig) -> SasRec | Hstu | Rotary:
    """Return the backbone that `config` names."""
    return BACKBONES[config.backbone](config)


__all__ = ["BACKBONES", "History", "Hstu", "Rotary", "SasRec", "make_backbone"]
