"""From a signed bundle with a real program to items, and what is refused on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    Action,
    Bundle,
    Catalog,
    HistoryEvent,
    Manifest,
    MethodInfo,
    ModelFailed,
    ModelRanker,
    PublisherKey,
    Reading,
    RowFilter,
    RuntimeReport,
    encode_history,
    sign_bundle,
    write_bundle,
)

NOW = 1_750_000_000
HISTORY = [HistoryEvent(f"item-{n}", Action.LIKE, NOW - 100 * (9 - n)) for n in range(9)]


@pytest.fixture(scope="module")
def make_bundle(
    exported: Any,
    catalog: Catalog,
    manifest_for: Callable[..., Manifest],
    publisher: PublisherKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Bundle]:
    def make(program: bytes = exported.program, **changes: Any) -> Bundle:
        path: Path = tmp_path_factory.mktemp("bundles") / "bundle"
        contents = {MODEL_FILE: program, CATALOG_FILE: catalog.to_bytes()}
        write_bundle(path, manifest_for(contents, **changes), contents)
        sign_bundle(path, publisher)
        return Bundle.open(path, trusted_keys=[publisher.public], now=NOW)

    return make


@pytest.fixture(scope="module")
def ranker(make_bundle: Callable[..., Bundle]) -> Iterator[ModelRanker]:
    opened = ModelRanker.open(make_bundle())
    yield opened
    opened.close()


def _exact(exported: Any, catalog: Catalog, history: list[HistoryEvent]) -> np.ndarray[Any, Any]:
    """Log-probability of every item by PyTorch, item by item."""
    import torch

    inputs = encode_history(history, catalog, Reading(6), NOW)
    result = np.zeros(len(catalog))
    with torch.no_grad():
        state, first = exported.modules["encode"](*(torch.from_numpy(a) for a in inputs.arrays()))
        for row, codes in enumerate(catalog.codes.astype(np.int64)):
            for level in range(catalog.levels):
                prefix = torch.from_numpy(codes[None, :level])
                logits = exported.modules[f"decode_{level}"](state, prefix) if level else first
                under = (catalog.codes[:, :level] == codes[:level]).all(axis=1)
                allowed = torch.from_numpy(np.unique(catalog.codes[under, level]).astype(np.int64))
                result[row] += float(logits[0, codes[level]] - torch.logsumexp(logits[0, allowed], 0))
    return result


@pytest.mark.parametrize("history", [[], HISTORY[:1], HISTORY])
def test_log_probabilities_are_those_of_pytorch(
    ranker: ModelRanker, exported: Any, catalog: Catalog, history: list[HistoryEvent]
) -> None:
    found = ranker.rank_rows(history, 4, now=NOW)
    exact = _exact(exported, catalog, history)
    assert len({row for row, _ in found}) == 4
    for row, score in found:
        assert score == pytest.approx(exact[row], abs=1e-3)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_a_filter_keeps_items_out(ranker: ModelRanker, catalog: Catalog) -> None:
    best = [item for item, _ in ranker.rank(HISTORY, 4, now=NOW)]
    allowed = RowFilter.of(len(catalog), excluded=np.array([catalog.index_of(item) for item in best]))
    others = [item for item, _ in ranker.rank(HISTORY, 4, now=NOW, allowed=allowed)]
    assert len(others) == 4
    assert set(others).isdisjoint(best)


def test_a_call_gives_at_most_the_beam_width(ranker: ModelRanker) -> None:
    assert len(ranker.rank(HISTORY, 100, now=NOW)) == 4
    assert ranker.history_length == 6
    assert ranker.runtime == "native"


def test_unknown_items_are_ignored(ranker: ModelRanker) -> None:
    strange = [HistoryEvent("not in the catalog", Action.LIKE, NOW - 5)]
    assert ranker.rank([*HISTORY, *strange], 4, now=NOW) == ranker.rank(HISTORY, 4, now=NOW)


@pytest.mark.parametrize("changes", [{"history_length": 7}, {"beam_width": 5}, {"state_width": 17}])
def test_a_program_of_other_shapes_is_refused(make_bundle: Callable[..., Bundle], changes: dict[str, int]) -> None:
    with pytest.raises(ModelFailed, match="manifest"):
        ModelRanker.open(make_bundle(**changes))


def test_a_filter_for_another_catalog_is_refused(ranker: ModelRanker, catalog: Catalog) -> None:
    with pytest.raises(ModelFailed, match=r"the filter is for 3 rows, the catalog has 40"):
        ranker.rank(HISTORY, 4, now=NOW, allowed=RowFilter.of(3))


def test_a_narrower_beam_is_a_choice_of_the_caller(ranker: ModelRanker) -> None:
    assert len(ranker.rank_rows(HISTORY, 1, now=NOW, beam=2)) == 1
    assert len(ranker.rank_rows(HISTORY, 3, now=NOW, beam=2)) == 3
    assert ranker.rank_rows(HISTORY, 4, now=NOW, beam=99) == ranker.rank_rows(HISTORY, 4, now=NOW)


def test_a_signed_file_that_is_no_program_is_refused(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(ModelFailed, match="not an ExecuTorch program"):
        ModelRanker.open(make_bundle(b"signed, but no program"))


class _Broken:
    """A session whose program has the right shapes and answers nonsense."""

    name = "broken"
    report = RuntimeReport("broken", "a test opened it")

    def __init__(self, methods: dict[str, MethodInfo]) -> None:
        self.methods = methods
        self.closed = False

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        return tuple(np.full(spec.shape, np.nan, spec.dtype) for spec in self.methods[method].outputs)

    def close(self) -> None:
        self.closed = True


def test_the_smoke_run_finds_a_program_that_answers_nonsense(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle()
    m = bundle.manifest
    broken = _Broken({name: m.shape.longest(shape) for name, shape in m.methods.items()})
    monkeypatch.setattr("device_runtime.ranker.open_session", lambda model, settings, methods: broken)
    with pytest.raises(ModelFailed, match="not finite"):
        ModelRanker.open(bundle)
    assert broken.closed
