"""Verification of an exported program: the `.pte` that a device will run, against the PyTorch model, on real inputs.

Three comparisons, because each can fail alone: numbers (every method's outputs), lists (top-10 after beam search
against exact scoring), and quality (Recall@10 and NDCG@10 over every evaluated user).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from device_runtime import Catalog, ItemSearch, RowFilter, Session
from server_training.data.split import Split, Stage
from server_training.errors import ExportRefused
from server_training.evaluation.full_ranking import EvalResult, evaluate_topk
from server_training.evaluation.scorer import ModelScorer
from server_training.export.lower import Lowered
from server_training.export.samples import RealInputs
from server_training.models.methods import Method, default_weights, window_step
from server_training.models.recommender import GenerativeRecommender
from server_training.training.run_folder import Run
from server_training.training.windows import Windows, catalog_rows, history_windows

TOP = 10
LARGEST_DIFFERENCE = 0.05
_BATCH = 256
_COMPARED = 64
_FLIPS = 2  # so many near-ties may fall the other way: with few users that is more than any limit


@dataclass(frozen=True, slots=True)
class VerifyLimits:
    """Above these an export is refused.

    Attributes:
        max_abs_diff: largest difference of any output from the same quantised model run by PyTorch, relative to the
            output's largest number where that is above 1.
        max_recall_loss: largest absolute loss of Recall@10 against the unquantised model.
        max_ndcg_loss: the same of NDCG@10.
        min_top10_overlap: smallest mean share of common items of the top ten.
    """

    max_abs_diff: float = LARGEST_DIFFERENCE
    max_recall_loss: float = 0.02
    max_ndcg_loss: float = 0.02
    min_top10_overlap: float = 0.7


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the comparisons found.

    Attributes:
        max_abs_diff: of all outputs of all methods, `.pte` against PyTorch running the same quantised weights; relative
            to the output's largest number where that is above 1.
        max_abs_diff_float: the same against the unquantised model: what quantisation costs in numbers.
        top10_overlap: mean share of common items, `.pte` with beam search against exact scoring, unquantised.
        device: metrics of the `.pte` with beam search.
        exact: metrics of the unquantised model with exact scoring of the whole catalog.
        n_users: users compared.
    """

    max_abs_diff: float
    max_abs_diff_float: float
    top10_overlap: float
    device: dict[str, float]
    exact: dict[str, float]
    n_users: int


def verify(
    session: Session,
    run: Run,
    lowered: Lowered,
    known: Mapping[str, Method],
    limits: VerifyLimits,
    progress: Callable[[int, int], None],
) -> VerifyReport:
    """Compare on every evaluated user's history before the test event.

    Args:
        session: runs the program.
        run: the trained model, its data and catalog.
        lowered: what the program was made from.
        known: the methods of the unquantised model, of the same shapes.
        limits: above which an export is refused.
        progress: told (users done, users).

    Raises:
        ExportRefused: a limit is exceeded; nothing may be published then.
    """
    shape, catalog, split = lowered.shape, run.catalog, run.split
    windows = history_windows(split, Stage.TEST, catalog, shape.history_length, window_step(shape))
    real = RealInputs(known, windows, catalog, shape.shortest_history)
    drift = largest_difference(session, lowered.methods, real)
    drift_float = largest_difference(session, known, real)
    search = ItemSearch(session, catalog, shape, default_weights(run.model))
    everyone = range(len(windows))
    lists = device_lists(search, catalog, split, windows, shape.shortest_history, everyone, progress)
    device = evaluate_topk(lists, split)
    best, exact = exact_lists(run.model, catalog, split)
    report = VerifyReport(drift, drift_float, overlap(lists, best), device.metrics, exact.metrics, exact.n_users)
    refuse_drift(report, limits)
    return report


def refuse_drift(report: VerifyReport, limits: VerifyLimits) -> None:
    """Refuse what exceeds a limit.

    Raises:
        ExportRefused: saying which, by how much, and what to do.
    """
    if not report.max_abs_diff <= limits.max_abs_diff:
        raise ExportRefused(
            f"the exported program differs from PyTorch by {report.max_abs_diff:.4g} on the same weights and inputs "
            f"(limit {limits.max_abs_diff}); the export is not to be trusted, report it with the versions installed"
        )
    for name, limit in (("recall@10", limits.max_recall_loss), ("ndcg@10", limits.max_ndcg_loss)):
        loss = report.exact[name] - report.device[name]
        if loss > limit + _FLIPS / report.n_users:
            raise ExportRefused(
                f"quantisation and beam search cost {loss:.4f} {name} (limit {limit}); export with --quantize fp32 or "
                "a wider --beam"
            )
    if report.top10_overlap < limits.min_top10_overlap:
        raise ExportRefused(
            f"the program's top ten share {report.top10_overlap:.1%} of their items with PyTorch's (limit "
            f"{limits.min_top10_overlap:.0%}); export with --quantize fp32 or a wider --beam"
        )


def largest_difference(
    session: Session, methods: Mapping[str, Method], real: RealInputs, compared: int = _COMPARED
) -> float:
    """Return the largest difference of any output from PyTorch, relative where the output's largest number exceeds 1.

    Args:
        session: runs the program.
        methods: the same in PyTorch.
        real: inputs.
        compared: so many of them per method.
    """
    worst = 0.0
    for name, method in methods.items():
        for inputs in real.of(name, compared):
            with torch.no_grad():
                expected = method.module(*inputs)
            outputs = session.run(name, *(i.numpy() for i in inputs))
            wanted = expected if isinstance(expected, tuple | list) else (expected,)
            for got, want in zip(outputs, wanted, strict=True):
                scale = max(1.0, float(want.abs().max()))
                worst = max(worst, float(np.abs(got - want.numpy()).max()) / scale)
    return worst


def device_lists(
    search: ItemSearch,
    catalog: Catalog,
    split: Split,
    windows: Windows,
    shortest: int,
    places: Sequence[int],
    progress: Callable[[int, int], None],
) -> NDArray[np.int64]:
    """Return the top-10 of evaluated users as the device computes it, in item indices of the data; -1 where it ends.

    Args:
        search: the program's.
        catalog: of the model.
        split: of its data.
        windows: histories of all evaluated users.
        shortest: positions that a history is padded to.
        places: which of them, int64 [n].
        progress: told (users done, users).
    """
    row_of_item = catalog_rows(split.data, catalog)
    item_of_row = np.argsort(row_of_item)
    users = split.users(Stage.TEST)
    lists = np.full((len(places), TOP), -1, dtype=np.int64)
    for number, place in enumerate(places):
        seen = row_of_item[split.data.items[split.history(int(users[place]), Stage.TEST)]]
        found = search(windows.inputs(place, catalog, shortest), TOP, RowFilter.of(len(catalog), excluded=seen))
        lists[number, : len(found.rows)] = item_of_row[found.rows]
        progress(number + 1, len(places))
    return lists


def exact_lists(model: GenerativeRecommender, catalog: Catalog, split: Split) -> tuple[NDArray[np.int64], EvalResult]:
    """Return every evaluated user's top-10 of the whole catalog, scored exactly in float, and what it is worth."""
    scorer = ModelScorer(model, catalog, split, Stage.TEST)
    lists = np.full((len(split.users(Stage.TEST)), TOP), -1, dtype=np.int64)
    for start in range(0, len(split.users(Stage.TEST)), _BATCH):
        users = split.users(Stage.TEST)[start : start + _BATCH]
        scores = scorer.score(users)
        for row, user in enumerate(users.tolist()):
            scores[row, split.data.items[split.history(user, Stage.TEST)]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        # Who has seen nearly everything has fewer than ten items left.
        found = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, best)
        lists[start : start + len(users), : found.shape[1]] = found
    return lists, evaluate_topk(lists, split)


def overlap(device: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Return the mean share of the exact list that the device's list holds too.

    People with an empty exact list do not count.
    """
    pairs = [(a[a >= 0], b[b >= 0]) for a, b in zip(device, exact, strict=True)]
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in pairs if len(b)]))
