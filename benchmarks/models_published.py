"""Published results on the data sets of `benchmarks.models`: what we are read beside, each with its source.

Full ranking everywhere. The files behind two tables are seldom the same to the row, and seen items are not always
treated alike, so a published row says where the field stands; only rows of one run can be subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A row of somebody's table.

    Attributes:
        system: name.
        recall_at_10, ndcg_at_10: None where the source has none.
        source: where it stands, and what is known of the protocol.
    """

    system: str
    recall_at_10: float | None
    ndcg_at_10: float | None
    source: str


_S3REC = "S3-Rec repository, all-item ranking table, seen items removed"
_RQ = "TIGER paper, as quoted by several repositories; rule for seen items not stated"
_META = "meta-recsys/generative-recommenders README, seen items removed"
_RECTOOLS = "RecTools tutorial, stable sort"

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "beauty": (
        Published("GRU4Rec", 0.0283, 0.0137, _S3REC),
        Published("BERT4Rec", 0.0347, 0.0170, _S3REC),
        Published("SASRec (binary loss)", 0.0605, 0.0318, _S3REC),
        Published("S3-Rec", 0.0647, 0.0327, _S3REC),
        Published("TIGER", 0.0648, 0.0384, _RQ),
        Published("LC-Rec", 0.0764, None, "OpenOneRec README, own preparation"),
        Published("OpenOneRec", 0.0924, None, "OpenOneRec README, own preparation, pretrained language model"),
    ),
    "ml-1m": (
        Published("GRU4Rec", 0.2811, 0.1648, _META),
        Published("BERT4Rec", 0.2843, 0.1537, _META),
        Published("SASRec", 0.2853, 0.1603, _META),
        Published("HSTU", 0.3097, 0.1720, _META),
        Published("HSTU-large", 0.3294, 0.1893, _META),
        Published("SASRec", 0.2877, 0.1622, _RECTOOLS),
        Published("HSTU, real times", 0.3226, 0.1879, _RECTOOLS),
        Published("HSTU, position bias only", 0.3023, 0.1718, _RECTOOLS),
    ),
    "ml-100k": (),
    "instruments": (),
    "lastfm": (),
}
NONE_KNOWN = "no published row was found for this very file and full ranking"
