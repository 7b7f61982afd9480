"""Updates of a published bundle's catalog: new items get codes and features from their text, without training."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    Catalog,
    manifest_digest,
    merged,
    read_files,
    write_delta,
)
from server_training.data import columns as c
from server_training.data.sources import read_items
from server_training.errors import ConfigInvalid
from server_training.items.content import ContentProjection
from server_training.items.item_vectors import ItemFeatures
from server_training.items.text import ItemText
from server_training.items.tokenizer import ItemTokenizer
from server_training.run_config import RunConfig
from server_training.training.run_folder import TOKENIZER_FILE, Run

_DAY_S = 86_400
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class DeltaReport:
    """What an update holds.

    Attributes:
        sequence: of the update.
        added, withdrawn: how many items.
        without_text: added items that nothing is known of; their codes say nothing.
        bytes: size on disk, without signatures.
    """

    sequence: int
    added: int
    withdrawn: int
    without_text: int
    bytes: int


def make_delta(
    run: Run,
    bundle: Path,
    out: Path,
    *,
    items: Path | None = None,
    withdrawn: Collection[str] = (),
    sequence: int = 1,
    valid_days: int = 365,
) -> DeltaReport:
    """Write an unsigned update of a bundle that was exported from a run.

    Args:
        run: that the bundle came from; its data is read again to place the new items.
        bundle: folder or zip.
        out: folder to write; must not exist.
        items: CSV, JSON lines or Parquet with the columns item, title, text, attributes: all that came since the
            bundle.
        withdrawn: ids that are gone since the bundle.
        sequence: higher than that of the last update.
        valid_days: devices refuse the update afterwards.

    Raises:
        ConfigInvalid: the bundle is of another run, a withdrawn item is not in it, or nothing changes.
        DataInvalid: the item file breaks the contract.
        device_runtime.DeviceError: an item is there already and not withdrawn, or an id or a title is too long.
    """
    files = read_files(bundle)
    base = Catalog.from_bytes(files[CATALOG_FILE])
    if not np.array_equal(base.packed, run.catalog.packed) or not np.array_equal(base.scales, run.catalog.scales):
        raise ConfigInvalid(f"{bundle} was not exported from {run.folder}; name the run that it came from")
    unknown = sorted(item for item in withdrawn if item not in base)
    if unknown:
        raise ConfigInvalid(f"the bundle does not hold {', '.join(unknown[:5])}, so it cannot be withdrawn")
    frame = None if items is None else read_items(items)
    if out.exists():
        raise ConfigInvalid(f"{out} exists; choose another output folder")
    if (frame is None or not len(frame)) and not withdrawn:
        raise ConfigInvalid("nothing changes: name items to add or to withdraw")
    added, empty = (None, 0) if frame is None or not len(frame) else _placed(run, base, frame)
    merged(base, added, withdrawn)  # what a device will do: refused here rather than there
    now = int(time.time())
    fields = {
        "bundle_sha256": manifest_digest(files[MANIFEST_FILE]),
        "sequence": sequence,
        "created_at": now,
        "expires_at": now + valid_days * _DAY_S,
        "withdrawn": tuple(sorted(set(withdrawn))),
    }
    manifest = write_delta(out, fields, added)
    size = len(manifest.to_bytes()) + (manifest.added.bytes if manifest.added else 0)
    return DeltaReport(sequence, 0 if added is None else len(added), len(manifest.withdrawn), empty, size)


def _placed(run: Run, base: Catalog, frame: pl.DataFrame) -> tuple[Catalog, int]:
    """The new items as a catalog, and how many of them have no text."""
    config = RunConfig.from_dict(run.info.config)
    texts = [ItemText(*row) for row in frame.select(c.TITLE, c.TEXT, c.ATTRIBUTES).rows()]
    features = ItemFeatures.fit(run.split, config.items.features())  # deterministic: as it was in the training
    tokenizer = ItemTokenizer.load(run.folder / TOKENIZER_FILE)
    codes = tokenizer.encode(features.place(texts), base.codes)
    projection = ContentProjection.fit(features.text, config.model.content_features)
    described = features.read(texts)
    content = projection.apply(described)
    # Their own numbers are zero, as those of every item that the training has not seen.
    table = np.concatenate([np.zeros((len(texts), config.model.own_features), np.float32), content], axis=1)
    rounded = np.clip(np.rint(table / base.scales), -_LARGEST, _LARGEST).astype(np.int8)
    names = base.categories.names if base.categories is not None else ()
    numbers = {name: number for number, name in enumerate(names)}
    kinds = [[numbers[a] for a in attributes if a in numbers] for attributes in frame[c.ATTRIBUTES].to_list()]
    catalog = Catalog.from_columns(
        frame[c.ITEM].to_list(),
        codes,
        base.codebook_size,
        frame[c.TITLE].to_list(),
        rounded,
        base.scales,
        (names, kinds) if names else None,
    )
    return catalog, _without_text(described)


def _without_text(vectors: NDArray[np.float32]) -> int:
    return int((~vectors.any(axis=1)).sum())
