"""The data contract: names and types of the Parquet columns, in one place.

Knows nothing of readers, models or metrics. Every other module takes its column names from here, and the
action names from the device's ``Action``, so that server and device cannot disagree.

``interactions.parquet``, one row per event, sorted by user and time:

==========  ========  ==========================================================
user        String    any non-empty text without control characters
item        String    same
timestamp   Int64     whole seconds since 1970-01-01 UTC
action      String    one of :data:`ACTION_NAMES`
weight      Float32   strength of the event, finite and >= 0
==========  ========  ==========================================================

``items.parquet``, one row per catalog item, sorted by item:

==========  ============  ==========================================
item        String        same as above
title       String        may be empty
text        String        description, may be empty
attributes  List[String]  e.g. genres, ``release_year:1995``
==========  ============  ==========================================
"""

from __future__ import annotations

from typing import Final

import polars as pl

from device_runtime.sequence import Action

USER: Final = "user"
ITEM: Final = "item"
TIMESTAMP: Final = "timestamp"
ACTION: Final = "action"
WEIGHT: Final = "weight"
TITLE: Final = "title"
TEXT: Final = "text"
ATTRIBUTES: Final = "attributes"

INTERACTIONS_SCHEMA: Final = pl.Schema(
    {USER: pl.String(), ITEM: pl.String(), TIMESTAMP: pl.Int64(), ACTION: pl.String(), WEIGHT: pl.Float32()}
)
ITEMS_SCHEMA: Final = pl.Schema(
    {ITEM: pl.String(), TITLE: pl.String(), TEXT: pl.String(), ATTRIBUTES: pl.List(pl.String())}
)

INTERACTIONS_FILE: Final = "interactions.parquet"
ITEMS_FILE: Final = "items.parquet"
REPORT_FILE: Final = "report.json"

ACTION_CODES: Final[dict[str, int]] = {
    action.name.lower(): int(action) for action in Action if action is not Action.PAD
}
ACTION_NAMES: Final[tuple[str, ...]] = tuple(ACTION_CODES)
