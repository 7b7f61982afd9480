"""Decoding heads: from the last state to items of the catalog, never anything else.

==============  ========================================================================================
autoregressive  one code after the other, each given the state and the codes before it (TIGER, OneRec);
                the device searches with a beam, the probability of an item is exact
parallel        all codes at once, independent given the state (RPG, REG4Rec); an item's score is the sum of
                its codes' log-probabilities, so the device scores the whole catalog by look-up
retrieval       dot products of the state with compositional item vectors; the device scores the whole catalog
retrieve-rank   retrieval, then one cross-attention of 200 candidates over the history (GRank)
==============  ========================================================================================
"""

from server_training.models.config import ModelConfig
from server_training.models.heads.autoregressive import AutoregressiveHead
from server_training.models.heads.head import Head, Items
from server_training.models.heads.parallel import ParallelHead
from server_training.models.heads.ranker import RetrieveRankHead
from server_training.models.heads.retrieval import RetrievalHead


def make_head(config: ModelConfig) -> Head:
    """Return the head that `config` names."""
    made: dict[str, type[Head]] = {
        "autoregressive": AutoregressiveHead,
        "parallel": ParallelHead,
        "retrieval": RetrievalHead,
        "retrieve-rank": RetrieveRankHead,
    }
    return made[config.head](config)


__all__ = ["AutoregressiveHead", "Head", "Items", "ParallelHead", "RetrievalHead", "RetrieveRankHead", "make_head"]
