"""RecBole's atomic files in the contract's columns.

The format: tab-separated text, each header field ``name:type`` with type ``token``, ``token_seq``, ``float``
or ``float_seq`` (RecBole, "Atomic files"). Knows nothing of other formats.
"""

from __future__ import annotations

import polars as pl

from server_training.data import columns as c
from server_training.data.checks import (
    doubled,
    identifiers,
    missing_columns,
    numbers_between,
    texts,
    titles,
    whole_seconds,
)
from server_training.data.tables import RawTable
from server_training.errors import Problem

_USER, _ITEM, _RATING = "user_id", "item_id", "rating"
_TITLES = ("title", "movie_title", "item_name", "name")
_TEXTS = ("text", "description")
_BEST_RATING, _LIKED, _DISLIKED = 5.0, 4.0, 2.0


def recbole_interactions(raw: RawTable) -> tuple[pl.DataFrame | None, list[Problem]]:
    """``*.inter`` as interactions; without a rating every event is a view of weight 1."""
    problems = missing_columns(raw, (_USER, _ITEM, c.TIMESTAMP))
    if problems:
        return None, problems
    ready: dict[str, pl.Series] = {}
    for name, source in ((c.USER, _USER), (c.ITEM, _ITEM)):
        ready[name], found = identifiers(raw, source)
        problems += found
    ready[c.TIMESTAMP], found = whole_seconds(raw, c.TIMESTAMP)
    problems += found
    rows = len(raw.frame)
    ready[c.ACTION] = pl.repeat("view", rows, eager=True)
    ready[c.WEIGHT] = pl.repeat(1.0, rows, eager=True)
    if _RATING in raw.frame.columns:
        rating, found = numbers_between(raw, _RATING, 0, _BEST_RATING)
        problems += found
        if not found:
            ready[c.ACTION], ready[c.WEIGHT] = _action_of(rating), rating / _BEST_RATING
    return (None if problems else pl.DataFrame(ready).cast(c.INTERACTIONS_SCHEMA)), problems


def _action_of(rating: pl.Series) -> pl.Series:
    liked = pl.when(rating >= _LIKED).then(pl.lit("like"))
    return pl.select(liked.when(rating <= _DISLIKED).then(pl.lit("dislike")).otherwise(pl.lit("view"))).to_series()


def recbole_items(raw: RawTable) -> tuple[pl.DataFrame | None, list[Problem]]:
    """``*.item`` as items: a title, a description, and every other token column as attributes.

    A ``token_seq`` column gives its words as they are, a ``token`` column ``name:value``; floats are left
    out.
    """
    problems = missing_columns(raw, (_ITEM,))
    if problems:
        return None, problems
    ids, problems = identifiers(raw, _ITEM)
    problems += doubled(raw, _ITEM, ids)
    title = _first_present(raw, _TITLES)
    text = _first_present(raw, _TEXTS)
    if title is not None:
        problems += titles(raw, title)[1]
    if problems:
        return None, problems
    parts = [
        _attribute(name, kind)
        for name, kind in raw.types.items()
        if name not in (_ITEM, title, text) and kind.startswith("token")
    ]
    empty = pl.lit([], dtype=pl.List(pl.String))
    frame = raw.frame.select(
        ids.alias(c.ITEM),
        (_text(raw, title)).alias(c.TITLE),
        (_text(raw, text)).alias(c.TEXT),
        (pl.concat_list(parts) if parts else empty).alias(c.ATTRIBUTES),
    )
    return frame.cast(c.ITEMS_SCHEMA), []


def _first_present(raw: RawTable, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in raw.frame.columns), None)


def _text(raw: RawTable, name: str | None) -> pl.Series:
    return pl.repeat("", len(raw.frame), eager=True) if name is None else texts(raw, name)[0]


def _attribute(name: str, kind: str) -> pl.Expr:
    value = pl.col(name).str.strip_chars()
    words = value.str.split(" ") if kind == "token_seq" else pl.concat_list(pl.lit(f"{name}:") + value)
    hollow = pl.element() == ("" if kind == "token_seq" else f"{name}:")
    return words.list.eval(pl.element().filter(~hollow))
