"""A bundle on disk, made once: whatever reads bundles must go on reading it, and answer as it did."""

from __future__ import annotations

import json

import pytest

from device_runtime import CATALOG_FILE, MANIFEST_FILE, Bundle, Catalog, Manifest, UntrustedPublisher
from tests.golden.ask import TOLERANCE, answers, largest_difference
from tests.golden.facts import ANSWERS, FOLDER, NOW, PINNED, PUBLISHER


def test_it_opens_and_answers_as_it_did() -> None:
    assert largest_difference(answers(), json.loads(ANSWERS.read_text())) <= TOLERANCE


def test_its_bytes_are_the_only_form_of_what_they_say() -> None:
    raw, catalog = (FOLDER / MANIFEST_FILE).read_bytes(), (FOLDER / CATALOG_FILE).read_bytes()
    assert Manifest.from_bytes(raw).to_bytes() == raw
    assert Catalog.from_bytes(catalog).to_bytes() == catalog


def test_its_chain_of_keys_leads_from_the_pinned_one() -> None:
    assert Bundle.open(FOLDER, trusted_keys=[PINNED.public], now=NOW).publishers.keys == (PUBLISHER.public,)
    with pytest.raises(UntrustedPublisher):
        Bundle.open(FOLDER, trusted_keys=[bytes(32)], now=NOW)
